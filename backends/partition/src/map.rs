//! One partition on its way through one kernel.
//!
//! A chain of maps is a chain of these: each pulls from the one before, so that a batch goes through all kernels before
//! the next is read. A kernel gets one row first, then eight times more as long as it is quick: it cannot be known beforehand
//! what a row costs, and a push cannot be interrupted.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, RecordBatch};
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::kernel::{Emit, Keeps, Kernel, KernelType, PartContext, Step};
use tributary_core::layout::{Keys, Layout, partition_of};
use tributary_core::plan::Plan;
use tributary_core::schema::TableSchema;

use crate::batches::{BATCH_ROWS, Batches, Feed, fit};
use crate::cancel::Cancel;
use crate::order::in_order;
use crate::pool::why;

/// A map's kernel, ready to start partitions.
pub struct Opened {
    name: &'static str,
    pub keeps: Keeps,
    pub is_row_wise: bool,
    kernel: Option<Arc<dyn Kernel>>,
}

impl Opened {
    pub fn new(kernel_type: &dyn KernelType, open: impl FnOnce() -> Result<Arc<dyn Kernel>>) -> Result<Self> {
        let (name, keeps, is_row_wise) = (kernel_type.name(), kernel_type.keeps(), kernel_type.is_row_wise());
        let kernel = guarded(|| format!("kernel {name}"), open)?;
        Ok(Self { name, keeps, is_row_wise, kernel: Some(kernel) })
    }

    fn start(&self, part: PartContext) -> Result<Box<dyn Step>> {
        let kernel = self.kernel.as_ref().ok_or_else(|| Error::bug("a kernel started after its end"))?;
        self.guarded(part.partition, || kernel.start(part))
    }

    fn guarded<T>(&self, partition: u32, work: impl FnOnce() -> Result<T>) -> Result<T> {
        guarded(|| format!("kernel {} in partition {partition}", self.name), work)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        drop_guarded(self.kernel.take());
    }
}

/// A kernel's own error keeps its kind, which says whose fault it is; a panic is the kernel's.
fn guarded<T>(place: impl Fn() -> String, work: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.at(place())),
        Err(panic) => {
            let error = Error::new(ErrorKind::Kernel, format!("{} panicked{}", place(), why(&*panic)));
            drop_guarded(Some(panic));
            Err(error)
        }
    }
}

/// A kernel's destructor may panic as well. By then no caller is left: the panic hook has reported it.
fn drop_guarded<T>(value: Option<T>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        std::mem::forget(panic);
    }
}

/// The rows that come out.
pub struct Mapped {
    opened: Arc<Opened>,
    partition: u32,
    input: Feed,
    step: Option<Box<dyn Step>>,
    pace: Pace,
    rows_in: u64,
    out: Out,
}

impl Mapped {
    /// `node` is the map; `part` says where `input` begins.
    pub fn start(
        node: &Plan,
        opened: Arc<Opened>,
        part: PartContext,
        input: Batches,
        cancel: Cancel,
    ) -> Result<Batches> {
        let out = Out {
            schema: node.schema().clone(),
            ready: VecDeque::new(),
            rows: 0,
            order: OrderCheck::of(node, part),
            cancel,
        };
        let step = Some(opened.start(part)?);
        let (partition, input, pace) = (part.partition, Feed::new(input), Pace::default());
        Ok(Box::new(Self { opened, partition, input, step, pace, rows_in: 0, out }))
    }

    /// One push, or the finish; `false` when there is nothing left to do.
    fn advance(&mut self) -> Result<bool> {
        if self.step.is_none() {
            return Ok(false);
        }
        let rows = self.input.pull(self.pace.rows)?;
        self.out.cancel.check()?;
        match rows {
            Some(rows) => self.push(rows)?,
            None => self.finish()?,
        }
        Ok(true)
    }

    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        let Some(step) = &mut self.step else { return Ok(()) };
        let begun = Instant::now();
        self.opened.guarded(self.partition, || step.push(batch, &mut self.out))?;
        self.pace.took(rows, begun.elapsed());
        self.rows_in += rows as u64;
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let Some(step) = self.step.take() else { return Ok(()) };
        self.opened.guarded(self.partition, || step.finish(&mut self.out))?;
        let one_for_each = matches!(self.opened.keeps, Keeps::Rows | Keeps::Both);
        if one_for_each && self.out.rows != self.rows_in {
            let (name, partition) = (self.opened.name, self.partition);
            let text = format!("{} rows came out of {}, expected one for each", self.out.rows, self.rows_in);
            return Err(
                Error::new(ErrorKind::Kernel, text).at(format!("kernel {name} in partition {partition}"))
            );
        }
        Ok(())
    }
}

