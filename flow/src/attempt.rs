//! One attempt at one task, at all its parties: they start together, and it counts only if all of them are done.
//!
//! Outputs are recorded once every party has succeeded, and never for some of them: a model at the guest that does not go
//! with the one at the host is worse than none. Whatever else happens, the tables that the attempt stored are removed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tributary_core::{Error, ErrorKind, Party, Result};

use crate::executor::{PartyAttempt, PartyEnd};

/// Once one party has failed, the others are notified over the federation and end by themselves; a party that is busy, or
/// that never met the one that failed, is stopped after this.
const GRACE: Duration = Duration::from_secs(2);

/// All parties of one attempt.
pub(crate) struct Attempt {
    pub parties: Vec<PartyAttempt>,
    pub stop: watch::Sender<bool>,
}

/// How an attempt ended.
pub(crate) struct AttemptEnd {
    /// Each party's end and how long it took, in the order they ended.
    pub parties: Vec<(Party, PartyEnd, Duration)>,
    /// The failure that made the others fail; nothing if all is well and recorded.
    pub failure: Option<(Party, Error)>,
}

impl Attempt {
    /// Runs to the end of all parties. A clone of `stop` can end it early.
    pub(crate) async fn run(self) -> AttemptEnd {
        let mut ends = self.wait().await;
        let mut failure = first_cause(&mut ends);
        if failure.is_none() {
            failure = record(&ends).err();
            if let Some((party, error)) = &failure {
                not_recorded(&mut ends, party, error);
            }
        }
        if failure.is_some() {
            for (_, end, _) in &ends {
                end.discard().await;
            }
        }
        AttemptEnd { parties: ends, failure }
    }

    async fn wait(self) -> Vec<(Party, PartyEnd, Duration)> {
        let (mut set, mut running, mut ends) = (JoinSet::new(), BTreeMap::new(), Vec::new());
        let began = Instant::now();
        for party in self.parties {
            let (own, blank) = (party.party().clone(), PartyEnd::new(&party));
            // A thread of its own: stores and record files block, and timers and signals must not wait for them.
            let runtime = Handle::current();
            let handle = set.spawn_blocking(move || runtime.block_on(party.run()));
            running.insert(handle.id(), (own, blank));
        }
        let mut stop_at = None;
        loop {
            let next = match stop_at {
                None => set.join_next_with_id().await,
                Some(at) => match tokio::time::timeout_at(at, set.join_next_with_id()).await {
                    Ok(next) => next,
                    Err(_) => {
                        self.stop.send_replace(true);
                        set.join_next_with_id().await
                    }
                },
            };
            let Some(joined) = next else { return ends };
            let (id, end) = match joined {
                Ok((id, end)) => (id, Ok(end)),
                Err(error) => (error.id(), Err(error)),
            };
            let Some((party, blank)) = running.remove(&id) else { continue };
            let end = end.unwrap_or_else(|panic| blank.failed(panicked(panic)));
            if end.outcome.is_err() {
                stop_at.get_or_insert_with(|| (Instant::now() + GRACE).into());
            }
            ends.push((party, end, began.elapsed()));
        }
    }
}

/// Records the results of all parties, or of none.
fn record(ends: &[(Party, PartyEnd, Duration)]) -> Result<(), (Party, Error)> {
    let mut all = Vec::new();
    for (party, end, _) in ends {
        all.push((party, end.stage().map_err(|e| (party.clone(), e))?));
    }
    for (party, staged) in &mut all {
        staged.publish().map_err(|e| (party.clone(), e))?;
    }
    all.into_iter().for_each(|(_, staged)| staged.keep());
    ends.iter().for_each(|(_, end, _)| end.forget_checkpoint());
    Ok(())
}

/// What is not recorded did not succeed, at any party.
fn not_recorded(ends: &mut [(Party, PartyEnd, Duration)], failed: &Party, error: &Error) {
    for (party, end, _) in ends {
        end.outcome = Err(match party == failed {
            true => copy_of(error),
            false => Error::new(
                ErrorKind::Cancelled,
                format!("not recorded, because {failed} could not record its part"),
            ),
        });
    }
}

fn copy_of(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.chain());
    if error.is_retryable() { copy.retry(tributary_core::error::Retry::Useful) } else { copy }
}

fn panicked(error: JoinError) -> Error {
    let text = match error.try_into_panic() {
        Ok(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => {
                payload.downcast::<&str>().map_or("no reason given".into(), |text| text.to_string())
            }
        },
        Err(_) => "its thread was lost".into(),
    };
    Error::bug(format!("the task panicked: {text}"))
}

/// The failure that made the others fail: a party that only says that another failed is not it.
fn first_cause(ends: &mut [(Party, PartyEnd, Duration)]) -> Option<(Party, Error)> {
    let failed = |end: &PartyEnd| end.outcome.is_err();
    let own = |end: &PartyEnd| end.outcome.as_ref().is_err_and(|e| e.kind() != ErrorKind::Cancelled);
    let at = ends
        .iter()
        .position(|(_, end, _)| own(end))
        .or_else(|| ends.iter().position(|(_, end, _)| failed(end)))?;
    let (party, end, _) = &mut ends[at];
    let error = end.outcome.as_ref().err()?;
    Some((party.clone(), copy_of(error)))
}
