//! A session's threads: exactly as many as were placed, named after it, gone when it closes.
//!
//! Everything that takes time runs here and nowhere else, so that the placement holds; actions only wait for it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Shared;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::ids::SessionId;

use crate::cancel::{cancelled, lock};

pub struct Pool {
    threads: Mutex<Option<ThreadPool>>,
    ended: Shared<oneshot::Receiver<()>>,
}

impl Pool {
    pub fn new(session: &SessionId, cores: u32) -> Result<Self> {
        let (alive, ended) = oneshot::channel::<()>();
        let name = session.clone();
        let threads = ThreadPoolBuilder::new()
            .num_threads(cores as usize)
            .thread_name(move |i| format!("{i}-{name}"))
            // Does nothing but hold `alive`, which goes with the last thread: that is what `ended` waits for.
            .exit_handler(move |_| {
                let _held = &alive;
            })
            .build()
            .map_err(|e| {
                Error::new(ErrorKind::Exhausted, format!("start {cores} threads for session {session}"))
                    .because(e)
            })?;
        Ok(Self { threads: Mutex::new(Some(threads)), ended: ended.shared() })
    }

    /// Runs a job on one of the threads; `Cancelled` if there are none any more.
    pub fn spawn(&self, job: impl FnOnce() + Send + 'static) -> Result<()> {
        lock(&self.threads).as_ref().ok_or_else(cancelled)?.spawn(job);
        Ok(())
    }

    /// Runs a job and waits for its result. The job runs to its end even if the caller does not wait any more.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, result) = oneshot::channel();
        self.spawn(move || {
            // If the action was dropped, the result is dropped with it.
            drop(sender.send(caught(job)));
        })?;
        result.await.unwrap_or_else(|_| Err(cancelled()))
    }

    /// Lets the threads end once they have finished what they have.
    pub fn dismiss(&self) {
        let threads = lock(&self.threads).take();
        drop(threads);
    }

    /// Waits until the last thread ended. Only after [`Pool::dismiss`].
    pub async fn ended(&self) {
        let ended = self.ended.clone().await;
        debug_assert!(ended.is_err(), "the signal is never sent, only dropped");
    }
}

/// The job's result, or a panic of ours as an error: on a pool's thread it would end the process.
pub fn caught<T>(job: impl FnOnce() -> Result<T>) -> Result<T> {
    let done = catch_unwind(AssertUnwindSafe(job));
    done.unwrap_or_else(|panic| Err(Error::bug(format!("a job panicked{}", why(&*panic)))))
}

/// A panic's message, if it is fixed text: one that was formatted may hold rows.
pub fn why(panic: &(dyn Any + Send)) -> String {
    panic.downcast_ref::<&'static str>().map(|text| format!(": {text}")).unwrap_or_default()
}
