//! One try to write a partition: its name among parts, and the digest of its rows.

use tributary_core::{Error, Result, Shown};
use tributary_system::random;
use xxhash_rust::xxh3::Xxh3Default;

/// Which rows of a snapshot's table they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub partition: i32,
    /// Drawn at random, so that two tries never mix.
    pub attempt: i32,
}

impl Piece {
    pub(crate) fn fresh(partition: u32) -> Result<Self> {
        let attempt = i32::try_from(random::u32()? >> 1).unwrap_or_default();
        Ok(Self { partition: number(partition)?, attempt })
    }

    /// As [`Part::file`](tributary_core::storage::Part::file).
    pub(crate) fn file(self) -> String {
        format!("{}-{}", self.partition, self.attempt)
    }

    /// `InvalidInput` unless it is the file of a part of this partition.
    pub(crate) fn of_file(file: &str, partition: u32) -> Result<Self> {
        let wrong = || {
            Error::invalid(format!(
                "part {:?} of partition {partition}, expected {partition}-NUMBER",
                Shown::new(file)
            ))
        };
        let (found, attempt) = file.split_once('-').ok_or_else(wrong)?;
        let attempt = attempt.parse().ok().filter(|attempt: &i32| *attempt >= 0).ok_or_else(wrong)?;
        let piece = Self { partition: number(partition)?, attempt };
        (found == partition.to_string() && piece.file() == file).then_some(piece).ok_or_else(wrong)
    }
}

fn number(partition: u32) -> Result<i32> {
    i32::try_from(partition).map_err(|_| Error::invalid(format!("partition {partition} is impossible")))
}

/// The digest of rows as [`copy`](crate::copy) writes them. Against accidents, not against somebody who may write to the database: he could
/// change the catalogue, too.
#[derive(Default)]
pub(crate) struct Digest(Xxh3Default);

impl Digest {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn text(&self) -> String {
        format!("xxh3:{:032x}", self.0.digest128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_partitions_are_refused() {
        let piece = Piece::fresh(7).unwrap();
        assert_eq!(Piece::of_file(&piece.file(), 7).unwrap(), piece);
        for bad in ["7", "7-", "8-1", "7--1", "7-01", "07-1", "7-1 OR 1=1", "7-2147483648"] {
            assert!(Piece::of_file(bad, 7).is_err(), "{bad}");
        }
    }
}
