//! What a request for cores becomes here: a pure function, and its table of cases.
//!
//! The arithmetic is FATE's for its own standalone engine, which counts as one node. Other than there, the numbers are
//! enforced: a session works on exactly `cores` threads.

use std::collections::BTreeMap;

use tributary_core::error::Result;
use tributary_core::placement::{CoreRequest, Placement};
use tributary_placement::nodes::{cores_per_node, reads};
use tributary_placement::{Books, Draft, Terms};

/// Each core is a thread: more than this is taken for a typing mistake.
const MAX_CORES: u32 = 4096;

/// See [`tributary_core::computing::Engine::place`].
pub(crate) fn place(request: &CoreRequest) -> Result<Placement> {
    let terms = Terms {
        engine: "standalone",
        reads: reads(request),
        most: MAX_CORES,
        site_cores: request.site_cores,
    };
    let mut draft = Draft::new(request, terms)?;
    let cores = cores_per_node(&mut draft, 1)?;
    // FATE 1.5.0 books an arbiter's core as anybody's; 1.11 and 2 do not, since the work is small, and so do we.
    let books = if request.is_arbiter() { Books::Nothing } else { Books::Cores };
    draft.finish(cores.into(), books, BTreeMap::from([("threads".to_owned(), cores.to_string())]))
}

#[cfg(test)]
mod tests {
    use tributary_core::ids::Role;
    use tributary_core::placement::Wish;

    use super::*;

    /// `task=` and `parallel=` make it a runtime conf, as does `older`.
    fn ask(text: &str) -> CoreRequest {
        let mut request = CoreRequest::default();
        let (mut job_cores, mut task_cores, mut task_parallelism) = (None, None, None);
        let mut dag = true;
        for word in text.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let number = value.parse().ok();
            dag &= !matches!(name, "older" | "task" | "parallel");
            match name {
                "older" => {}
                "role" => request.role = Some(Role::new(value).unwrap()),
                "job" => job_cores = number,
                "task" => task_cores = number,
                "parallel" => task_parallelism = number,
                "partitions" => request.partitions = number,
                "site" => request.site_cores = number,
                option => drop(request.options.insert(option.into(), value.into())),
            }
        }
        let conf = Wish::RuntimeConf { task_cores, task_parallelism };
        request.wish = if dag { Wish::Dag { job_cores } } else { conf };
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
        check("task=8 cores=2", [8, 8, 8, 8]);
        check("older", [4, 4, 4, 4]);
        check("older site=2", [2, 2, 2, 2]);
        check("older parallel=2", [4, 4, 8, 4]);
        check("task=8 eggroll.session.processors.per.node=2", [2, 2, 2, 2]);
        check("task=3 eggroll.session.processors.per.node=0", [3, 3, 3, 3]);
        check("eggroll.session.processors.per.node=3", [3, 3, 4, 3]);
        check("task=2 partitions=16", [2, 2, 2, 16]);
        check("role=arbiter", [1, 0, 0, 1]);
        check("role=arbiter cores=8 job=16", [1, 0, 0, 1]);
        check("role=arbiter task=8 parallel=2", [1, 0, 0, 1]);
        check("role=arbiter task=8 eggroll.session.processors.per.node=2", [2, 0, 0, 2]);
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
        refused(
            "cores=9 site=8",
            "standalone of this site has at most 8; lower dag.conf.cores or engine_run (cores",
        );
        refused("task=4 parallel=3 site=8", "asks for 12 cores");
    }

    #[test]
    fn zero_absurd_and_unknown_are_refused() {
        refused("task=0", "task_cores is 0, expected 1 to 4096");
        refused("cores=-1", "expected a whole number");
        refused("cores=two", "option cores is \"two\", expected a whole number");
        refused("cores=1000000", "expected 1 to 4096");
        refused("job=0", "dag.conf.cores is 0");
        refused("parallel=0", "task_parallelism is 0");
        refused("partitions=0", "computing_partitions is 0");
        refused("partitions=70000", "expected 1 to 65536");
        refused("core=2", "unknown option \"core\" (did you mean \"cores\"?)");
        refused("cores=2 eggroll.session.processors.per.node=3", "disagree");
    }

    #[test]
    fn what_has_no_effect_is_noted() {
        let notes = |request| place(&ask(request)).unwrap().notes;
        assert_eq!(notes("cores=2"), Vec::<String>::new());
        assert_eq!(
            notes("num-executors=2"),
            ["option num-executors has no effect on engine standalone here: it counts on engine spark"]
        );
        assert_eq!(notes("task=2 cores=3").len(), 1);
        assert_eq!(
            notes("task=8 eggroll.session.processors.per.node=2"),
            ["task_cores has no effect beside eggroll.session.processors.per.node"]
        );
    }
}
