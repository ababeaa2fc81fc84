//! What is to be measured: the numbers of cores and of partitions, each with each, and how many rows.
//!
//! The lengths of the lists are bounded, because a table or a picture of more columns cannot be read.

use std::fmt;

use tributary_core::{Error, Layout, Result};

use crate::operation::Operation;

/// What a user asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Cores of a task, in any order.
    pub cores: Vec<u32>,
    /// Partitions of its tables, in any order.
    pub partitions: Vec<u32>,
    /// Rows of each table.
    pub rows: u64,
    /// How often each measurement is repeated, after one run that does not count.
    pub repeat: u32,
    /// What to run.
    pub operations: Vec<Operation>,
}

impl Options {
    /// A million rows, five times, all operations; 1, 2, 4, … cores up to all of the site's.
    pub fn for_site(site_cores: u32) -> Self {
        let powers =
            (0..).map(|n| 1u32 << n).take_while(|cores| *cores < site_cores.max(1)).take(Grid::MOST - 1);
        Self {
            cores: powers.chain([site_cores.max(1)]).collect(),
            partitions: vec![1, 2, 4, 8, 16],
            rows: 1_000_000,
            repeat: 5,
            operations: Operation::ALL.to_vec(),
        }
    }
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Cores of a task, as asked for.
    pub cores: u32,
    /// Partitions of its tables.
    pub partitions: u32,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = |n: u32| if n == 1 { "" } else { "s" };
        let Self { cores, partitions } = *self;
        write!(f, "{cores} core{}, {partitions} partition{}", s(cores), s(partitions))
    }
}

/// Checked [`Options`]: every list in order, nothing twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    options: Options,
}

impl Grid {
    /// Most numbers of cores, and of partitions.
    pub const MOST: usize = 16;
    /// Most rows, on any engine.
    const MOST_ROWS: u64 = 100_000_000_000;

    /// `InvalidInput` says what is wrong with the options.
    pub fn new(mut options: Options) -> Result<Self> {
        in_order("cores", &mut options.cores, u32::MAX)?;
        in_order("partitions", &mut options.partitions, Layout::MAX_PARTITIONS)?;
        options.operations.sort_unstable();
        options.operations.dedup();
        if options.operations.is_empty() {
            return Err(Error::invalid("no operations to measure; name one at least"));
        }
        if options.rows == 0 || options.rows > Self::MOST_ROWS {
            return Err(Error::invalid(format!("{} rows, expected 1 to {}", options.rows, Self::MOST_ROWS)));
        }
        if options.repeat == 0 {
            return Err(Error::invalid("0 repetitions, expected 1 at least"));
        }
        Ok(Self { options })
    }

    /// Numbers of cores, rising.
    pub fn cores(&self) -> &[u32] {
        &self.options.cores
    }

    /// Numbers of partitions, rising.
    pub fn partitions(&self) -> &[u32] {
        &self.options.partitions
    }

    /// Rows of each table.
    pub fn rows(&self) -> u64 {
        self.options.rows
    }

    /// Repetitions of each measurement.
    pub fn repeat(&self) -> u32 {
        self.options.repeat
    }

    /// What is run in each cell, in order.
    pub fn operations(&self) -> &[Operation] {
        &self.options.operations
    }

    /// Every setting, few cores first.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        let partitions = self.partitions();
        self.cores()
            .iter()
            .flat_map(move |&cores| partitions.iter().map(move |&partitions| Cell { cores, partitions }))
    }

    /// Memory that the dearest operation takes, and which it is. An estimate: tables, results and what an exchange needs beside
    /// them.
    pub fn memory(&self) -> (u64, Operation) {
        let bytes = |o: &Operation| o.rows(self.rows()).saturating_mul(o.row_bytes());
        let dearest = self.operations().iter().copied().max_by_key(bytes).unwrap_or(Operation::Map);
        (bytes(&dearest), dearest)
    }
}

fn in_order(what: &str, numbers: &mut Vec<u32>, most: u32) -> Result<()> {
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.is_empty() || numbers.len() > Grid::MOST {
        let count = numbers.len();
        return Err(Error::invalid(format!("{count} numbers of {what}, expected 1 to {}", Grid::MOST)));
    }
    match numbers.iter().find(|n| **n == 0 || **n > most) {
        Some(wrong) if most == u32::MAX => {
            Err(Error::invalid(format!("{wrong} {what}, expected 1 at least")))
        }
        Some(wrong) => Err(Error::invalid(format!("{wrong} {what}, expected 1 to {most}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(cores: &[u32], partitions: &[u32]) -> Options {
        Options { cores: cores.to_vec(), partitions: partitions.to_vec(), ..Options::for_site(2) }
    }

    #[test]
    fn every_number_of_cores_meets_every_number_of_partitions_once() {
        let grid = Grid::new(options(&[2, 1, 2], &[4, 1])).unwrap();
        let cells: Vec<(u32, u32)> = grid.cells().map(|c| (c.cores, c.partitions)).collect();
        assert_eq!(cells, [(1, 1), (1, 4), (2, 1), (2, 4)]);
    }

    #[test]
    fn a_site_is_tried_up_to_all_its_cores() {
        assert_eq!(Options::for_site(0).cores, [1]);
        assert_eq!(Options::for_site(1).cores, [1]);
        assert_eq!(Options::for_site(2).cores, [1, 2]);
        assert_eq!(Options::for_site(6).cores, [1, 2, 4, 6]);
        assert_eq!(Options::for_site(8).cores, [1, 2, 4, 8]);
        assert!(Grid::new(Options::for_site(u32::MAX)).is_ok());
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let refused = |options: Options, says: &str| {
            let error = Grid::new(options).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        };
        refused(options(&[], &[1]), "0 numbers of cores, expected 1 to 16");
        refused(options(&(1..=17).collect::<Vec<_>>(), &[1]), "17 numbers of cores");
        refused(options(&[0], &[1]), "0 cores, expected 1 at least");
        refused(options(&[1], &[65_537]), "65537 partitions, expected 1 to 65536");
        refused(Options { rows: 0, ..options(&[1], &[1]) }, "0 rows");
        refused(Options { repeat: 0, ..options(&[1], &[1]) }, "0 repetitions");
        refused(Options { operations: vec![], ..options(&[1], &[1]) }, "no operations");
    }

    #[test]
    fn the_dearest_operation_is_named_with_its_bytes() {
        let of = |operations| {
            Grid::new(Options { operations, rows: 1000, ..Options::for_site(1) }).unwrap().memory()
        };
        let (join, dearest) = of(vec![Operation::Map, Operation::Join]);
        assert_eq!(dearest, Operation::Join);
        assert_eq!(join, 1000 * Operation::Join.row_bytes());
        assert!(of(vec![Operation::Map]).0 < join);
        assert!(Grid::new(Options { rows: Grid::MOST_ROWS, ..Options::for_site(1) }).is_ok());
    }
}
