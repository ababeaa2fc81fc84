//! Cancelling: one flag for each action, raised when its future is dropped, a partition fails or the session closes.
//!
//! Threads that compute look at the flag before each piece of work; threads that wait for storage are woken. Waiting is our
//! own twenty lines, because `futures::executor::block_on` panics when nested, and a part being written (one wait) pulls
//! rows that are being read (another) on the same thread.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{Either, Shared, select};
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::ids::SessionId;

/// A lock that a panic elsewhere does not take away: what it guards is whole after every statement.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an action is still wanted. Clones are one.
#[derive(Clone)]
pub struct Cancel(Arc<Flag>);

struct Flag {
    raised: AtomicBool,
    bell: Mutex<Option<oneshot::Sender<()>>>,
    rung: Shared<oneshot::Receiver<()>>,
}

impl Default for Cancel {
    fn default() -> Self {
        let (bell, rung) = oneshot::channel();
        let (raised, bell) = (AtomicBool::new(false), Mutex::new(Some(bell)));
        Self(Arc::new(Flag { raised, bell, rung: rung.shared() }))
    }
}

impl Cancel {
    pub fn raise(&self) {
        self.0.raised.store(true, Ordering::Release);
        drop(lock(&self.0.bell).take());
    }

    pub fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }

    pub fn check(&self) -> Result<()> {
        if self.is_raised() { Err(cancelled()) } else { Ok(()) }
    }

    /// The future's result, or `Cancelled` as soon as the flag is raised; the future is dropped then. What fails after that
    /// was cancelled, whatever it says.
    pub async fn race<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        self.check()?;
        match select(pin!(future), self.0.rung.clone()).await {
            Either::Left((Err(_), _)) if self.is_raised() => Err(cancelled()),
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(cancelled()),
        }
    }

    /// As [`Cancel::race`], on this thread.
    pub fn wait<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        wait(self.race(future))
    }
}

/// Raises the flag when dropped: owned by an action's future, or by the stream that it returned.
pub struct Guard(pub Cancel);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.raise();
    }
}

/// The actions of one session that are in progress.
pub struct Actions {
    session: SessionId,
    /// `None` once closed.
    running: Mutex<Option<Vec<Cancel>>>,
}

impl Actions {
    pub fn new(session: SessionId) -> Self {
        Self { session, running: Mutex::new(Some(Vec::new())) }
    }

    /// Begins an action. `Cancelled` once the session is closed.
    pub fn begin(&self) -> Result<Guard> {
        let mut running = lock(&self.running);
        let running = running.as_mut().ok_or_else(|| {
            let text = format!("session {} is closed", self.session);
            Error::new(ErrorKind::Cancelled, text)
        })?;
        running.retain(|action| !action.is_raised());
        let cancel = Cancel::default();
        running.push(cancel.clone());
        Ok(Guard(cancel))
    }

    /// Cancels all actions, and refuses others from now on. `false` if the session was closed before.
    pub fn close(&self) -> bool {
        let running = lock(&self.running).take();
        running.iter().flatten().for_each(Cancel::raise);
        running.is_some()
    }

    pub fn is_closed(&self) -> bool {
        lock(&self.running).is_none()
    }
}

pub fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the action was cancelled, or its session closed")
}

struct Sleeper {
    thread: Thread,
    awake: AtomicBool,
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.awake.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Runs a future to its end on this thread. May be nested: a wake-up is remembered by the wait that it is for.
pub fn wait<F: Future>(future: F) -> F::Output {
    let sleeper = Arc::new(Sleeper { thread: thread::current(), awake: AtomicBool::new(false) });
    let waker = Waker::from(sleeper.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        while !sleeper.awake.swap(false, Ordering::AcqRel) {
            thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::pending;

    use super::*;

    #[test]
    fn a_wait_inside_a_wait_loses_no_wake_up() {
        let (outer, outer_rung) = oneshot::channel::<u8>();
        let (inner, inner_rung) = oneshot::channel::<u8>();
        let ringer = thread::spawn(move || {
            outer.send(1).unwrap();
            thread::sleep(Duration::from_millis(20));
            inner.send(2).unwrap();
        });
        let got = wait(async move {
            let second = wait(inner_rung).unwrap();
            outer_rung.await.unwrap() + second
        });
        assert_eq!(got, 3);
        ringer.join().unwrap();
    }

    #[test]
    fn a_raised_flag_wakes_a_thread_that_waits() {
        let cancel = Cancel::default();
        let guard = Guard(cancel.clone());
        let waiting = thread::spawn(move || cancel.wait(pending::<Result<()>>()));
        drop(guard);
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    }
}
