//! Jobs in the files of FATE 1: run as they are, converted, and what is wrong with them shown in them.

use serde_json::{Value, json};

use crate::site::{Site, example};

fn file(name: &str) -> String {
    example("fate1").join(name).display().to_string()
}

fn content(name: &str) -> String {
    std::fs::read_to_string(example("fate1").join(name)).unwrap()
}

#[test]
fn a_job_of_fate_1_gives_what_the_same_job_of_schema_2_gives_and_its_model_predicts() {
    let site = Site::with_breast_tables();
    let (dsl, conf) = (file("dsl.json"), file("conf.json"));
    site.ok(&["run", "-q", "--job-id", "older", "-d", &dsl, "-c", &conf]);
    let newer = site.write("job.yaml", &site.ok(&["convert", "-d", &dsl, "-c", &conf]));
    site.ok(&["run", "-q", "--job-id", "newer", &newer]);
    // The same trees in plain schema 2.x, written by hand.
    let by_hand = std::fs::read_to_string(example("breast/boost.yaml")).unwrap();
    let by_hand = by_hand
        .replace("        num_trees: 3\n", "        num_trees: 3\n        min_impurity_split: 0.001\n");
    site.ok(&["run", "-q", "--job-id", "by-hand", &site.write("hand.yaml", &by_hand)]);

    let output = |kind: &str, job: &str, task: &str| {
        site.json(&["output", kind, "-j", job, "-p", "9999", "-r", "guest", "-tn", task])["data"].clone()
    };
    let measured = output("metric", "older", "evaluation_0");
    assert_eq!(measured, output("metric", "newer", "evaluation_0"));
    let bins = |job| output("model", job, "hetero_feature_binning_0")["output_model"]["data"].clone();
    assert_eq!(bins("older"), bins("newer"));
    assert!(bins("older")["metrics_summary"].is_object(), "{}", bins("older"));
    let losses = |job: &str, task: &str| -> Vec<f64> {
        let metrics = output("metric", job, task);
        let all = metrics.as_array().unwrap().iter().filter(|metric| metric["name"] == "sbt_loss");
        all.flat_map(|metric| metric["data"].as_array().unwrap().clone())
            .map(|step| step["metric"].as_f64().unwrap())
            .collect()
    };
    let (older, by_hand) = (losses("older", "hetero_secure_boost_0"), losses("by-hand", "sbt_0"));
    assert_eq!((older.len(), by_hand.len()), (3, 3));
    // Rows are added up in the order that the intersection drew.
    assert!(older.iter().zip(&by_hand).all(|(a, b)| (a - b).abs() < 1e-12), "{older:?} {by_hand:?}");

    let named = content("predict_conf.json").replace("${model_id}", "older").replace("${model_version}", "0");
    let predict = site.write("predict_conf.json", &named);
    site.ok(&["run", "-q", "--job-id", "applied", "-d", &file("predict_dsl.json"), "-c", &predict]);
    let auc = |measured: &Value, group: &str| {
        measured[0]["data"]["hetero_secure_boost_0"][group][0]["val"].as_f64().unwrap()
    };
    let applied = output("metric", "applied", "evaluation_0");
    assert_eq!(auc(&measured, "train_set").to_bits(), auc(&applied, "test_set").to_bits(), "{applied}");
}

#[test]
fn the_published_connectivity_test_runs_as_it_was_printed() {
    let site = Site::default();
    // Version 1, one site with both roles, and the options of a Spark cluster.
    let conf = json!({
        "initiator": {"role": "guest", "party_id": 9999},
        "job_parameters": {
            "work_mode": 0, "backend": 1, "spark_run": {"executor-memory": "4G", "total-executor-cores": 4},
        },
        "role": {"guest": [9999], "host": [9999]},
        "role_parameters": {
            "guest": {"secure_add_example_0": {"seed": [123]}}, "host": {"secure_add_example_0": {"seed": [321]}},
        },
        "algorithm_parameters": {"secure_add_example_0": {"partition": 4, "data_num": 1000}},
    });
    let dsl = json!({"components": {"secure_add_example_0": {"module": "SecureAddExample"}}});
    let (dsl, conf) = (site.write("dsl.json", &dsl.to_string()), site.write("conf.json", &conf.to_string()));
    let output = site.run(&["run", "-q", "-d", &dsl, "-c", &conf]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("it means SPARK, HDFS and RABBITMQ"), "{said}");
    let summary = site.metrics("9999", "guest", "secure_add_example_0");
    assert_eq!(summary[0]["data"]["secure_sum"], 2000, "{summary:?}");

    // Any other job of version 1 is refused with what to do.
    let older = content("conf.json").replace("\"dsl_version\": 2,", "");
    let older = site.write("older.json", &older);
    let said = site.fails(2, &["run", "-d", &file("dsl.json"), "-c", &older]);
    assert!(said.contains("version 1") && said.contains("\"dsl_version\": 2"), "{said}");
}

#[test]
fn all_mistakes_are_shown_at_once_in_the_file_that_has_them() {
    let site = Site::with_breast_tables();
    let dsl = content("dsl.json").replace("\"Evaluation\"", "\"Evaluaton\"");
    let conf = content("conf.json")
        .replace("\"bin_num\": 10", "\"bin_nun\": 10")
        .replace("\"max_depth\": 3", "\"max_depth\": 0");
    let (dsl, conf) = (site.write("dsl.json", &dsl), site.write("conf.json", &conf));
    for command in ["run", "explain", "convert"] {
        let said = site.fails(2, &[command, "-d", &dsl, "-c", &conf]);
        for expected in [
            "dsl.json:28:7: components.evaluation_0.module: unknown module \"Evaluaton\" (did you mean \"Evaluation\"?)",
            "conf.json:26:9: component_parameters.common.hetero_feature_binning_0.bin_nun: HeteroFeatureBinning has no \
             parameter \"bin_nun\" (did you mean \"bin_num\"?)",
            "conf.json:34:24: component_parameters.common.hetero_secure_boost_0.tree_param.max_depth: expected an integer",
            "error: 3 problems to fix",
        ] {
            assert!(said.contains(expected), "{command}: expected {expected} in\n{said}");
        }
    }
    // What a site lacks is shown there, too.
    let conf = site.write("conf.json", &content("conf.json").replace("breast_host\"", "breast_hosts\""));
    let said = site.fails(3, &["run", "-q", "-d", &file("dsl.json"), "-c", &conf]);
    let expected = "conf.json:50:34: component_parameters.role.host.0.reader_0.table.name: party 10000 has no table experiment/breast_hosts";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn core_counts_of_fate_1_are_explained_as_fate_1_counts_them() {
    let site = Site::with_breast_tables();
    let with = |common: &str| {
        let conf = content("conf.json").replace("\"task_cores\": 2", common);
        let conf = site.write("conf.json", &conf);
        site.json(&["explain", "--json", "-d", &file("dsl.json"), "-c", &conf])
    };
    site.write("service_conf.yaml", "computing: {standalone: {cores: 16}}\n");
    let booked = |explained: &Value| explained["job_cores"]["guest_9999"].as_u64().unwrap();
    assert_eq!(booked(&with("\"auto_retries\": 0")), 4, "the default of FATE 1");
    assert_eq!(booked(&with("\"task_cores\": 3, \"task_parallelism\": 2")), 6);
    let by_engine = "\"task_cores\": 9, \"eggroll_run\": {\"eggroll.session.processors.per.node\": 2}";
    assert_eq!(booked(&with(by_engine)), 2, "task_cores has no effect then");
}
