//! The task executor: one attempt at one task of one party, from its resolved description to stored outputs.
//!
//! Engines are opened for the attempt and closed with it, whatever happens: done, failed, timed out or stopped. Closing a
//! federation after a failure notifies the other parties at once.

mod inputs;
mod outputs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tributary_component::{Component, Level, Releases, Stage, Task};
use tributary_core::computing::{Computing, End, SessionSpec};
use tributary_core::federation::{Carriage, Federation, FederationSpec};
use tributary_core::placement::Placement;
use tributary_core::{Error, ErrorKind, JobHash, JobId, Party, Result, ResultExt, SessionId, Site, TaskName};

use self::outputs::Origin;
pub(crate) use self::outputs::PartyOutputs;
use crate::ledger;
use crate::metered::Metered;
use crate::progress::TaskProgress;
use crate::record::Records;
use crate::sources;
use crate::spec::{ModelRef, PartyTask};

/// Closing sessions after a failure may take this long.
const CLOSING: Duration = Duration::from_secs(10);

/// What all parties of an attempt share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub job: JobId,
    /// The name that the job's own models get.
    pub model: ModelRef,
    pub name: String,
    pub stage: Stage,
    pub component: Arc<dyn Component>,
    pub parties: Vec<Party>,
    pub attempt: u32,
    pub job_hash: JobHash,
    /// How the job would like its values to be carried, by the name of the transport.
    pub carriage: BTreeMap<String, Carriage>,
}

impl Shared {
    fn session(&self) -> Result<SessionId> {
        Ok(SessionId::new(self.job.clone(), TaskName::new(self.name.as_str())?, self.attempt))
    }
}

/// One party's part of an attempt, ready to run.
pub(crate) struct PartyAttempt {
    pub shared: Shared,
    pub task: PartyTask,
    pub site: Site,
    pub placement: Placement,
    pub timeout: Duration,
    pub progress: Arc<TaskProgress>,
    pub stop: watch::Receiver<bool>,
}

/// Sessions opened so far.
#[derive(Default)]
struct Sessions {
    computing: Option<Arc<Metered>>,
    federation: Option<Arc<dyn Federation>>,
}

impl Sessions {
    async fn close(&self, end: End) -> Result<()> {
        let federation = async {
            match &self.federation {
                Some(federation) => {
                    federation.close(end).await.at(|| "close the federation session").map(drop)
                }
                None => Ok(()),
            }
        };
        let computing = async {
            match &self.computing {
                Some(computing) => computing.close(end).await.at(|| "close the computing session"),
                None => Ok(()),
            }
        };
        let (left, closed) = futures::join!(federation, computing);
        left.and(closed)
    }
}

impl PartyAttempt {
    /// Runs to the end, the time-out, or until it is stopped; then closes what it opened.
    pub(crate) async fn run(self) -> PartyOutputs {
        let (mut end, mut sessions, mut stop) =
            (PartyOutputs::new(&self), Sessions::default(), self.stop.clone());
        let outcome = tokio::select! {
            done = self.work(&mut sessions, &mut end) => done,
            () = tokio::time::sleep(self.timeout) => {
                let seconds = self.timeout.as_secs();
                Err(Error::new(ErrorKind::Timeout, format!("not done after {seconds} s; raise timeout in the job's conf")))
            }
            // An error means that no sender is left that could stop it.
            Ok(_) = stop.wait_for(|stop| *stop) => Err(Error::new(ErrorKind::Cancelled, "stopped")),
        };
        let state = if outcome.is_ok() { End::Done } else { End::Failed };
        let closed = match tokio::time::timeout(CLOSING, sessions.close(state)).await {
            Ok(closed) => closed,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("sessions not closed after {} s", CLOSING.as_secs()),
            )),
        };
        end.actions = sessions.computing.as_ref().map_or(0, |session| session.actions());
        end.traffic = sessions.federation.as_ref().map(|f| f.traffic()).unwrap_or_default();
        // The task's own failure counts before one of the clean-up.
        end.outcome = outcome.and(closed);
        match &end.outcome {
            Ok(()) => self.progress.log.line(Level::Info, "done"),
            Err(error) => self.progress.log.line(Level::Error, &error.chain()),
        }
        end
    }

    async fn work(&self, sessions: &mut Sessions, end: &mut PartyOutputs) -> Result<()> {
        let (computing, federation) = self.open(sessions).await?;
        let (sources, recoded) = self.sources().await?;
        let origin = Origin {
            sources: sources::text(&sources),
            recoded: recoded.values().flatten().cloned().collect(),
        };
        let ledger = Arc::new(ledger::Releases::new(&self.site.home));
        let task = Task {
            name: self.shared.name.clone(),
            stage: self.shared.stage,
            own: self.task.party.clone(),
            parties: self.shared.parties.clone(),
            parameters: (*self.task.parameters).clone(),
            inputs: self.inputs(&computing).await?,
            producers: self.producers(),
            checkpoint: Records::new(&self.site.home).checkpoint(
                &self.shared.job,
                &self.task.party.role,
                &self.shared.name,
            )?,
            computing,
            federation,
            releases: Releases { limits: self.site.limits.clone(), ledger, sources, recoded },
            progress: self.progress.clone(),
        };
        let outputs = self.shared.component.run(&task).await?;
        self.store(outputs, &origin, end).await
    }

    async fn open(&self, sessions: &mut Sessions) -> Result<(Arc<dyn Computing>, Arc<dyn Federation>)> {
        let (site, shared) = (&self.site, &self.shared);
        let session = shared.session()?;
        let spec = SessionSpec {
            id: session.clone(),
            placement: self.placement.clone(),
            memory_bytes: site.memory_bytes,
        };
        let computing = site.engine.open(spec).await.at(|| "open a computing session")?;
        let computing = Metered::new(computing);
        sessions.computing = Some(computing.clone());
        let federation = FederationSpec {
            session,
            own: self.task.party.clone(),
            peers: shared.parties.iter().filter(|p| **p != self.task.party).cloned().collect(),
            job_hash: shared.job_hash,
            patience: site.patience,
            carriage: shared.carriage.get(site.network.name()).cloned().unwrap_or_default(),
        };
        let federation = site.network.join(federation).await.at(|| "join the other parties")?;
        sessions.federation = Some(federation.clone());
        Ok((computing, federation))
    }
}