impl Iterator for Mapped {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.out.ready.pop_front() {
                return Some(Ok(batch));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    drop_guarded(self.step.take());
                    self.out.ready.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        drop_guarded(self.step.take());
    }
}

/// How many rows a kernel gets at once, learned from how long it took.
struct Pace {
    rows: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rows: 1 }
    }
}

impl Pace {
    const QUICK: Duration = Duration::from_millis(5);
    const SLOW: Duration = Duration::from_millis(20);
    const GROWTH: usize = 8;

    fn took(&mut self, rows: usize, time: Duration) {
        if time > Self::SLOW {
            let fitting = rows as u128 * Self::SLOW.as_nanos() / (2 * time.as_nanos());
            self.rows = (fitting as usize).max(1);
        } else if time < Self::QUICK && rows == self.rows {
            self.rows = (rows * Self::GROWTH).min(BATCH_ROWS);
        }
    }
}

/// Takes what a kernel emits and checks it.
struct Out {
    schema: TableSchema,
    ready: VecDeque<RecordBatch>,
    rows: u64,
    order: Option<OrderCheck>,
    cancel: Cancel,
}

impl Emit for Out {
    fn emit(&mut self, rows: RecordBatch) -> Result<()> {
        self.cancel.check()?;
        let fitted = fit(&self.schema, rows).map_err(|error| {
            Error::new(ErrorKind::Kernel, "rows came out that do not fit the kernel's own output schema")
                .because(error)
        })?;
        if fitted.num_rows() > 0 {
            if let Some(order) = &mut self.order {
                order.check(&fitted)?;
            }
            self.rows += fitted.num_rows() as u64;
            self.ready.push_back(fitted);
        }
        Ok(())
    }
}

/// In debug builds: whether a kernel that keeps keys really does, where the layout relies on it.
struct OrderCheck {
    part: PartContext,
    unique: bool,
    last: Option<ArrayRef>,
}

impl OrderCheck {
    fn of(node: &Plan, part: PartContext) -> Option<Self> {
        let keyed = cfg!(debug_assertions) && matches!(node.layout(), Layout::Keyed(_));
        keyed.then(|| Self { part, unique: !node.has_equal_keys(), last: None })
    }

    fn check(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = batch.column(0);
        let keys = Keys::of(column)?;
        let hashes = keys.hashes();
        let mut fits = in_order(&keys, &hashes, self.unique);
        fits &= hashes.iter().all(|hash| partition_of(*hash, self.part.partitions) == self.part.partition);
        if let Some(last) = &self.last {
            let last = Keys::of(last)?;
            let order = last.hash(0).cmp(&hashes[0]).then_with(|| last.compare(0, &keys, 0));
            fits &= order.is_lt() || (order.is_eq() && !self.unique);
        }
        self.last = Some(column.slice(column.len() - 1, 1));
        if fits {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Kernel,
            "rows came out that are not in the order of keys, or twice, or in another partition, though the kernel \
             says that it keeps keys",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_kernel_gets_more_and_a_slow_one_less() {
        let mut pace = Pace::default();
        for expected in [8, 64, 512, 4096, 32_768, 32_768] {
            pace.took(pace.rows, Duration::from_millis(1));
            assert_eq!(pace.rows, expected);
        }
        pace.took(100, Duration::from_millis(1));
        assert_eq!(pace.rows, 32_768);
        pace.took(32_768, Duration::from_secs(33));
        assert_eq!(pace.rows, 9);
        pace.took(9, Duration::from_millis(10));
        assert_eq!(pace.rows, 9);
        pace.took(9, Duration::from_secs(9));
        assert_eq!(pace.rows, 1);
    }
}
