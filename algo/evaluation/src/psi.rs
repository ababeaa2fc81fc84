//! The population stability index: how far the scores of one set of rows are from those of another, which was there before.
//!
//! The earlier scores are cut at each twentieth of their rows; the index adds (actual − expected) · ln(actual / expected) over the
//! intervals. A score equal to a cut is in the interval above it. The outermost intervals are open, so that every row counts (FATE
//! leaves out what is beyond the earlier scores), and an empty interval counts as 10⁻⁶ rows, as there.

use tributary_core::Result;

use crate::binary::{Column, Measured};
use crate::ranked::{Class, Found, Ranked, Wanted};

/// Intervals, where scores do not repeat.
const INTERVALS: u64 = 20;

/// Rows that an empty interval counts as.
const NEXT_TO_NOTHING: f64 = 1e-6;

/// `psi_table` and `total_psi` of scores against earlier ones.
pub async fn measure(earlier: &Ranked, later: &Ranked) -> Result<Vec<Measured>> {
    let rows = earlier.all().rows();
    let cuts: Vec<Wanted> =
        (0..=INTERVALS).map(|part| Wanted::Row(rows - 1 - nearest(part, rows - 1))).collect();
    let mut cuts: Vec<f64> = earlier.look_up(&cuts).await?.iter().map(|found| found.score).collect();
    cuts.dedup();
    if cuts.len() == 1 {
        cuts.push(cuts[0]);
    }
    let wanted: Vec<Wanted> = cuts.iter().map(|cut| Wanted::Score(*cut)).collect();
    let expected = counts(&earlier.look_up(&wanted).await?, earlier.all());
    let actual = counts(&later.look_up(&wanted).await?, later.all());
    Ok(index(&cuts, &expected, &actual))
}

/// part/[`INTERVALS`] of `last`, rounded to the nearest integer, and to the even one of two.
fn nearest(part: u64, last: u64) -> u64 {
    let twentieths = u128::from(part) * u128::from(last);
    let (whole, rest) = (twentieths / u128::from(INTERVALS), 2 * (twentieths % u128::from(INTERVALS)));
    let up = rest > u128::from(INTERVALS) || rest == u128::from(INTERVALS) && whole % 2 == 1;
    (whole + u128::from(up)) as u64
}

/// Rows in each interval between cuts.
fn counts(found: &[Found], all: Class) -> Vec<Class> {
    let from = |at: usize| match at {
        0 => all,
        at if at + 1 == found.len() => Class::default(),
        at => found[at].above.and(found[at].at),
    };
    (0..found.len() - 1).map(|at| from(at).without(from(at + 1))).collect()
}

fn index(cuts: &[f64], expected: &[Class], actual: &[Class]) -> Vec<Measured> {
    let rows = |all: &[Class]| all.iter().map(|class| class.rows()).sum::<u64>() as f64;
    let counts = |all: &[Class]| -> Vec<f64> {
        all.iter()
            .map(|class| class.rows() as f64)
            .map(|rows| if rows == 0.0 { NEXT_TO_NOTHING } else { rows })
            .collect()
    };
    let shares = |all: &[Class]| -> Vec<f64> { counts(all).iter().map(|count| count / rows(all)).collect() };
    let positives = |all: &[Class]| {
        let share = |class: &Class| match class.rows() {
            0 => 0.0,
            rows => class.positives as f64 / rows as f64,
        };
        Column::Numbers(all.iter().map(share).collect())
    };
    let pairs = shares(expected).into_iter().zip(shares(actual));
    let scores: Vec<f64> =
        pairs.map(|(expected, actual)| (actual - expected) * (actual / expected).ln()).collect();
    let total = scores.iter().sum();
    let last = cuts.len() - 2;
    let interval = |(at, pair): (usize, &[f64])| {
        format!("[{}, {}{}", pair[0], pair[1], if at == last { ']' } else { ')' })
    };
    let table = vec![
        ("psi_scores", Column::Numbers(scores)),
        ("expected_interval", Column::Numbers(counts(expected))),
        ("actual_interval", Column::Numbers(counts(actual))),
        ("expected_percentage", Column::Numbers(shares(expected))),
        ("actual_percentage", Column::Numbers(shares(actual))),
        ("train_pos_perc", positives(expected)),
        ("validate_pos_perc", positives(actual)),
        ("interval", Column::Texts(cuts.windows(2).enumerate().map(interval).collect())),
    ];
    vec![Measured::Table("psi_table", table), Measured::Number("total_psi", total)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twentieth_is_rounded_to_the_nearest_row_and_a_half_to_the_even_one() {
        assert_eq!([0, 1, 10, 19, 20].map(|part| nearest(part, 100)), [0, 5, 50, 95, 100]);
        assert_eq!([1, 3, 2, 7].map(|part| nearest(part, 10)), [0, 2, 1, 4]); // 0.5, 1.5, 1, 3.5
    }

    #[test]
    fn equal_sets_have_an_index_of_zero_and_others_one_by_its_definition() {
        let class = |positives, negatives| Class { positives, negatives };
        let (even, skewed) = ([class(1, 1), class(2, 2)], [class(2, 2), class(0, 2)]);
        let total = |expected: &[Class], actual: &[Class]| match index(&[0.0, 0.5, 1.0], expected, actual)[1]
        {
            Measured::Number("total_psi", total) => total,
            _ => f64::NAN,
        };
        assert_eq!(total(&even, &even), 0.0);
        let third = 1.0 / 3.0;
        assert!((total(&even, &skewed) - third * 2f64.ln() - third * 2f64.ln()).abs() < 1e-12);
    }
}
