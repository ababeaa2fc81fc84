//! Batches encoded on several threads, written in order.
//!
//! A thread takes and decodes the next batch while it holds the source, then encodes it in parallel with the others, then
//! delivers it. The thread that delivers the next batch in order writes it and the finished ones after it. At most two
//! finished batches per thread may wait, so memory depends on the threads and not on the table.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;

use arrow_array::RecordBatch;
use tributary_core::{Error, ErrorKind, Result, ResultExt};

use crate::sink::Sink;

/// The next batch, `None` after the last.
pub(crate) type Next<'a> = dyn FnMut() -> Result<Option<RecordBatch>> + Send + 'a;
/// One batch as bytes.
pub(crate) type Encode<'a> = dyn Fn(&RecordBatch) -> Result<Vec<u8>> + Sync + 'a;
/// Called with rows and bytes written so far.
pub(crate) type Report<'a> = dyn Fn(u64, u64) + Sync + 'a;

struct Batches<'a> {
    next: &'a mut Next<'a>,
    taken: u64,
    over: bool,
}

struct Output<'a> {
    sink: &'a mut Sink,
    due: u64,
    rows: u64,
    waiting: BTreeMap<u64, (u64, Vec<u8>)>,
    failed: Option<Error>,
}

struct Shared<'a> {
    source: Mutex<Batches<'a>>,
    output: Mutex<Output<'a>>,
    written: Condvar,
    encode: &'a Encode<'a>,
    report: &'a Report<'a>,
    threads: usize,
}

/// Encodes and writes all batches, and returns the number of rows. Stops at the first error.
pub(crate) fn run<'a>(
    threads: usize,
    next: &'a mut Next<'a>,
    encode: &'a Encode<'a>,
    sink: &'a mut Sink,
    report: &'a Report<'a>,
) -> Result<u64> {
    let shared = Shared {
        source: Mutex::new(Batches { next, taken: 0, over: false }),
        output: Mutex::new(Output { sink, due: 0, rows: 0, waiting: BTreeMap::new(), failed: None }),
        written: Condvar::new(),
        encode,
        report,
        threads,
    };
    thread::scope(|scope| {
        // The caller's thread is one of them.
        for _ in 1..threads {
            let builder = thread::Builder::new().name("export".into());
            // Fewer threads than requested are enough.
            if builder.spawn_scoped(scope, || shared.work()).is_err() {
                break;
            }
        }
        shared.work();
    });
    let output = shared.output.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    match output.failed {
        Some(error) => Err(error),
        None => Ok(output.rows),
    }
}

impl<'a> Shared<'a> {
    fn work(&self) {
        // A batch whose encoder panics is never delivered, and the other threads would wait for it.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.until_the_end()));
        let panicked = |_| Err(Error::bug("the encoder of rows panicked"));
        if let Err(error) = outcome.unwrap_or_else(panicked) {
            let mut output = self.output();
            output.failed.get_or_insert(error);
            drop(output);
            self.written.notify_all();
        }
    }

    fn until_the_end(&self) -> Result<()> {
        while let Some((number, batch)) = self.take()? {
            let bytes = (self.encode)(&batch)?;
            if !self.hand_in(number, batch.num_rows() as u64, bytes)? {
                break;
            }
        }
        Ok(())
    }

    fn take(&self) -> Result<Option<(u64, RecordBatch)>> {
        let mut source = self.source.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if source.over {
            return Ok(None);
        }
        let next = (source.next)();
        source.over = !matches!(next, Ok(Some(_)));
        let number = source.taken;
        source.taken += 1;
        next.map(|batch| batch.map(|batch| (number, batch)))
    }

    /// Whether to continue.
    fn hand_in(&self, number: u64, rows: u64, bytes: Vec<u8>) -> Result<bool> {
        let mut output = self.output();
        while output.failed.is_none() && number != output.due && output.waiting.len() >= 2 * self.threads {
            output = self.written.wait(output).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        if output.failed.is_some() {
            return Ok(false);
        }
        output.waiting.insert(number, (rows, bytes));
        let Output { sink, due, rows, waiting, .. } = &mut *output;
        while let Some((count, bytes)) = waiting.remove(due) {
            sink.write_all(&bytes).map_err(write_failed).at(|| sink.described())?;
            *due += 1;
            *rows += count;
            (self.report)(*rows, sink.bytes());
        }
        drop(output);
        self.written.notify_all();
        Ok(true)
    }

    fn output(&self) -> MutexGuard<'_, Output<'a>> {
        self.output.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A reader that closes a pipe early is no failure, so that error has its own kind.
pub(crate) fn write_failed(reason: io::Error) -> Error {
    match reason.kind() {
        io::ErrorKind::BrokenPipe => {
            Error::new(ErrorKind::Cancelled, "its reader has closed it").because(reason)
        }
        _ => reason.into(),
    }
}
