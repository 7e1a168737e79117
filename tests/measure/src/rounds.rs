// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Sides take turns. What drifts is in the samples of all of them then, and a ratio of neighbours is
//! free of it.

/// In which order the sides of a round come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A B A B.
    Same,
    /// A B B A: who comes first after the pause between two rounds changes.
    BackAndForth,
}

/// One side's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose: its place among the sides.
    pub side: usize,
    /// The round, from 0; none while sides warm up.
    pub round: Option<u32>,
}

/// The turns of so many sides: each `warm_ups` times without being counted, then in `rounds`.
pub fn turns(order: Order, warm_ups: u32, rounds: u32, sides: usize) -> impl Iterator<Item = Turn> {
    (0..warm_ups + rounds).flat_map(move |number| {
        let backward = order == Order::BackAndForth && number % 2 == 1;
        (0..sides).map(move |at| Turn {
            side: if backward { sides - 1 - at } else { at },
            round: number.checked_sub(warm_ups),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides(order: Order, warm_ups: u32, rounds: u32) -> Vec<usize> {
        turns(order, warm_ups, rounds, 3)
            .map(|turn| turn.side)
            .collect()
    }

    #[test]
    fn sides_alternate() {
        assert_eq!(sides(Order::Same, 0, 2), [0, 1, 2, 0, 1, 2]);
        assert_eq!(sides(Order::BackAndForth, 1, 1), [0, 1, 2, 2, 1, 0]);
    }

    #[test]
    fn warming_up_is_no_round() {
        let rounds: Vec<_> = turns(Order::Same, 1, 2, 2).map(|turn| turn.round).collect();
        assert_eq!(rounds, [None, None, Some(0), Some(0), Some(1), Some(1)]);
    }
}
