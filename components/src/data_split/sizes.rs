//! How many rows each part gets.

use serde::Deserialize;
use tributary_core::{Error, Result};

/// A part's size as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Size {
    Rows(u64),
    Share(f64),
}

impl Size {
    fn number(self) -> f64 {
        match self {
            Self::Rows(rows) => rows as f64,
            Self::Share(share) => share,
        }
    }
}

/// Sizes to train, validate and test. If any is a share, all are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes(pub [Option<Size>; 3]);

const KEYS: [&str; 3] = ["train_size", "validate_size", "test_size"];

/// How far shares may be from all, for rounding.
const ROUNDING: f64 = 1e-6;

impl Sizes {
    fn are_shares(&self) -> bool {
        let given = || self.0.iter().flatten();
        given().count() == 0 || given().any(|size| matches!(size, Size::Share(_)))
    }

    /// All three, of a `total`; what is not given takes the rest.
    fn filled(&self, total: f64) -> [f64; 3] {
        let given = self.0.map(|size| size.map(Size::number));
        let rest = total - given.iter().flatten().sum::<f64>();
        match given {
            [None, None, None] => [0.8 * total, 0.2 * total, 0.0],
            [Some(train), None, None] => [train, 0.0, rest],
            [None, Some(validate), None] => [rest, validate, 0.0],
            [None, None, Some(test)] => [rest, 0.0, test],
            _ => given.map(|size| size.unwrap_or(rest)),
        }
    }

    /// What is wrong with shares, whatever the table, and where.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        let sum = self.0.iter().flatten().map(|size| size.number()).sum::<f64>();
        let is_whole = self.0.iter().all(Option::is_some);
        let wrong = self.are_shares() && (sum > 1.0 + ROUNDING || is_whole && sum < 1.0 - ROUNDING);
        let last = KEYS.into_iter().zip(self.0).rfind(|(_, size)| size.is_some());
        let shown = (sum * 1e6).round() / 1e6;
        let message = format!("the parts are {shown} of all rows together, expected 1");
        wrong.then(|| (last.map_or(KEYS[0], |(key, _)| key), message))
    }

    /// In rows. `InvalidInput` if they are not all rows of the table.
    pub(super) fn resolve(&self, rows: u64) -> Result<[u64; 3]> {
        if self.are_shares() {
            let [train, validate, _] = self.filled(1.0).map(|share| (share * rows as f64).round() as u64);
            let train = train.min(rows);
            let validate = validate.min(rows - train);
            // A part of nothing gets nothing, also where the others were rounded down.
            let rest = rows - train - validate;
            return Ok(match self.filled(1.0)[2] <= ROUNDING {
                true if validate > 0 => [train, validate + rest, 0],
                true => [train + rest, 0, 0],
                false => [train, validate, rest],
            });
        }
        let sizes = self.filled(rows as f64);
        let sum: f64 = sizes.iter().sum();
        if sizes.iter().any(|size| *size < 0.0) || (sum - rows as f64).abs() > ROUNDING {
            let given = self.0.iter().flatten().map(|size| size.number()).sum::<f64>();
            return Err(Error::invalid(format!("parts of {given} rows together, and the table has {rows}")));
        }
        Ok(sizes.map(|size| size as u64))
    }
}

/// The parts of each stratum: in proportion, and all together exactly the parts of the table.
pub(super) fn of_strata(sizes: [u64; 3], strata: &[u64]) -> Vec<[u64; 3]> {
    let train = in_proportion(sizes[0], strata);
    let left: Vec<u64> = strata.iter().zip(&train).map(|(rows, train)| rows - train).collect();
    let validate = in_proportion(sizes[1], &left);
    let parts = train.into_iter().zip(validate).zip(left);
    parts.map(|((train, validate), left)| [train, validate, left - validate]).collect()
}

/// `size` rows of all strata together: up to the end of each stratum its share so far, rounded.
fn in_proportion(size: u64, strata: &[u64]) -> Vec<u64> {
    let all = u128::from(strata.iter().sum::<u64>().max(1));
    let up_to = |rows: u64| ((2 * u128::from(size) * u128::from(rows) + all) / (2 * all)) as u64;
    let mut seen = 0;
    let shares = strata.iter().map(|rows| {
        let from = seen;
        seen += rows;
        up_to(seen) - up_to(from)
    });
    shares.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(sizes: [Option<Size>; 3], rows: u64) -> [u64; 3] {
        Sizes(sizes).resolve(rows).unwrap()
    }

    #[test]
    fn what_is_not_given_takes_the_rest() {
        let (share, rows) = (|s: f64| Some(Size::Share(s)), |r: u64| Some(Size::Rows(r)));
        assert_eq!(resolved([None, None, None], 10), [8, 2, 0]);
        assert_eq!(resolved([None, None, None], 11), [9, 2, 0]);
        assert_eq!(resolved([share(0.7), None, None], 10), [7, 0, 3]);
        assert_eq!(resolved([None, share(0.3), None], 10), [7, 3, 0]);
        assert_eq!(resolved([None, None, share(0.3)], 10), [7, 0, 3]);
        assert_eq!(resolved([share(0.5), share(0.2), None], 10), [5, 2, 3]);
        assert_eq!(resolved([rows(4), None, rows(5)], 10), [4, 1, 5]);
        assert_eq!(resolved([rows(1), None, None], 10), [1, 0, 9]);
        assert_eq!(resolved([share(1.0), None, None], 10), [10, 0, 0]);
        assert!(Sizes([rows(11), None, None]).resolve(10).is_err());
        assert!(Sizes([rows(4), rows(4), rows(1)]).resolve(10).is_err());
    }

    #[test]
    fn strata_are_parted_in_proportion_and_exactly_together() {
        for strata in [[50, 30, 20], [97, 2, 1], [0, 100, 0], [33, 33, 34]] {
            let parts = of_strata([70, 20, 10], &strata);
            let sum = |part: usize| parts.iter().map(|parts| parts[part]).sum::<u64>();
            assert_eq!([sum(0), sum(1), sum(2)], [70, 20, 10], "{strata:?}");
            for (parts, rows) in parts.iter().zip(strata) {
                assert_eq!(parts.iter().sum::<u64>(), rows);
                assert!((parts[0] as f64 - 0.7 * rows as f64).abs() <= 1.0, "{parts:?} of {rows}");
            }
        }
    }
}
