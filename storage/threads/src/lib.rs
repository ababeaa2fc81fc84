//! The threads on which a store talks to its server, whose client needs tokio; our engines, which poll stores, have none.
//!
//! Each store has its own: what one server blocks, no other waits for.

mod pieces;

pub use pieces::Pieces;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use tributary_core::{Error, Result, ResultExt};

/// Requests wait far more than they compute.
const THREADS: usize = 2;

/// Ends without waiting for what still runs on it, also when the last owner is dropped on another runtime's thread.
pub struct Threads(Option<Runtime>);

impl Threads {
    /// Starts them, under the store's name.
    pub fn start(store: &str) -> Result<Self> {
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(THREADS).thread_name(store).enable_all();
        Ok(Self(Some(runtime.build().at(|| format!("start the threads of {store}"))?)))
    }

    /// For a client that starts work of its own. `Bug` when they have ended.
    pub fn handle(&self) -> Result<Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone()).ok_or_else(ended)
    }

    /// Runs work there. Dropped, what it returns stops the work.
    pub fn run<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Work<T> {
        Work(self.0.as_ref().map(|runtime| runtime.spawn(work)))
    }

    /// The same for work that nobody waits for.
    pub fn leave(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            drop(runtime.spawn(work));
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{THREADS} threads")
    }
}

/// Work on a store's threads.
#[derive(Debug)]
pub struct Work<T>(Option<JoinHandle<Result<T>>>);

impl<T> Future for Work<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(task) = self.0.as_mut() else { return Poll::Ready(Err(ended())) };
        Pin::new(task).poll(context).map(|joined| joined.unwrap_or_else(|why| Err(ended().because(why))))
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

fn ended() -> Error {
    Error::bug("the threads of a store have ended")
}
