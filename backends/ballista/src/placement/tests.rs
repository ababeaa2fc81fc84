//! Every branch of both arithmetics as a table, odd values, and what holds for any request on any cluster.

use proptest::prelude::*;
use tributary_core::ids::Role;
use tributary_core::placement::Wish;

use super::*;

/// `eggroll 4x8` is a site of 4 nodes with 8 cores each, `spark 3:10` one of 3 nodes with 10 cores in all. What follows
/// is the request: of a runtime conf if it has `older`, `task=` or `parallel=`, else of a DAG.
fn ask(text: &str) -> (Cluster, CoreRequest) {
    let mut words = text.split_whitespace();
    let arithmetic = match words.next().unwrap() {
        "eggroll" => Arithmetic::Eggroll,
        "spark" => Arithmetic::Spark,
        other => panic!("{other}"),
    };
    let size = words.next().unwrap();
    let number = |text: &str| text.parse::<u32>().unwrap();
    let (nodes, cores) = match (size.split_once('x'), size.split_once(':')) {
        (Some((nodes, each)), _) => (number(nodes), number(nodes) * number(each)),
        (_, Some((nodes, all))) => (number(nodes), number(all)),
        _ => panic!("{size}"),
    };
    let mut request = CoreRequest::default();
    let (mut job_cores, mut task_cores, mut task_parallelism, mut dag) = (None, None, None, true);
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let number = value.parse().ok();
        dag &= !matches!(name, "older" | "task" | "parallel");
        match name {
            "older" => {}
            "arbiter" | "guest" | "host" => request.role = Some(Role::new(name).unwrap()),
            "job" => job_cores = number,
            "task" => task_cores = number,
            "parallel" => task_parallelism = number,
            "partitions" => request.partitions = number,
            "site" => request.site_cores = number,
            "per.node" => drop(request.options.insert(PER_NODE.into(), value.into())),
            option => drop(request.options.insert(option.into(), value.into())),
        }
    }
    let conf = Wish::RuntimeConf { task_cores, task_parallelism };
    request.wish = if dag { Wish::Dag { job_cores } } else { conf };
    (Cluster { arithmetic, nodes, cores }, request)
}

/// Expected: executors, cores of each, booked by the task, booked by the job.
fn check(case: &str, expected: [u32; 4]) {
    let (cluster, request) = ask(case);
    let got = place(&cluster, &request).unwrap_or_else(|e| panic!("{case}: {e}"));
    let executors = Executors::of(&got).unwrap();
    assert_eq!([executors.count, executors.cores, got.task_booked, got.job_booked], expected, "{case}");
    assert_eq!((u64::from(got.cores), got.partitions), (executors.total(), got.cores), "{case}");
    assert!(got.reasons.len() >= 3, "{case}: {:?}", got.reasons);
}

fn refused(case: &str, says: &str) {
    let (cluster, request) = ask(case);
    let error = place(&cluster, &request).expect_err(case).to_string();
    assert!(error.contains(says), "{case}: {error}");
}

fn notes(case: &str) -> Vec<String> {
    let (cluster, request) = ask(case);
    place(&cluster, &request).unwrap().notes
}

#[test]
fn eggroll_by_the_dag() {
    check("eggroll 1x8", [1, 4, 4, 4]);
    check("eggroll 2x8", [2, 2, 4, 4]);
    check("eggroll 3x8", [3, 1, 3, 4]);
    check("eggroll 8x8", [8, 1, 8, 8]); // fewer cores than nodes
    check("eggroll 1x2", [1, 2, 2, 2]); // a small site gives what it has
    check("eggroll 2:3", [2, 1, 2, 3]);
    check("eggroll 4x8 cores=16", [4, 4, 16, 16]);
    check("eggroll 4x8 cores=10", [4, 2, 8, 8]); // not divisible: rounded down
    check("eggroll 4x8 cores=3", [4, 1, 4, 4]);
    check("eggroll 4x8 cores=32 guest", [4, 8, 32, 32]);
    check("eggroll 4x8 cores=8 job=32 host", [4, 2, 8, 32]);
    check("eggroll 4x8 cores=8 job=20", [4, 2, 8, 20]);
    check("eggroll 4x8 job=2", [4, 1, 4, 4]); // job too small: raised
    check("eggroll 4x8 per.node=3", [4, 3, 12, 12]);
    check("eggroll 4x8 per.node=2 cores=8", [4, 2, 8, 8]);
    check("eggroll 4x8 per.node=2 cores=11", [4, 2, 8, 8]);
    check("eggroll 4x8 arbiter", [4, 1, 0, 0]);
    check("eggroll 4x8 arbiter cores=32 job=32", [4, 1, 0, 0]);
}

