// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The median of few numbers.

/// The middle one, or the mean of the two in the middle; none of none.
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    of_sorted(&sorted)
}

/// The same of numbers in ascending order.
pub(super) fn of_sorted(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted {
        [] => None,
        _ if sorted.len() % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_found_in_any_order() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[9.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0, 100.0, 2.0]), Some(3.0));
    }

    #[test]
    fn one_bad_round_moves_nothing() {
        let calm = median(&[10.0, 10.0, 11.0, 9.0, 10.0]);
        assert_eq!(median(&[10.0, 10.0, 11.0, 9.0, 10_000.0]), calm);
    }
}
