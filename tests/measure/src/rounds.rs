// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Sides take turns. A drift then affects the samples of all sides, and the ratio of neighbouring
//! samples is free of it.

/// The order of the sides in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A B A B.
    Same,
    /// A B B A: the side that comes first after the pause between two rounds changes.
    BackAndForth,
}

/// One turn of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The index of the side.
    pub side: usize,
    /// The round, from 0; `None` during warm-up.
    pub round: Option<u32>,
}

/// The turns of `sides` sides: first `warm_ups` uncounted ones each, then `rounds` rounds.
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