#[test]
fn eggroll_by_the_runtime_conf() {
    check("eggroll 4x8 older", [4, 1, 4, 4]);
    check("eggroll 1x8 older", [1, 4, 4, 4]);
    check("eggroll 1x2 older", [1, 2, 2, 2]);
    check("eggroll 4x8 task=16", [4, 4, 16, 16]);
    check("eggroll 4x8 task=10", [4, 2, 8, 8]);
    check("eggroll 4x8 task=1", [4, 1, 4, 4]);
    check("eggroll 4x8 task=8 parallel=2 guest", [4, 2, 8, 16]);
    check("eggroll 4x8 parallel=8", [4, 1, 4, 32]);
    check("eggroll 4x8 task=100 per.node=2 host", [4, 2, 8, 8]); // task_cores does not count
    check("eggroll 4x8 older per.node=2 parallel=3", [4, 2, 8, 24]);
    check("eggroll 4x8 task=8 per.node=0", [4, 2, 8, 8]);
    check("eggroll 4x8 task=8 per.node=-1", [4, 2, 8, 8]);
    check("eggroll 4x8 task=100 parallel=100 arbiter", [4, 1, 0, 0]);
    check("eggroll 4x8 task=100 per.node=2 arbiter", [4, 2, 0, 0]); // eggroll_run counts for every role
}

#[test]
fn spark_by_the_dag() {
    check("spark 2x8", [2, 2, 4, 4]);
    check("spark 1x4", [2, 2, 4, 4]); // both on one node
    check("spark 1x3", [1, 2, 2, 3]);
    check("spark 1x1", [1, 1, 1, 1]);
    check("spark 3x1", [2, 1, 2, 3]);
    check("spark 2x8 num-executors=4", [4, 2, 8, 8]);
    check("spark 2x8 num-executors=16", [16, 1, 16, 16]); // the default gives way, the wish does not
    check("spark 2x5 num-executors=5", [5, 1, 5, 5]); // 2 cores each would be 10, but 3 of them on one node
    check("spark 2x8 executor-cores=5", [2, 5, 10, 10]);
    check("spark 1x8 executor-cores=5", [1, 5, 5, 5]);
    check("spark 2x8 num-executors=1 executor-cores=8 guest", [1, 8, 8, 8]);
    check("spark 2x8 num-executors=1 executor-cores=2 job=16 host", [1, 2, 2, 16]);
    check("spark 2x8 num-executors=3 executor-cores=2 job=5", [3, 2, 6, 6]);
    check("spark 2x8 arbiter", [1, 1, 0, 0]);
    check("spark 2x8 arbiter num-executors=99 executor-cores=99 job=99", [1, 1, 0, 0]);
}

