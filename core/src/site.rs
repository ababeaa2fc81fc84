//! One party's side of a job: an engine for each contract, and a folder. Made by the composition root, which alone knows the
//! engines' names; job control uses it without knowing any.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::computing::Engine;
use crate::federation::Network;
use crate::ids::PartyId;
use crate::limits::Limits;
use crate::meta::StorageMeta;
use crate::storage::Storage;

/// What a party brings to a job.
#[derive(Debug, Clone)]
pub struct Site {
    /// Which party.
    pub id: PartyId,
    /// Computes.
    pub engine: Arc<dyn Engine>,
    /// Keeps tables.
    pub storage: Arc<dyn Storage>,
    /// Knows tables by name.
    pub meta: Arc<dyn StorageMeta>,
    /// Reaches the other parties.
    pub network: Arc<dyn Network>,
    /// Cores that this site gives to jobs on its computing engine.
    pub cores: u32,
    /// Memory of one task's session.
    pub memory_bytes: u64,
    /// How long a peer may be silent while a task waits for it.
    pub patience: Duration,
    /// What this party lets go to its partners.
    pub limits: Limits,
    /// Where this party's jobs and models are recorded.
    pub home: PathBuf,
}
