//! What an attempt leaves, so that another goes on after the last tree that all parties have.
//!
//! Each party keeps its part of the model as it is, and which rows it was trained on; never a gradient or a key. Hosts keep a tree before
//! the guest does, so a host has at least the guest's trees, and forgets what it has beyond them. Scores follow from trees: an
//! attempt that goes on leads its rows through them, and has the same scores to the bit.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tributary_component::release::Source;
use tributary_component::task::Task;
use tributary_core::{Error, Result};

/// Raised with every change of what is kept, and of what it means.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Kept<M> {
    version: u32,
    rows: u64,
    sources: Vec<Source>,
    model: M,
}

fn sources(task: &Task) -> Vec<Source> {
    task.releases.sources.values().flatten().cloned().collect()
}

/// The model that an earlier attempt left, if it was trained on the same rows.
pub(super) fn read<M: DeserializeOwned>(task: &Task, rows: u64) -> Option<M> {
    let (kept, rest) = postcard::take_from_bytes::<Kept<M>>(task.checkpoint.as_ref()?).ok()?;
    let same = kept.version == VERSION && kept.rows == rows && kept.sources == sources(task);
    (same && rest.is_empty()).then_some(kept.model)
}

/// Keeps a model.
pub(super) fn write<M: Serialize>(task: &Task, rows: u64, model: &M) -> Result<()> {
    let kept = Kept { version: VERSION, rows, sources: sources(task), model };
    let bytes = postcard::to_stdvec(&kept).map_err(|e| Error::bug("encode a checkpoint").because(e))?;
    task.progress.checkpoint(&bytes)
}
