//! FATE's arithmetic for engines whose every task works on all nodes alike: EggRoll, and its standalone engine, which is
//! one node.

use tributary_core::error::{Error, Result};
use tributary_core::placement::{CoreRequest, Wish};

use crate::draft::Draft;

/// Cores of a task on all nodes together; an option of the DAG only.
pub const CORES: &str = "cores";
/// Cores of a task on each node; both front doors have it.
pub const PER_NODE: &str = "eggroll.session.processors.per.node";

/// The options that count for a request.
pub fn reads(request: &CoreRequest) -> &'static [&'static str] {
    match request.wish {
        Wish::Dag { .. } => &[CORES, PER_NODE],
        Wish::RuntimeConf { .. } => &[PER_NODE],
    }
}

/// Cores of a task on each of `nodes`, which is at least 1.
///
/// A wish for the whole task is divided, rounded down, and never becomes less than one core a node: on many nodes a task
/// works on more cores than it asked for. `InvalidInput` for options that are no numbers or disagree.
pub fn cores_per_node(draft: &mut Draft<'_>, nodes: u32) -> Result<u32> {
    let split = Split { nodes: nodes.max(1) };
    let (each, why) = match draft.request().wish {
        Wish::Dag { .. } => dag(draft, &split)?,
        Wish::RuntimeConf { task_cores, .. } => runtime_conf(draft, &split, task_cores)?,
    };
    let all = u64::from(each) * u64::from(split.nodes);
    draft.because(match split.nodes {
        1 => format!("a task works on {all} cores: {why}"),
        nodes => format!("a task works on {all} cores, {each} on each of {nodes} nodes: {why}"),
    });
    Ok(each)
}

fn dag(draft: &mut Draft<'_>, split: &Split) -> Result<(u32, String)> {
    let (all, each) = (draft.option(CORES)?, draft.option(PER_NODE)?);
    if let (Some(all), Some(each)) = (all, each)
        && split.of(all) != each
    {
        return Err(Error::invalid(format!(
            "options {CORES} ({all}) and {PER_NODE} ({each}) disagree on {} nodes; give one of them",
            split.nodes
        )));
    }
    Ok(match (draft.request().is_arbiter(), each, all) {
        (true, ..) => arbiter(),
        (_, Some(each), _) => (each, format!("{PER_NODE} is {each}")),
        (_, None, Some(all)) => split.explained(all, format!("engine_run.{CORES} is {all}")),
        (_, None, None) => default(draft, split),
    })
}

/// FATE 1 gives an arbiter one core in all, but what `eggroll_run` says counts for every role.
fn runtime_conf(draft: &mut Draft<'_>, split: &Split, task_cores: Option<u64>) -> Result<(u32, String)> {
    let all = task_cores.map(|n| draft.count("task_cores", n)).transpose()?;
    let each = draft.positive_option(PER_NODE)?;
    if all.is_some() && each.is_some() {
        draft.note(format!("task_cores has no effect beside {PER_NODE}"));
    }
    Ok(match (each, draft.request().is_arbiter(), all) {
        (Some(each), ..) => (each, format!("{PER_NODE} is {each}")),
        (None, true, _) => arbiter(),
        (None, false, Some(all)) => split.explained(all, format!("task_cores is {all}")),
        (None, false, None) => default(draft, split),
    })
}

fn arbiter() -> (u32, String) {
    (1, "an arbiter's work is small".to_owned())
}

fn default(draft: &Draft<'_>, split: &Split) -> (u32, String) {
    let cores = draft.default_cores();
    split.explained(cores, format!("{cores} is the default, at most what the site has"))
}

struct Split {
    nodes: u32,
}

impl Split {
    fn of(&self, cores: u32) -> u32 {
        (cores / self.nodes).max(1)
    }

    fn explained(&self, cores: u32, why: String) -> (u32, String) {
        let uneven = match cores {
            _ if cores < self.nodes => ", and every node gives at least one",
            _ if !cores.is_multiple_of(self.nodes) => ", rounded down to the same on every node",
            _ => "",
        };
        (self.of(cores), why + uneven)
    }
}
