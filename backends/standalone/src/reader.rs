//! Rows on their way to a reader: slices are computed next to each other and ahead of it, by a bounded amount.
//!
//! A job that is far enough ahead does not block its thread: it puts the pipeline down, and the reader has it
//! taken up again. So a reader may be slow, or feed another action of the same session.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use arrow_array::RecordBatch;
use futures::{StreamExt, stream};
use tributary_core::computing::RowStream;
use tributary_core::error::Result;
use tributary_partition::batches::Batches;
use tributary_partition::cancel::{Guard, lock};
use tributary_partition::memory::{Hold, batch_bytes};
use tributary_partition::pipeline::Slice;

use crate::run::Run;

/// Bytes of one slice that are ready before its job pauses, at most.
const MOST_AHEAD_BYTES: u64 = 64 << 20;

/// The rows of a prepared run, slice by slice.
pub(crate) fn read(run: Arc<Run>, slices: Vec<Slice>, guard: Guard) -> RowStream {
    let cores = run.state.spec.placement.cores;
    let ahead_bytes = MOST_AHEAD_BYTES.min(run.state.memory.left() / (4 * u64::from(cores)));
    let (cores, slices) = (cores as usize, slices.into());
    let mut reader = Reader { run, _guard: guard, ahead_bytes, cores, slices, flows: VecDeque::new() };
    stream::poll_fn(move |context| reader.poll(context)).boxed()
}

struct Reader {
    run: Arc<Run>,
    _guard: Guard,
    ahead_bytes: u64,
    cores: usize,
    slices: VecDeque<Slice>,
    flows: VecDeque<Flow>,
}

impl Reader {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        loop {
            while self.flows.len() < self.cores
                && let Some(slice) = self.slices.pop_front()
            {
                let flow = Flow::new(self.run.clone(), slice, self.ahead_bytes);
                flow.resume();
                self.flows.push_back(flow);
            }
            let Some(flow) = self.flows.front() else { return Poll::Ready(None) };
            let polled = flow.poll(context);
            match polled {
                Poll::Ready(None) => drop(self.flows.pop_front()),
                Poll::Ready(Some(Err(error))) => {
                    // The first failure is the last thing that a reader sees.
                    self.slices.clear();
                    self.flows.clear();
                    return Poll::Ready(Some(Err(self.run.outcome(error))));
                }
                other => return other,
            }
        }
    }
}

/// One slice on its way.
struct Flow {
    run: Arc<Run>,
    slice: Slice,
    lane: Arc<Lane>,
}

/// What a flow's job and its reader share. Not the run: the reader must see the end only when the job has dropped all
/// rows.
struct Lane {
    ahead_bytes: u64,
    state: Mutex<Progress>,
}

struct Progress {
    ready: VecDeque<Result<(RecordBatch, Hold)>>,
    ready_bytes: u64,
    work: Work,
    reader: Option<Waker>,
}

enum Work {
    New,
    /// Far enough ahead.
    Paused(Batches),
    Working,
    Ended,
}

impl Flow {
    fn new(run: Arc<Run>, slice: Slice, ahead_bytes: u64) -> Self {
        let state = Progress { ready: VecDeque::new(), ready_bytes: 0, work: Work::New, reader: None };
        Self { run, slice, lane: Arc::new(Lane { ahead_bytes, state: Mutex::new(state) }) }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        let mut state = lock(&self.lane.state);
        let next = state.ready.pop_front();
        if let Some(Ok((_, hold))) = &next {
            state.ready_bytes -= hold.bytes();
        }
        let ended = matches!(state.work, Work::Ended);
        if next.is_none() && !ended {
            state.reader = Some(context.waker().clone());
        }
        let low = state.ready_bytes <= self.lane.ahead_bytes / 2;
        drop(state);
        if low && !ended {
            self.resume();
        }
        match next {
            Some(next) => Poll::Ready(Some(next.map(|(batch, _)| batch))),
            None if ended => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// Takes up a pipeline that waits.
    fn resume(&self) {
        let mut state = lock(&self.lane.state);
        let rows = match std::mem::replace(&mut state.work, Work::Working) {
            Work::New => None,
            Work::Paused(rows) => Some(rows),
            other => {
                state.work = other;
                return;
            }
        };
        drop(state);
        let (run, slice, lane) = (self.run.clone(), self.slice.clone(), self.lane.clone());
        let work = move || {
            let worked = run.attempt(|| lane.fill(&run, &slice, rows));
            drop(run);
            lane.settle(worked);
        };
        if let Err(error) = self.run.state.pool.spawn(work) {
            self.lane.settle(Err(error));
        }
    }
}

impl Lane {
    fn fill(&self, run: &Run, slice: &Slice, rows: Option<Batches>) -> Result<Work> {
        let mut rows = match rows {
            Some(rows) => rows,
            None => run.pull(slice)?,
        };
        let is_held = run.is_held();
        while let Some(batch) = rows.next().transpose()? {
            run.cancel.check()?;
            let mut hold = run.state.memory.hold();
            // The reader gets the batch, whether or not there was room for being ahead.
            let full = !is_held && hold.grow(batch_bytes(&batch)).is_err();
            let mut state = lock(&self.state);
            state.ready_bytes += hold.bytes();
            state.ready.push_back(Ok((batch, hold)));
            let far = full || state.ready_bytes >= self.ahead_bytes;
            wake(state);
            if far {
                return Ok(Work::Paused(rows));
            }
        }
        Ok(Work::Ended)
    }

    fn settle(&self, worked: Result<Work>) {
        let mut state = lock(&self.state);
        state.work = worked.unwrap_or_else(|error| {
            state.ready.push_back(Err(error));
            Work::Ended
        });
        wake(state);
    }
}

/// Outside of the lock: a reader may poll at once.
fn wake(mut state: MutexGuard<'_, Progress>) {
    let reader = state.reader.take();
    drop(state);
    reader.into_iter().for_each(Waker::wake);
}
