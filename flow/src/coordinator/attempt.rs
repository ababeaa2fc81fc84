//! One attempt at one task, at all its parties: they start together, and it counts only if all of them are done.
//!
//! Every party prepares its outputs by itself. Whether they count is decided once, here, written down, and then carried out at all
//! parties: a model at the guest that does not go with the one at the host is worse than none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tributary_core::{Error, ErrorKind, Party, Result};

use super::journal::Journal;
use crate::agent::{Agent, Part, PartEnd, PartFailure, Settled, Verdict};
use crate::event::TaskReport;
use crate::store::JobChange;

/// Once one party has failed, the others are notified over the federation and end by themselves; a party that is busy, or
/// that never met the one that failed, is stopped after this.
const GRACE: Duration = Duration::from_secs(2);

/// How long a party that was stopped may take to say so.
const STOPPING: Duration = Duration::from_secs(30);

/// All parties of one attempt.
pub(super) struct Attempt {
    pub task: String,
    /// From 0.
    pub attempt: u32,
    pub parts: Vec<(Arc<dyn Agent>, Part)>,
    pub journal: Arc<Journal>,
    /// Ends it early.
    pub stop: watch::Receiver<bool>,
}

/// How an attempt ended.
pub(super) struct AttemptEnd {
    /// Each party's part, in the order they ended.
    pub reports: Vec<TaskReport>,
    /// The failure that made the others fail; nothing if all is well and recorded.
    pub failure: Option<(Party, PartFailure)>,
}

type Ended = (Arc<dyn Agent>, Part, PartEnd);

impl Attempt {
    /// Runs to the end of all parties, and settles it.
    pub(super) async fn run(mut self) -> AttemptEnd {
        let mut ends = self.wait().await;
        let mut failure = first_cause(&mut ends);
        let verdict = match &failure {
            None => Verdict::Record,
            Some((party, _)) => Verdict::Discard(Some(party.clone())),
        };
        let decided = self.decide(&verdict).await;
        // What could not be written down was not decided, and no party has been told.
        let verdict = if decided.is_ok() { verdict } else { Verdict::Discard(None) };
        let settled = join_all(ends.into_iter().map(|end| settle(end, &verdict))).await;
        let mut reports = Vec::new();
        let mut unsettled = None;
        for Settled { report, error } in settled {
            unsettled = unsettled.or_else(|| Some((report.party.clone(), error?.into())));
            reports.push(report);
        }
        if let (Err(error), Some(first)) = (decided, reports.first()) {
            failure = failure.or_else(|| Some((first.party.clone(), error.into())));
        }
        AttemptEnd { reports, failure: failure.or(unsettled) }
    }

    async fn wait(&mut self) -> Vec<Ended> {
        let (mut set, mut running, mut ends) = (JoinSet::new(), BTreeMap::new(), Vec::new());
        for (agent, part) in std::mem::take(&mut self.parts) {
            let (own, runs) = ((agent.clone(), part.clone(), Instant::now()), part);
            let handle = set.spawn(async move { agent.run(&runs).await });
            running.insert(handle.id(), own);
        }
        let (mut stop_at, mut stopped) = (None, false);
        let mut give_up = None;
        loop {
            let joined = tokio::select! {
                joined = set.join_next_with_id() => joined,
                () = tokio::time::sleep_until(give_up.unwrap_or_else(Instant::now)), if give_up.is_some() => {
                    // They end as lost threads do.
                    set.abort_all();
                    give_up = None;
                    continue;
                }
                () = stop_due(&mut self.stop, stop_at), if !stopped => {
                    stopped = true;
                    give_up = Some(Instant::now() + STOPPING);
                    join_all(running.values().map(|(agent, part, _)| agent.stop(part))).await;
                    continue;
                }
            };
            let Some(joined) = joined else { return ends };
            let id = joined.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
            let Some((agent, part, began)) = running.remove(&id) else { continue };
            let end = joined.map_or_else(|panic| panicked(&part, began, panic), |(_, end)| end);
            if end.failure.is_some() {
                stop_at.get_or_insert_with(|| Instant::now() + GRACE);
            }
            ends.push((agent, part, end));
        }
    }

    async fn decide(&self, verdict: &Verdict) -> Result<()> {
        let (task, attempt) = (self.task.clone(), self.attempt);
        let change = JobChange::Decided { task, attempt, record: *verdict == Verdict::Record };
        self.journal.append(change).await
    }
}

/// Waits until it is time to stop what still runs.
async fn stop_due(stop: &mut watch::Receiver<bool>, at: Option<Instant>) {
    let asked = async {
        // An error means that no sender is left that could stop it.
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending().await
        }
    };
    match at {
        Some(at) => drop(tokio::time::timeout_at(at, asked).await),
        None => asked.await,
    }
}

/// What a failed party had is removed by that party itself; one whose process was killed may have prepared something.
async fn settle((agent, part, end): Ended, verdict: &Verdict) -> Settled {
    match end.failure {
        Some(failure) if failure.lost => agent.settle(&part, verdict).await,
        Some(_) => Settled { report: end.report, error: None },
        None => agent.settle(&part, verdict).await,
    }
}

fn panicked(part: &Part, began: Instant, error: JoinError) -> PartEnd {
    let error = match error.is_cancelled() {
        true => Error::new(ErrorKind::Timeout, format!("{} did not stop", part.party)),
        false => Error::bug(format!("the agent of {} panicked", part.party)).because(error),
    };
    PartEnd::failed(TaskReport::of(part, "", began.elapsed()), error, String::new())
}

/// The failure that made the others fail: a party that only says that another failed is not it.
fn first_cause(ends: &mut [Ended]) -> Option<(Party, PartFailure)> {
    let own = |failure: &PartFailure| failure.error.kind() != ErrorKind::Cancelled;
    let failed = |end: &PartEnd| end.failure.is_some();
    let at = ends
        .iter()
        .position(|(_, _, end)| end.failure.as_ref().is_some_and(own))
        .or_else(|| ends.iter().position(|(_, _, end)| failed(end)))?;
    let (_, part, end) = &mut ends[at];
    Some((part.party.clone(), end.failure.as_ref()?.again()))
}
