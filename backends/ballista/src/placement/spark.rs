//! Spark's arithmetic: executors of so many cores each, which the job names or the rules of its front door make up.

use tributary_core::error::Result;
use tributary_core::placement::{CoreRequest, Placement, Wish};
use tributary_placement::{Books, Draft};

use super::{Arithmetic, Executors, Room};

/// Number of executors of a task.
pub(super) const EXECUTORS: &str = "num-executors";
/// Cores of each.
pub(super) const CORES: &str = "executor-cores";

/// FATE 2's default for both options.
const DEFAULT: u32 = 2;

pub(super) fn place(room: &Room, request: &CoreRequest) -> Result<Placement> {
    let mut draft = Draft::new(request, room.terms(&[EXECUTORS, CORES]))?;
    let executors = match request.wish {
        Wish::Dag { .. } => dag(&mut draft, room)?,
        Wish::RuntimeConf { task_cores, .. } => runtime_conf(&mut draft, room, task_cores)?,
    };
    // An arbiter's executors are booked by FATE 1 as anybody's, since Spark itself counts them, and not by FATE 2.
    let books = match request.wish {
        Wish::Dag { .. } if request.is_arbiter() => Books::Nothing,
        _ => Books::Cores,
    };
    draft.finish(executors.total(), books, executors.settings(Arithmetic::Spark))
}

/// FATE 2: two executors of two cores, fewer if the site has fewer; an arbiter gets one of one, whatever the options say.
fn dag(draft: &mut Draft<'_>, room: &Room) -> Result<Executors> {
    let (count, cores) = (draft.option(EXECUTORS)?, draft.option(CORES)?);
    if draft.request().is_arbiter() {
        draft.because("a task works on 1 executor of 1 core: an arbiter's work is small");
        return Ok(Executors { count: 1, cores: 1 });
    }
    let room_for = |count| DEFAULT.min(room.cores_of(count)).max(1);
    let cores_each = cores.unwrap_or_else(|| room_for(count.unwrap_or(1)));
    let executors = Executors {
        count: count.unwrap_or_else(|| DEFAULT.min(room.executors_of(cores_each)).max(1)),
        cores: cores_each,
    };
    room.check(executors, CORES)?;
    let source = |option: &str, given: bool| match given {
        true => format!("{option} as asked"),
        false => format!("{option} by default, at most what the site has"),
    };
    explain(draft, executors, &[source(EXECUTORS, count.is_some()), source(CORES, cores.is_some())]);
    Ok(executors)
}

/// FATE 1: as many executors as nodes, unless `spark_run` says how many; and `task_cores` divided among them, unless it
/// says how many cores each has. What `spark_run` says counts for an arbiter too, which else asks for one core in all.
fn runtime_conf(draft: &mut Draft<'_>, room: &Room, task_cores: Option<u64>) -> Result<Executors> {
    let asked = task_cores.map(|n| draft.count("task_cores", n)).transpose()?;
    let (count, cores) = (draft.option(EXECUTORS)?, draft.positive_option(CORES)?);
    if asked.is_some() && cores.is_some() {
        draft.note(format!("task_cores has no effect beside {CORES}"));
    }
    let executors = count.unwrap_or(room.nodes);
    let divided = |cores: u32| (cores / executors).max(1);
    let (cores, wish, source) = match (cores, draft.request().is_arbiter(), asked) {
        (Some(cores), ..) => (cores, CORES, format!("{CORES} as asked")),
        (None, true, _) => (1, CORES, "1 core is enough for an arbiter".to_owned()),
        (None, false, Some(all)) => {
            (divided(all), "task_cores", format!("task_cores {all} divided among them"))
        }
        (None, false, None) => {
            let all = draft.default_cores();
            let cores = divided(all).min(room.cores_of(executors)).max(1);
            (cores, CORES, format!("{all} cores, the default, divided among them"))
        }
    };
    let executors = Executors { count: executors, cores };
    room.check(executors, wish)?;
    let many = if count.is_some() { format!("{EXECUTORS} as asked") } else { "one for each node".to_owned() };
    explain(draft, executors, &[many, source]);
    Ok(executors)
}

fn explain(draft: &mut Draft<'_>, executors: Executors, sources: &[String; 2]) {
    let Executors { count, cores } = executors;
    let [many, each] = sources;
    draft.because(format!("a task works on {count} executors of {cores} cores: {many}, {each}"));
}