#[test]
fn spark_by_the_runtime_conf() {
    check("spark 2x8 older", [2, 2, 4, 4]);
    check("spark 4x8 older", [4, 1, 4, 4]);
    check("spark 8x8 older", [8, 1, 8, 8]); // fewer cores than nodes
    check("spark 1x2 older", [1, 2, 2, 2]);
    check("spark 2x8 task=10", [2, 5, 10, 10]);
    check("spark 2x8 task=11", [2, 5, 10, 10]); // not divisible: rounded down
    check("spark 4x8 task=1", [4, 1, 4, 4]);
    check("spark 2x8 task=3 parallel=5 guest", [2, 1, 2, 10]);
    check("spark 2x8 task=8 num-executors=4", [4, 2, 8, 8]); // task_cores is divided among those
    check("spark 2x8 older num-executors=3", [3, 1, 3, 3]);
    check("spark 2x2 older num-executors=1", [1, 2, 2, 2]); // the default gives way
    check("spark 2x8 task=100 executor-cores=3 host", [2, 3, 6, 6]);
    check("spark 2x8 task=100 num-executors=3 executor-cores=4", [3, 4, 12, 12]);
    check("spark 2x8 older num-executors=1 executor-cores=2 parallel=2", [1, 2, 2, 4]);
    check("spark 2x8 task=8 executor-cores=0", [2, 4, 8, 8]);
    check("spark 2x8 task=8 executor-cores=-5", [2, 4, 8, 8]);
    check("spark 2x8 task=8 arbiter", [2, 1, 2, 2]); // Spark counts an arbiter's executors
    check("spark 2x8 task=8 parallel=3 arbiter", [2, 1, 2, 6]);
    check("spark 2x8 task=8 num-executors=3 arbiter", [3, 1, 3, 3]);
    check("spark 2x8 task=8 num-executors=3 executor-cores=2 arbiter", [3, 2, 6, 6]);
}

