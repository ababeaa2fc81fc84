//! The runtime a session was opened in. Its timers are made through here, because a session's futures may be polled outside
//! of it: an engine pulls the rows of a received table from its own threads.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};
use tributary_core::{Error, Result};

/// Longer than any session; a patience beyond it is no limit.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

#[derive(Debug, Clone)]
pub(crate) struct Clock(Handle);

impl Clock {
    /// The runtime of the caller.
    pub(crate) fn current() -> Result<Self> {
        Handle::try_current()
            .map(Self)
            .map_err(|e| Error::bug("a federation session is opened outside of a tokio runtime").because(e))
    }

    pub(crate) fn now(&self) -> Instant {
        let _inside = self.0.enter();
        Instant::now()
    }

    pub(crate) fn sleep_until(&self, when: Instant) -> Sleep {
        let _inside = self.0.enter();
        tokio::time::sleep_until(when)
    }

    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.0.spawn(work)
    }
}

/// Without overflow.
pub(crate) fn after(start: Instant, patience: Duration) -> Instant {
    start + patience.min(FAR)
}
