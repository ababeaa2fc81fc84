//! How the fragments of a task that the cluster cancels come to know of it.

use std::sync::{Arc, Mutex};

use tributary_partition::cancel::{Cancel, lock};

/// What the fragments of one task listen to. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<Mutex<Listeners>>);

#[derive(Default)]
struct Listeners {
    stopped: bool,
    cancels: Vec<Cancel>,
}

impl Stop {
    /// Stops this as well; at once, if it is too late already.
    pub(crate) fn also(&self, cancel: &Cancel) {
        let mut listeners = lock(&self.0);
        if listeners.stopped {
            cancel.raise();
        } else {
            listeners.cancels.push(cancel.clone());
        }
    }

    fn stop(&self) {
        let mut listeners = lock(&self.0);
        listeners.stopped = true;
        listeners.cancels.drain(..).for_each(|cancel| cancel.raise());
    }
}

/// Stops when it is dropped.
pub(crate) struct StopGuard(pub(crate) Stop);

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_reaches_all_that_listen_and_those_that_come_too_late() {
        let (stop, early, late) = (Stop::default(), Cancel::default(), Cancel::default());
        stop.also(&early);
        assert!(!early.is_raised());
        drop(StopGuard(stop.clone()));
        stop.also(&late);
        assert!(early.is_raised() && late.is_raised());
    }
}
