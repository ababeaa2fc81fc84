//! EggRoll's arithmetic: one executor on every node, all with the same number of cores.

use tributary_core::error::{Error, Result};
use tributary_core::placement::{CoreRequest, Placement, Wish};
use tributary_placement::nodes::{PER_NODE, cores_per_node, reads};
use tributary_placement::{Books, Draft};

use super::{Arithmetic, Executors, Room};

pub(super) fn place(room: &Room, request: &CoreRequest) -> Result<Placement> {
    let mut draft = Draft::new(request, room.terms(reads(request)))?;
    let cores = cores_per_node(&mut draft, room.nodes)?;
    let executors = Executors { count: room.nodes, cores };
    fits(room, request, cores)?;
    // FATE 1.5.0 books an arbiter's cores as anybody's; 1.11 and 2 do not, since the work is small, and so do we.
    let books = if request.is_arbiter() { Books::Nothing } else { Books::Cores };
    draft.finish(executors.total(), books, executors.settings(Arithmetic::Eggroll))
}

fn fits(room: &Room, request: &CoreRequest, each: u32) -> Result<()> {
    if each <= room.per_node {
        return Ok(());
    }
    let wish = match request.wish {
        Wish::Dag { .. } => "engine_run.cores",
        Wish::RuntimeConf { .. } => "task_cores",
    };
    Err(Error::invalid(format!(
        "a task asks for {each} cores on each of {} nodes and a node of this site has {} (engine eggroll: {} cores in all); lower \
         {wish} or {PER_NODE}, or raise computing.eggroll.cores in service_conf.yaml",
        room.nodes, room.per_node, room.cores
    )))
}
