//! What a request for cores becomes here: a pure function, and its table of cases.
//!
//! The arithmetic is FATE's for its own standalone engine: version 2's when the engine's option `cores` or the job's cores
//! are given, version 1's when only `task_cores` is. Other than there, the numbers are enforced: a session works on
//! exactly `cores` threads.

use std::collections::BTreeMap;

use tributary_core::error::{Error, Result};
use tributary_core::layout::Layout;
use tributary_core::placement::{CoreRequest, Placement};

/// Cores of a task, and of a job, that says nothing.
const DEFAULT_CORES: u32 = 4;
/// Each core is a thread: more than this is a slip of the pen.
const MAX_CORES: u32 = 4096;
/// The option of `engine_run`, and the older name that FATE 1 takes for this engine as well.
const OPTIONS: [&str; 2] = ["cores", "eggroll.session.processors.per.node"];

/// See [`tributary_core::computing::Engine::place`].
pub(crate) fn place(request: &CoreRequest) -> Result<Placement> {
    let mut reasons = Vec::new();
    let option = option_cores(&request.options)?;
    let arbiter = request.role.as_ref().is_some_and(|role| role.as_str() == "arbiter");
    let task = task_cores(request, option, arbiter, &mut reasons)?;
    let job = if arbiter { 0 } else { job_cores(request, option, task, &mut reasons)? };
    fits_site(request, job.max(task))?;
    let partitions = partitions(request, task, &mut reasons)?;
    Ok(Placement {
        partitions,
        cores: task,
        task_booked: if arbiter { 0 } else { task },
        job_booked: job,
        settings: BTreeMap::from([("threads".to_owned(), task.to_string())]),
        reasons,
    })
}

fn option_cores(options: &BTreeMap<String, String>) -> Result<Option<u32>> {
    let mut cores: Option<u32> = None;
    for (name, value) in options {
        if !OPTIONS.contains(&name.as_str()) {
            return Err(Error::invalid(format!(
                "option {name:?} means nothing to the standalone engine, which knows {}; remove it or use task_cores",
                OPTIONS.join(" and ")
            )));
        }
        let number = value.trim().parse::<u64>().map_err(|_| {
            Error::invalid(format!("option {name} is {value:?}, expected a whole number of cores"))
        })?;
        let number = checked(name, number, MAX_CORES)?;
        if cores.is_some_and(|other| other != number) {
            return Err(Error::invalid(format!(
                "options {} disagree; give one of them",
                OPTIONS.join(" and ")
            )));
        }
        cores = Some(number);
    }
    Ok(cores)
}

fn checked(name: &str, number: u64, most: u32) -> Result<u32> {
    match u32::try_from(number) {
        Ok(fits) if fits > 0 && fits <= most => Ok(fits),
        _ => Err(Error::invalid(format!("{name} is {number}, expected 1 to {most}"))),
    }
}

fn task_cores(
    request: &CoreRequest,
    option: Option<u32>,
    arbiter: bool,
    why: &mut Vec<String>,
) -> Result<u32> {
    let asked = request.task_cores.map(|n| checked("task_cores", n, MAX_CORES)).transpose()?;
    let (cores, reason) = match (arbiter, option, asked) {
        (true, _, _) => (1, "an arbiter's task works on 1 core and books none".to_owned()),
        (_, Some(n), _) => (n, format!("a task works on {n} cores: the engine's option")),
        (_, None, Some(n)) => (n, format!("a task works on {n} cores: task_cores")),
        (_, None, None) => {
            let cores = default_cores(request);
            (cores, format!("a task works on {cores} cores: the default, at most what the site has"))
        }
    };
    why.push(reason);
    Ok(cores)
}

fn job_cores(request: &CoreRequest, option: Option<u32>, task: u32, why: &mut Vec<String>) -> Result<u32> {
    let asked = request.job_cores.map(|n| checked("the job's cores", n, MAX_CORES)).transpose()?;
    let beside = request.task_parallelism.map(|n| checked("task_parallelism", n, MAX_CORES)).transpose()?;
    let older = option.is_none() && request.task_cores.is_some();
    let (job, reason) = match (asked, beside) {
        (Some(n), _) => (n, "as the job asks".to_owned()),
        (None, Some(n)) => (task.saturating_mul(n), format!("{n} tasks (task_parallelism) of {task}")),
        (None, None) if older => (task, "one task at a time (task_parallelism)".to_owned()),
        (None, None) => (default_cores(request), "the default, at most what the site has".to_owned()),
    };
    let raised = if job < task { ", raised to what one task needs" } else { "" };
    let job = job.max(task);
    why.push(format!("the job books {job} cores: {reason}{raised}; {} tasks at once", job / task));
    Ok(job)
}

