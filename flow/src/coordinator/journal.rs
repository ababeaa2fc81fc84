//! One job's changes, as its coordinator appends them.

use std::sync::Arc;

use tokio::sync::Mutex;
use tributary_core::{JobId, Result};

use crate::fault;
use crate::store::{JobChange, JobState, JobStore};

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    store: Arc<dyn JobStore>,
    job: JobId,
    revision: Mutex<u64>,
}

impl Journal {
    /// Continues what is kept of a job, and gives the state it is in.
    pub(super) async fn open(store: Arc<dyn JobStore>, job: &JobId) -> Result<(Self, JobState)> {
        let state = JobState::of(&store.history(job).await?);
        Ok((Self { store, job: job.clone(), revision: Mutex::new(state.revision) }, state))
    }

    /// Durable when it returns.
    pub(super) async fn append(&self, change: JobChange) -> Result<()> {
        let mut revision = self.revision.lock().await;
        fault::point("coordinator: before a change");
        self.store.append(&self.job, *revision + 1, change).await?;
        *revision += 1;
        fault::point("coordinator: after a change");
        Ok(())
    }
}
