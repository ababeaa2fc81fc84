//! The threads on which a store talks to its server.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use tributary_core::{Error, Result, ResultExt};

/// Requests wait far more than they compute.
const THREADS: usize = 2;

/// Ends without waiting for what still runs on it, also when the last owner is dropped on another runtime's thread.
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    pub(crate) fn start() -> Result<Self> {
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(THREADS).thread_name("object store").enable_all();
        Ok(Self(Some(runtime.build().at(|| "start the threads of an object store")?)))
    }

    /// Runs work there. Dropped, what it returns stops the work.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Work<T> {
        Work(self.0.as_ref().map(|runtime| runtime.spawn(work)))
    }

    /// The same for work that nobody waits for.
    pub(crate) fn leave(&self, work: impl Future<Output = ()> + Send + 'static) {
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
pub(crate) struct Work<T>(Option<JoinHandle<Result<T>>>);

impl<T> Future for Work<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = || Error::bug("the threads of an object store have ended");
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
