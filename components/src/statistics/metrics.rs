//! The names of statistics, and their values.

use serde_json::{Value, json};
use tributary_statistics::{Bias, Moments};

/// The names, percentiles aside.
pub(crate) const NAMES: [&str; 13] = [
    "count",
    "sum",
    "max",
    "min",
    "mean",
    "median",
    "std",
    "var",
    "coefficient_of_variation",
    "missing_count",
    "missing_ratio",
    "skewness",
    "kurtosis",
];

/// What may be asked for.
pub(super) const ABOUT: &str = "count, sum, max, min, mean, median, std, var, coefficient_of_variation, missing_count, missing_ratio, \
    skewness, kurtosis, or percentiles from 0% to 100%";

/// A statistic of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statistic {
    /// One of [`NAMES`], by its place.
    Named(usize),
    /// A value of the data that so many percent are not above.
    Percentile(u32),
}

impl Statistic {
    /// By its name.
    pub(crate) fn read(name: &str) -> Option<Self> {
        if let Some(percent) = name.strip_suffix('%') {
            let percent = percent.parse().ok().filter(|percent| *percent <= 100)?;
            return Some(Self::Percentile(percent));
        }
        NAMES.iter().position(|known| *known == name).map(Self::Named)
    }

    /// Of one that is read from ranks.
    pub(super) fn percent(self) -> Option<u32> {
        match self {
            Self::Percentile(percent) => Some(percent),
            Self::Named(at) => (NAMES[at] == "median").then_some(50),
        }
    }

    /// Of one that is read from moments; null where there is no value.
    pub(super) fn of(self, moments: &Moments, ddof: u64, bias: Bias) -> Value {
        let Self::Named(at) = self else { return Value::Null };
        match NAMES[at] {
            "count" => json!(moments.count),
            "missing_count" => json!(moments.missing),
            "missing_ratio" => json!(moments.missing_ratio()),
            "sum" if moments.count == 0 => json!(0.0),
            "sum" => json!(moments.sum()),
            "max" => json!(moments.max),
            "min" => json!(moments.min),
            "mean" => json!(moments.mean()),
            "std" => json!(moments.deviation(ddof)),
            "var" => json!(moments.variance(ddof)),
            "coefficient_of_variation" => json!(moments.deviation(ddof) / moments.mean()),
            "skewness" => json!(moments.skewness(bias)),
            "kurtosis" => json!(moments.kurtosis(bias)),
            _ => Value::Null,
        }
    }
}