/// Nobody asked for the default, so a small site gives what it has; only a wish is refused.
fn default_cores(request: &CoreRequest) -> u32 {
    let site = request.site_cores.unwrap_or(u64::from(DEFAULT_CORES)).max(1);
    u64::from(DEFAULT_CORES).min(site) as u32
}

fn fits_site(request: &CoreRequest, cores: u32) -> Result<()> {
    match request.site_cores {
        Some(site) if u64::from(cores) > site => Err(Error::invalid(format!(
            "the job asks for {cores} cores and this site's standalone engine has at most {site}; lower the task's cores (engine_run.cores or task_cores), \
             task_parallelism or the job's cores, or raise cores of the engine in service_conf.yaml"
        ))),
        _ => Ok(()),
    }
}

fn partitions(request: &CoreRequest, task: u32, why: &mut Vec<String>) -> Result<u32> {
    if let Some(asked) = request.partitions {
        let n = checked("the number of partitions", asked, Layout::MAX_PARTITIONS)?;
        why.push(format!("tables have {n} partitions: as asked"));
        return Ok(n);
    }
    why.push(format!("tables have {task} partitions: one for each core of a task"));
    Ok(task)
}

#[cfg(test)]
mod tests {
    use tributary_core::ids::Role;

    use super::*;

    fn ask(text: &str) -> CoreRequest {
        let mut request = CoreRequest::default();
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap();
            let number = value.parse().ok();
            match name {
                "role" => request.role = Some(Role::new(value).unwrap()),
                "job" => request.job_cores = number,
                "task" => request.task_cores = number,
                "parallel" => request.task_parallelism = number,
                "partitions" => request.partitions = number,
                "site" => request.site_cores = number,
                option => drop(request.options.insert(option.into(), value.into())),
            }
        }
        request
    }

    /// Expected: cores, booked by the task, booked by the job, partitions.
    fn check(request: &str, expected: [u32; 4]) {
        let got = place(&ask(request)).unwrap();
        assert_eq!([got.cores, got.task_booked, got.job_booked, got.partitions], expected, "{request}");
        assert!(!got.reasons.is_empty());
    }

    fn refused(request: &str, says: &str) {
        let error = place(&ask(request)).unwrap_err().to_string();
        assert!(error.contains(says), "{request}: {error}");
    }

    #[test]
    fn requests_become_the_numbers_of_the_reference() {
        check("", [4, 4, 4, 4]);
        check("site=2", [2, 2, 2, 2]);
        check("site=2 cores=1", [1, 1, 2, 1]);
        check("site=64", [4, 4, 4, 4]);
        check("cores=2", [2, 2, 4, 2]);
        check("cores=8", [8, 8, 8, 8]);
        check("cores=2 job=8", [2, 2, 8, 2]);
        check("job=2", [4, 4, 4, 4]);
        check("task=2", [2, 2, 2, 2]);
        check("task=2 parallel=3", [2, 2, 6, 2]);
        check("task=8 cores=2", [2, 2, 4, 2]);
        check("eggroll.session.processors.per.node=3", [3, 3, 4, 3]);
        check("task=2 partitions=16", [2, 2, 2, 16]);
        check("role=arbiter", [1, 0, 0, 1]);
        check("role=arbiter cores=8 job=16", [1, 0, 0, 1]);
        check("role=guest cores=8 site=8", [8, 8, 8, 8]);
    }

    #[test]
    fn parallelism_is_job_over_task() {
        assert_eq!(place(&ask("cores=3 job=8")).unwrap().parallelism(), 2);
        assert_eq!(place(&ask("task=2 parallel=3")).unwrap().parallelism(), 3);
        assert_eq!(place(&ask("role=arbiter")).unwrap().parallelism(), u32::MAX);
    }

    #[test]
    fn more_than_the_site_has_names_the_maximum_and_what_to_change() {
        refused("cores=9 site=8", "at most 8; lower the task's cores");
        refused("task=4 parallel=3 site=8", "asks for 12 cores");
    }

    #[test]
    fn zero_absurd_and_unknown_are_refused() {
        refused("task=0", "task_cores is 0, expected 1 to 4096");
        refused("cores=-1", "expected a whole number");
        refused("cores=1000000", "expected 1 to 4096");
        refused("job=0", "the job's cores is 0");
        refused("parallel=0", "task_parallelism is 0");
        refused("partitions=0", "the number of partitions is 0");
        refused("partitions=70000", "expected 1 to 65536");
        refused(
            "num-executors=2",
            "\"num-executors\" means nothing to the standalone engine, which knows cores",
        );
        refused("cores=2 eggroll.session.processors.per.node=3", "disagree");
    }
}