#[test]
fn the_executors_are_told_by_the_engines_own_names() {
    let settings = |case| {
        let (cluster, request) = ask(case);
        let settings = place(&cluster, &request).unwrap().settings;
        settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(settings("eggroll 2x8 cores=6"), "eggroll.session.processors.per.node=3 nodes=2");
    assert_eq!(settings("spark 2x8 task=6"), "executor-cores=3 num-executors=2");
}

#[test]
fn settings_that_are_not_of_this_engine_are_no_executors() {
    let (cluster, request) = ask("spark 2x8");
    let placement = place(&cluster, &request).unwrap();
    let changed = |name: &str, value: &str| {
        let mut placement = placement.clone();
        placement.settings.insert(name.into(), value.into());
        Executors::of(&placement).unwrap_err().to_string()
    };
    for (name, value) in [("num-executors", "0"), ("num-executors", "3"), ("executor-cores", "two")] {
        assert!(
            changed(name, value).contains("do not say which executors make up 4 cores"),
            "{name}={value}"
        );
    }
    assert!(Executors::of(&Placement { settings: BTreeMap::new(), ..placement }).is_err());
}

#[test]
fn what_does_not_fit_names_the_sites_numbers_and_what_to_change() {
    refused(
        "eggroll 2x8 cores=18",
        "9 cores on each of 2 nodes and a node of this site has 8 (engine eggroll: 16 cores in all); lower engine_run.cores or",
    );
    refused(
        "eggroll 2x8 task=18",
        "lower task_cores or eggroll.session.processors.per.node, or raise computing.eggroll.cores",
    );
    refused("eggroll 2x8 per.node=9", "9 cores on each of 2 nodes");
    refused("eggroll 2:15 per.node=8", "a node of this site has 7");
    refused("eggroll 2x8 older per.node=9 arbiter", "9 cores on each of 2 nodes");
    refused(
        "eggroll 2x8 task=8 parallel=3",
        "the job asks for 24 cores and engine eggroll of this site has at most 16",
    );
    refused(
        "eggroll 2x8 job=17",
        "lower dag.conf.cores or engine_run (cores or eggroll.session.processors.per.node)",
    );
    refused(
        "eggroll 2x8 site=3 cores=4",
        "a task asks for 4 cores and engine eggroll of this site has at most 3",
    );
    refused(
        "spark 2x8 executor-cores=9",
        "executors of 9 cores and a node of this site has 8 (engine spark: 16 cores on 2 nodes); lower executor-cores, or raise",
    );
    refused(
        "spark 2x8 task=18",
        "executors of 9 cores and a node of this site has 8 (engine spark: 16 cores on 2 nodes); lower task_cores,",
    );
    refused(
        "spark 2x8 num-executors=5 executor-cores=3",
        "5 executors of 3 cores and this site has room for 4 (engine spark: 16 cores on 2 nodes, 8 each); lower num-executors or executor-cores,",
    );
    refused("spark 2x8 num-executors=17", "17 executors of 1 cores and this site has room for 16");
    refused("spark 2x8 site=5 num-executors=6", "room for 5");
    refused("spark 2x8 older num-executors=17", "room for 16");
    refused(
        "spark 2x8 task=24 num-executors=5",
        "room for 4 (engine spark: 16 cores on 2 nodes, 8 each); lower num-executors or task_cores,",
    );
    refused("spark 2x8 task=8 parallel=3 arbiter num-executors=6", "the job asks for 18 cores");
    refused("spark 2x8 job=17", "dag.conf.cores or engine_run (num-executors or executor-cores)");
    refused(
        "spark 4:3",
        "engine spark of this site has 3 cores on 4 nodes, expected at least one node and one core on each",
    );
    refused("eggroll 0:3", "has 3 cores on 0 nodes");
}

#[test]
fn zero_absurd_and_disagreeing_are_refused() {
    refused("eggroll 2x8 cores=0", "cores is 0, expected 1 to 1000000");
    refused("eggroll 2x8 cores=-2", "option cores is \"-2\", expected a whole number");
    refused("eggroll 2x8 cores=two", "expected a whole number");
    refused("eggroll 2x8 cores=18446744073709551615", "expected 1 to 1000000");
    refused("eggroll 2x8 per.node=0", "eggroll.session.processors.per.node is 0");
    refused("eggroll 2x8 older per.node=18446744073709551615", "expected 1 to 1000000");
    refused("eggroll 2x8 older per.node=2.5", "expected a whole number");
    refused(
        "eggroll 2x8 cores=8 per.node=3",
        "cores (8) and eggroll.session.processors.per.node (3) disagree on 2 nodes",
    );
    refused("eggroll 2x8 cores=8 per.node=3 arbiter", "disagree");
    refused("eggroll 2x8 task=0", "task_cores is 0");
    refused("eggroll 2x8 task=18446744073709551615", "task_cores is 18446744073709551615");
    refused("eggroll 2x8 parallel=0", "task_parallelism is 0");
    refused("eggroll 2x8 parallel=18446744073709551615", "task_parallelism is");
    refused("eggroll 2x8 job=0", "dag.conf.cores is 0");
    refused("eggroll 2x8 partitions=0", "computing_partitions is 0");
    refused("spark 2x8 num-executors=0", "num-executors is 0");
    refused("spark 2x8 older num-executors=0", "num-executors is 0");
    refused("spark 2x8 executor-cores=0", "executor-cores is 0");
    refused("spark 2x8 executor-cores=0 arbiter", "executor-cores is 0");
    refused("spark 2x8 num-executors=18446744073709551615", "expected 1 to 1000000");
    refused("spark 2x8 executor-cores=many", "option executor-cores is \"many\"");
    refused("spark 2x8 task=0 executor-cores=2", "task_cores is 0");
}

#[test]
fn an_option_without_effect_is_noted_and_an_unknown_one_refused() {
    let none: [&str; 0] = [];
    assert_eq!(notes("spark 2x8 num-executors=2"), none);
    assert_eq!(
        notes("spark 2x8 executor-memory=4G total-executor-cores=4 conf={} cores=8"),
        [
            "option conf has no effect on engine spark here: it is for Spark itself",
            "option cores has no effect on engine spark here: it counts on engine standalone or eggroll, and not by the rules of FATE 1",
            "option executor-memory has no effect on engine spark here: the site's configuration says what memory a task gets",
            "option total-executor-cores has no effect on engine spark here: a task gets num-executors times executor-cores",
        ]
    );
    assert_eq!(
        notes("eggroll 2x8 num-executors=2 executor-cores=2"),
        [
            "option executor-cores has no effect on engine eggroll here: it counts on engine spark",
            "option num-executors has no effect on engine eggroll here: it counts on engine spark",
        ]
    );
    assert_eq!(notes("eggroll 2x8 task=8 cores=4").len(), 1);
    assert_eq!(
        notes("eggroll 2x8 task=8 per.node=1"),
        [format!("task_cores has no effect beside {PER_NODE}")]
    );
    assert_eq!(
        notes("eggroll 2x8 older per.node=0"),
        [format!("option {PER_NODE} is 0, which counts as not given")]
    );
    assert_eq!(
        notes("spark 2x8 task=8 executor-cores=1"),
        ["task_cores has no effect beside executor-cores"]
    );
    refused("spark 2x8 num-executor=2", "unknown option \"num-executor\" (did you mean \"num-executors\"?)");
    refused("spark 2x8 executor_cores=2", "(did you mean \"executor-cores\"?)");
    refused("spark 2x8 drivr-memory=1g", "(did you mean \"driver-memory\"?)");
    refused(
        "eggroll 2x8 eggroll.session.processor.per.node=2",
        "(did you mean \"eggroll.session.processors.per.node\"?)",
    );
    refused(
        "eggroll 2x8 pace=2",
        "unknown option \"pace\" (engine eggroll reads cores and eggroll.session.processors.per.node)",
    );
}

fn odd() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..40u64, 1 => 0..2_000_000u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn requests() -> impl Strategy<Value = CoreRequest> {
    let optional = || prop::option::of(odd());
    let wish = prop_oneof![
        optional().prop_map(|job_cores| Wish::Dag { job_cores }),
        (optional(), optional())
            .prop_map(|(task_cores, task_parallelism)| Wish::RuntimeConf { task_cores, task_parallelism }),
    ];
    let name =
        prop::sample::select(vec!["cores", PER_NODE, "num-executors", "executor-cores", "executor-memory"]);
    let value = prop_oneof![8 => odd().prop_map(|n| n.to_string()), 1 => any::<i64>().prop_map(|n| n.to_string()), 1 => ".{0,8}"];
    let options = prop::collection::btree_map(name.prop_map(str::to_owned), value, 0..4);
    let role = prop::option::of(prop::sample::select(vec!["guest", "host", "arbiter"]));
    (role, wish, optional(), options, optional()).prop_map(|(role, wish, partitions, options, site_cores)| {
        CoreRequest { role: role.map(|role| Role::new(role).unwrap()), wish, partitions, options, site_cores }
    })
}

fn clusters() -> impl Strategy<Value = Cluster> {
    let arithmetic = prop::sample::select(vec![Arithmetic::Eggroll, Arithmetic::Spark]);
    let size = prop_oneof![6 => 0..70u32, 1 => any::<u32>()];
    let nodes = prop_oneof![6 => 0..9u32, 1 => any::<u32>()];
    (arithmetic, nodes, size).prop_map(|(arithmetic, nodes, cores)| Cluster { arithmetic, nodes, cores })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_placement_is_within_the_site_and_booked_in_full(cluster in clusters(), request in requests()) {
        let Ok(got) = place(&cluster, &request) else { return Ok(()) };
        let executors = Executors::of(&got).unwrap();
        let total = request.site_cores.unwrap_or(u64::MAX).min(cluster.cores.into());
        prop_assert!(got.cores > 0 && got.partitions > 0);
        prop_assert_eq!(executors.total(), u64::from(got.cores));
        prop_assert!(u64::from(got.cores) <= total && u64::from(got.job_booked) <= total);
        let on_one_node = cluster.cores / cluster.nodes;
        prop_assert!(executors.cores <= on_one_node);
        prop_assert!(executors.count.div_ceil(cluster.nodes).saturating_mul(executors.cores) <= on_one_node);
        prop_assert!(got.job_booked >= got.task_booked);
        match (request.is_arbiter(), got.task_booked) {
            (true, 0) => prop_assert_eq!(got.job_booked, 0),
            (_, booked) => prop_assert_eq!(booked, got.cores),
        }
    }

    /// A request that asks for nothing is never refused.
    #[test]
    fn the_default_fits_every_site(arithmetic in 0..2, nodes in 1..1000u32, each in 1..1000u32, arbiter: bool, dag: bool) {
        let arithmetic = [Arithmetic::Eggroll, Arithmetic::Spark][arithmetic as usize];
        let conf = Wish::RuntimeConf { task_cores: None, task_parallelism: None };
        let wish = if dag { Wish::default() } else { conf };
        let role = arbiter.then(|| Role::new("arbiter").unwrap());
        let request = CoreRequest { role, wish, ..CoreRequest::default() };
        let cluster = Cluster { arithmetic, nodes, cores: nodes * each };
        prop_assert_eq!(place(&cluster, &request).err().map(|e| e.to_string()), None);
    }
}
