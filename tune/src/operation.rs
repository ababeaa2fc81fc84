//! What is measured: the four movements of rows that every job is made of, one real component, and what PSI spends its time on.
//!
//! Two kinds on purpose. The first five are bound by memory and scheduling, where more cores soon stop helping; masking is bound
//! by arithmetic, as all encryption is, and goes on scaling. A setting that is chosen by one kind alone is wrong for the other.

use std::fmt;
use std::str::FromStr;

use tributary_core::Error;

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Row by row.
    Map,
    /// Rows move to the partition of their key.
    Exchange,
    /// Two tables become one.
    Join,
    /// A table becomes a row.
    Reduce,
    /// The component `hetero_feature_binning`, through its normal interface, as a guest without hosts.
    Binning,
    /// The kernel with which `psi` hides ids.
    Mask,
}

impl Operation {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 6] =
        [Self::Map, Self::Exchange, Self::Join, Self::Reduce, Self::Binning, Self::Mask];

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Exchange => "exchange",
            Self::Join => "join",
            Self::Reduce => "reduce",
            Self::Binning => "binning",
            Self::Mask => "mask",
        }
    }

    /// What it does.
    pub fn description(self) -> &'static str {
        match self {
            Self::Map => "keep the rows with a value of 0 or more",
            Self::Exchange => "move rows to the partition of their key, and sort",
            Self::Join => "match two tables that are laid out by key",
            Self::Reduce => "sum, least, greatest and count of the values",
            Self::Binning => "component hetero_feature_binning on own columns",
            Self::Mask => "hash ids to the curve and mask them, as psi does",
        }
    }

    /// Rows of its tables when `rows` are asked for. Masking takes 30 µs a row and gets one in a hundred, else it would take longer than
    /// all the rest.
    pub fn rows(self, rows: u64) -> u64 {
        match self {
            Self::Mask => (rows / 100).max(1000).min(rows),
            _ => rows,
        }
    }

    /// Bytes that a row takes at the peak: tables, results, and a second copy of what is being moved.
    pub(crate) fn row_bytes(self) -> u64 {
        match self {
            Self::Map | Self::Reduce => 48,
            Self::Exchange => 64,
            Self::Join | Self::Binning => 96,
            Self::Mask => 128,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Operation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|operation| operation.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::invalid(format!("operation {text:?}, expected some of {known}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_shown() {
        for operation in Operation::ALL {
            assert_eq!(operation.to_string().parse::<Operation>().unwrap(), operation);
        }
        let error = "maps".parse::<Operation>().unwrap_err().to_string();
        assert!(error.contains("map, exchange, join"), "{error}");
    }

    #[test]
    fn masking_gets_one_row_in_a_hundred_but_never_more_than_there_are() {
        assert_eq!(Operation::Mask.rows(1_000_000), 10_000);
        assert_eq!(Operation::Mask.rows(20_000), 1000);
        assert_eq!(Operation::Mask.rows(50), 50);
        assert_eq!(Operation::Join.rows(50), 50);
    }
}
