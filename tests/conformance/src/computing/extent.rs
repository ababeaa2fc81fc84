//! How much of the suite an engine is asked. What is checked stays the same, only the number of repetitions and the sizes
//! of sessions differ.
//!
//! Stated by the engine's test and not by the engine: it is about the machines that the test has.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::PARTITIONS;

/// All of the suite, unless changed: on an engine of its own for each case, in sessions of 1, 2 and 3 cores.
#[derive(Debug, Clone)]
pub struct Extent {
    pub(super) cores: Cores,
    pub(super) memory_bytes: u64,
    slower: u32,
    in_turn: bool,
}

/// Numbers of cores that cases run at.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    /// As few as a session can have.
    pub few: u32,
    /// More than that.
    pub some: u32,
    /// More than that.
    pub many: u32,
}

impl Cores {
    /// The two that make most of a difference.
    pub fn extremes(&self) -> [u32; 2] {
        [self.few, self.many]
    }

    /// All of them.
    pub fn all(&self) -> [u32; 3] {
        [self.few, self.some, self.many]
    }
}

impl Default for Extent {
    fn default() -> Self {
        Self { cores: Cores { few: 1, some: 2, many: 3 }, memory_bytes: 1 << 28, slower: 1, in_turn: false }
    }
}

impl Extent {
    /// For an engine whose sessions come in other sizes.
    #[must_use]
    pub fn with_cores(mut self, cores: Cores) -> Self {
        self.cores = cores;
        self
    }

    /// For an engine that spills: sessions of so little memory that the rows of most cases do not fit.
    #[must_use]
    pub fn with_memory_bytes(mut self, bytes: u64) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// For an engine whose actions take `times` times as long as those of an engine in this process. The numbers of
    /// combinations and generated inputs are divided by it, and time limits multiplied by it.
    #[must_use]
    pub fn slower(mut self, times: u32) -> Self {
        self.slower = times.max(1);
        self
    }

    /// For one engine that all cases use: no two cases at once, so that none has to share the engine's cores.
    #[must_use]
    pub fn in_turn(mut self) -> Self {
        self.in_turn = true;
        self
    }

    /// While it is held, no other case runs.
    pub(super) fn turn(&self) -> Option<MutexGuard<'static, ()>> {
        static TURN: Mutex<()> = Mutex::new(());
        // A case that failed had its turn like any other.
        self.in_turn.then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn times(&self) -> u32 {
        self.slower
    }

    /// The numbers of partitions to run at with the nth number of cores: all, or on a slow engine each number only once.
    pub(super) fn partitions(&self, nth: usize) -> impl Iterator<Item = u32> + use<> {
        let all = self.slower == 1;
        let chosen = PARTITIONS.into_iter().enumerate().filter(move |(i, _)| all || i % 2 != nth % 2);
        chosen.map(|(_, partitions)| partitions)
    }

    /// The number of generated inputs where a quick run of the whole suite takes `cases`.
    pub(super) fn inputs(&self, cases: u32) -> u32 {
        cases.div_ceil(self.slower)
    }

    /// Some of many similar combinations. An odd step, so that it does not always meet the same digits of what counts in
    /// powers of two.
    pub(super) fn chosen<T>(&self, combinations: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        let step = if self.slower == 1 { 1 } else { self.slower | 1 };
        combinations.step_by(step as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_engine_meets_each_number_of_partitions_once() {
        let met = |extent: &Extent| [0, 1].map(|nth| extent.partitions(nth).collect::<Vec<_>>());
        assert_eq!(met(&Extent::default()), [vec![1, 2, 7], vec![1, 2, 7]]);
        assert_eq!(met(&Extent::default().slower(8)), [vec![2], vec![1, 7]]);
    }

    #[test]
    fn no_property_goes_without_input() {
        assert_eq!(Extent::default().inputs(12), 12);
        assert_eq!(Extent::default().slower(100).inputs(12), 1);
    }
}
