//! The table against the components it names, and random jobs against what FATE's rules say of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tributary_component::Components;
use tributary_component::definition::Definition;
use tributary_core::{Party, PartyId, Role};
use tributary_document::{Collector, Limits, parse};
use tributary_flow::spec::JobSpec;

use super::*;
use crate::table::{Becomes, MODULES, Module, OTHERS, Shape};
use crate::tree::Tree;

fn all() -> Components {
    tributary_components::all()
}

fn converted(dsl: &Value, conf: &Value) -> Result<Job, Problems> {
    let (dsl, conf) = (dsl.to_string(), conf.to_string());
    let dsl = File { name: "dsl.json", text: dsl.as_bytes() };
    let check = |job: &Job| JobSpec::parse(&job.file, job.text.as_bytes(), &all()).err();
    let job = convert(&dsl, &File { name: "conf.json", text: conf.as_bytes() }).map_err(|m| m.with(check))?;
    match check(&job) {
        Some(problems) => Err(job.origins.trace(&problems)),
        None => Ok(job),
    }
}

fn spec(dsl: &Value, conf: &Value) -> JobSpec {
    let job = converted(dsl, conf).unwrap_or_else(|problems| panic!("{problems}\n{dsl}\n{conf}"));
    JobSpec::parse("job.yaml", job.text.as_bytes(), &all()).unwrap()
}

/// Whether a component has a parameter at a path.
fn has(definition: &Definition, path: &str) -> bool {
    let (record, field) = path.split_once('.').map_or((path, None), |(record, field)| (record, Some(field)));
    let found = definition.parameters.iter().find(|parameter| parameter.name == record);
    found.is_some_and(|found| {
        field.is_none_or(|field| {
            found.kind.to_string().contains(field) || format!("{:?}", found.kind).contains(field)
        })
    })
}

#[test]
fn the_table_names_components_parameters_and_artifacts_that_there_are() {
    let components = all();
    for module in MODULES {
        let names: BTreeSet<&str> = module.rules.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), module.rules.len(), "{}: a parameter twice", module.name);
        assert!(!OTHERS.iter().any(|(other, _)| other.eq_ignore_ascii_case(module.name)), "{}", module.name);
        if module.shape == Shape::Folded {
            continue;
        }
        let definition = components.get(module.component).unwrap().definition();
        for rule in module.rules {
            let ours = match &rule.becomes {
                Becomes::Kept(ours) | Becomes::Columns(ours) | Becomes::Words(ours, _) => Some(*ours),
                _ => None,
            };
            for ours in ours.into_iter().chain(rule.default.map(|(ours, _)| ours)) {
                assert!(has(definition, ours), "{}: {} has no {ours}", module.name, definition.name);
            }
        }
        check_artifacts(module, definition);
    }
}

fn check_artifacts(module: &Module, definition: &Definition) {
    let outputs: Vec<&str> = definition.outputs.iter().map(|output| output.name).collect();
    let inputs: Vec<&str> = definition.inputs.iter().map(|input| input.name).collect();
    let (wanted_inputs, wanted_outputs): (Vec<&str>, Vec<&str>) = match module.shape {
        Shape::Folded => return,
        Shape::Simple { input, outputs, model, .. } => {
            (input.into_iter().collect(), outputs.iter().map(|(ours, _)| *ours).chain(model).collect())
        }
        Shape::Fitted { model, isometric, learns } => {
            let learning: &[&str] =
                if learns { &["validate_data", "warm_start_model", "cv_data"] } else { &[] };
            let inputs = ["train_data", "test_data", "input_model"].into_iter().chain(isometric);
            (
                inputs.chain(learning.iter().copied()).collect(),
                vec!["train_output_data", "test_output_data", model],
            )
        }
    };
    assert!(wanted_inputs.iter().all(|input| inputs.contains(input)), "{}: {wanted_inputs:?}", module.name);
    assert!(
        wanted_outputs.iter().all(|output| outputs.contains(output)),
        "{}: {wanted_outputs:?}",
        module.name
    );
}

#[test]
fn the_documentation_is_the_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fate1.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (by_hand, marker) = page.split_once("<!-- From here").unwrap();
    let marker = format!("<!-- From here{}", marker.lines().next().unwrap());
    let expected = format!("{by_hand}{marker}\n\n{}", reference());
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    assert!(
        page == expected || std::env::var_os("UPDATE_REFERENCE").is_some(),
        "docs/fate1.md is not the table"
    );
}

#[test]
fn every_job_parameter_of_the_table_is_read() {
    for (name, _) in job_parameters::TABLE {
        let found = converted(&toy_dsl(), &toy_conf(&json!({name: [[]]})));
        if let Err(problems) = found {
            assert!(!problems.to_string().contains("unknown"), "{name}: {problems}");
        }
    }
}

fn toy_dsl() -> Value {
    json!({"components": {"toy_0": {"module": "SecureAddExample"}}})
}

fn toy_conf(job_parameters: &Value) -> Value {
    json!({
        "dsl_version": 2, "initiator": {"role": "guest", "party_id": 1}, "role": {"guest": [1], "host": [2, 3], "arbiter": [2]},
        "job_parameters": {"common": job_parameters},
        "component_parameters": {"common": {"toy_0": {"data_num": 10, "partition": 2}}},
    })
}

/// A chain of components, each `(name, module, input, outputs)`.
fn dsl(chain: &[(&str, &str, Value, &[&str])]) -> Value {
    let components: Map<String, Value> = chain
        .iter()
        .map(|(name, module, input, data)| {
            let output = json!({"data": data, "model": ["model"]});
            ((*name).to_owned(), json!({"module": module, "input": input, "output": output}))
        })
        .collect();
    json!({"components": components})
}

fn conf(hosts: usize, common: Value, role: Value) -> Value {
    let mut role = role;
    let hosts: Vec<usize> = (100..100 + hosts).collect();
    for (group, ids) in [("guest", vec![1]), ("host", hosts.clone())] {
        for index in 0..ids.len() {
            let reader = json!({"reader_0": {"table": {"name": format!("t{index}"), "namespace": "n"}}});
            let entries = role.as_object_mut().unwrap().entry(group).or_insert_with(|| json!({}));
            let entry =
                entries.as_object_mut().unwrap().entry(index.to_string()).or_insert_with(|| json!({}));
            entry.as_object_mut().unwrap().insert("reader_0".to_owned(), reader["reader_0"].clone());
        }
    }
    json!({
        "dsl_version": "2", "initiator": {"role": "guest", "party_id": "1"}, "role": {"guest": [1], "host": hosts},
        "component_parameters": {"common": common, "role": role},
    })
}

fn data(reference: &str) -> Value {
    json!({"data": {"data": [reference]}})
}

fn wired(spec: &JobSpec, task: &str, input: &str) -> String {
    let guest = Party { role: Role::guest(), id: PartyId::new("1").unwrap() };
    let inputs = &spec.tasks[task].party(&guest).unwrap().inputs;
    let found = inputs.data.get(input).or_else(|| inputs.model.get(input));
    serde_json::to_string(found.unwrap_or_else(|| panic!("{task} has no {input}"))).unwrap()
}

#[test]
fn what_is_wired_decides_whether_a_component_trains_applies_or_goes_on() {
    let chain: Vec<(&str, &str, Value, &[&str])> = vec![
        ("reader_0", "Reader", json!({}), &["train"]),
        ("dataio_0", "DataIO", data("reader_0.train"), &["d"]),
        ("psi_0", "intersection", data("dataio_0.d"), &["d"]),
        ("split_0", "HeteroDataSplit", data("psi_0.d"), &["test_data", "train_data"]),
        ("binning_0", "HeteroFeatureBinning", data("split_0.train_data"), &["d"]),
        (
            "binning_1",
            "HeteroFeatureBinning",
            json!({"data": {"data": ["split_0.test_data"]}, "model": ["binning_0.model"]}),
            &["d"],
        ),
        ("statistics_0", "DataStatistics", data("binning_1.d"), &["d"]),
        (
            "selection_0",
            "HeteroFeatureSelection",
            json!({"data": {"data": ["statistics_0.d"]}, "isometric_model": ["binning_1.model", "statistics_0.model"]}),
            &["d"],
        ),
        (
            "boost_0",
            "HeteroSecureBoost",
            json!({"data": {"train_data": ["split_0.train_data"], "validate_data": ["split_0.test_data"]}}),
            &["d"],
        ),
        (
            "boost_1",
            "HeteroSecureBoost",
            json!({"data": {"test_data": ["split_0.test_data"]}, "model": ["boost_0.model"]}),
            &["d"],
        ),
        (
            "boost_2",
            "HeteroSecureBoost",
            json!({"data": {"train_data": ["split_0.train_data"]}, "model": ["boost_0.model"]}),
            &["d"],
        ),
        ("boost_3", "HeteroSecureBoost", json!({"data": {"train_data": ["split_0.train_data"]}}), &["d"]),
        ("evaluation_0", "Evaluation", json!({"data": {"data": ["boost_0.d", "boost_1.d"]}}), &["d"]),
    ];
    let common = json!({"boost_3": {"cv_param": {"need_cv": true, "n_splits": 4}}});
    let spec = spec(&dsl(&chain), &conf(1, common, json!({})));
    let stages: Vec<&str> =
        ["binning_0", "binning_1", "selection_0", "boost_0", "boost_1", "boost_2", "boost_3"]
            .map(|task| spec.tasks[task].stage.as_str())
            .to_vec();
    assert_eq!(stages, ["train", "predict", "train", "train", "predict", "train", "cross_validation"]);
    let check = |task: &str, input: &str, sources: &[(&str, &str)]| {
        let expected: Vec<Value> = sources
            .iter()
            .map(|(task, key)| json!({"source": "task_output", "producer_task": task, "output_artifact_key": key}))
            .collect();
        let found: Value = serde_json::from_str(&wired(&spec, task, input)).unwrap();
        assert_eq!(found, Value::Array(expected), "{task}.{input}");
    };
    check("psi_0", "input_data", &[("reader_0", "output_data")]);
    check("binning_0", "train_data", &[("split_0", "train_output_data")]);
    check("binning_1", "test_data", &[("split_0", "test_output_data")]);
    check("binning_1", "input_model", &[("binning_0", "output_model")]);
    check("statistics_0", "input_data", &[("binning_1", "test_output_data")]);
    check("selection_0", "train_data", &[("binning_1", "test_output_data")]);
    check("selection_0", "input_models", &[("binning_0", "output_model"), ("statistics_0", "output_model")]);
    check("boost_0", "validate_data", &[("split_0", "test_output_data")]);
    check("boost_1", "input_model", &[("boost_0", "output_model")]);
    check("boost_2", "warm_start_model", &[("boost_0", "output_model")]);
    check("boost_3", "cv_data", &[("split_0", "train_output_data")]);
    check(
        "evaluation_0",
        "input_datas",
        &[("boost_0", "train_output_data"), ("boost_1", "test_output_data")],
    );
    assert!(!spec.tasks.contains_key("dataio_0"));
}

#[test]
fn a_cycle_is_reported_and_does_not_hang() {
    let chain: Vec<(&str, &str, Value, &[&str])> = vec![
        ("a", "DataTransform", data("b.d"), &["d"]),
        ("b", "DataTransform", data("a.d"), &["d"]),
        ("c", "Intersection", data("a.d"), &["d"]),
    ];
    let problems = converted(&dsl(&chain), &conf(1, json!({}), json!({}))).unwrap_err().to_string();
    assert!(problems.contains("form a cycle"), "{problems}");
}

#[test]
fn mistakes_are_reported_where_they_are_written() {
    let chain: Vec<(&str, &str, Value, &[&str])> = vec![
        ("reader_0", "Reader", json!({}), &["d"]),
        ("psi_0", "Intersection", data("reader_0.d"), &["d"]),
        ("boost_0", "HeteroSecureBoost", json!({"data": {"train_data": ["psi_0.d"]}}), &["d"]),
    ];
    let check = |common: Value, role: Value, expected: &str| {
        let problems = converted(&dsl(&chain), &conf(2, common, role)).unwrap_err().to_string();
        assert!(problems.contains(expected), "expected {expected} in\n{problems}");
    };
    let at = "component_parameters.common.boost_0";
    check(json!({"bost_0": {}}), json!({}), "unknown component \"bost_0\" (did you mean \"boost_0\"?)");
    check(
        json!({"boost_0": {"num_tree": 1}}),
        json!({}),
        "num_tree: HeteroSecureBoost has no parameter \"num_tree\" (did you mean \"num_trees\"?)",
    );
    check(
        json!({"boost_0": {"tree_param": {"max_dept": 1}}}),
        json!({}),
        "has no parameter \"max_dept\" (did you mean \"max_depth\"?)",
    );
    check(
        json!({"boost_0": {"tree_param": 3}}),
        json!({}),
        &format!("{at}.tree_param: expected a map, got 3"),
    );
    check(json!({"boost_0": {"num_trees": 0}}), json!({}), &format!("{at}.num_trees: expected an integer"));
    check(
        json!({"boost_0": {"objective_param": {"objective": "lae"}}}),
        json!({}),
        "expected one of cross_entropy, lse, got \"lae\"",
    );
    check(
        json!({"boost_0": {"zero_as_missing": true}}),
        json!({}),
        "expected false, got true (upload with --null 0",
    );
    check(
        json!({}),
        json!({"host": {"2": {}}}),
        "role.host.2: expected places in the list of role host (0 to 1)",
    );
    check(json!({}), json!({"host": {"0|x": {}}}), "role.host.0|x: expected places");
    check(json!({}), json!({"hots": {}}), "unknown role \"hots\" (did you mean \"host\"?)");
    let two = converted(
        &dsl(&chain),
        &conf(2, json!({"boost_0": {"num_trees": 0}}), json!({"host": {"all": {"boost_0": {"top_rat": 1}}}})),
    );
    assert_eq!(two.unwrap_err().list().len(), 2, "of both kinds at once");
}

/// JSON as files of jobs may have it.
fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "(null|true|No|1|0x1|-|~|a b|a: b|# c|1e5|[a-z_.-]{1,8})".prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Layers of one parameter: for which hosts, and the value.
fn layers() -> impl Strategy<Value = Vec<(&'static str, i64)>> {
    let keys = prop::sample::select(vec!["all", "0", "1", "2", "0|1", "0|2", "1|2"]);
    prop::collection::btree_map(keys, 1_i64..9, 0..4).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_as_it_was(map in prop::collection::btree_map(".{1,9}", values(), 1..6), comment: String) {
        let value = Value::Object(map.into_iter().filter(|(key, _)| key != "<<").collect());
        prop_assume!(!value.to_string().contains("\"<<\""));
        let (text, _) = Tree::of_json(value.clone()).comment(comment).write();
        let report = Collector::new("job.yaml");
        let node = parse(text.as_bytes(), &Limits::default(), &report);
        prop_assume!(value.as_object().is_some_and(|map| !map.is_empty()));
        let read = report.finish(node).map_err(|problems| TestCaseError::fail(format!("{problems}\n{text}")))?;
        prop_assert_eq!(read.to_json().unwrap(), value, "{}", text);
    }

    #[test]
    fn each_party_has_the_parameters_that_the_rules_of_fate_give_it(
        common in prop::option::of(1_i64..9),
        depths in layers(),
        leaves in layers(),
        bins in layers(),
    ) {
        let chain: Vec<(&str, &str, Value, &[&str])> = vec![
            ("reader_0", "Reader", json!({}), &["d"]),
            ("psi_0", "Intersection", data("reader_0.d"), &["d"]),
            ("boost_0", "HeteroSecureBoost", json!({"data": {"train_data": ["psi_0.d"]}}), &["d"]),
        ];
        let mut role: Map<String, Value> = Map::new();
        for (layers, of) in [(&depths, "max_depth"), (&leaves, "min_leaf_node"), (&bins, "bin_num")] {
            for (key, value) in layers {
                let entry = role.entry(*key).or_insert_with(|| json!({"boost_0": {"tree_param": {}}}));
                match of {
                    "bin_num" => entry["boost_0"][of] = (value + 1).into(),
                    _ => entry["boost_0"]["tree_param"][of] = (*value).into(),
                }
            }
        }
        let order: Vec<String> = role.keys().cloned().collect();
        let common_parameters = common.map_or(json!({}), |depth| json!({"boost_0": {"tree_param": {"max_depth": depth}}}));
        let spec = spec(&dsl(&chain), &conf(3, common_parameters, json!({"host": role})));
        let last = |layers: &[(&'static str, i64)], host: usize| {
            let of = layers.iter().copied().collect::<BTreeMap<_, _>>();
            let applies = |key: &&String| *key == "all" || key.split('|').any(|part| part == host.to_string());
            order.iter().filter(applies).filter_map(|key| of.get(key.as_str()).copied()).next_back()
        };
        for host in 0..3 {
            let party = Party { role: Role::host(), id: PartyId::new((100 + host).to_string()).unwrap() };
            let parameters = &spec.tasks["boost_0"].party(&party).unwrap().parameters;
            prop_assert_eq!(&parameters["max_depth"], &json!(last(&depths, host).or(common).unwrap_or(3)));
            prop_assert_eq!(&parameters["min_leaf_node"], &json!(last(&leaves, host).unwrap_or(1)));
            prop_assert_eq!(&parameters["max_bin"], &json!(last(&bins, host).map_or(32, |bins| bins + 1)));
            prop_assert_eq!(&parameters["num_trees"], &json!(5), "the default of FATE 1");
        }
        let guest = Party { role: Role::guest(), id: PartyId::new("1").unwrap() };
        let parameters = &spec.tasks["boost_0"].party(&guest).unwrap().parameters;
        prop_assert_eq!(&parameters["max_depth"], &json!(common.unwrap_or(3)));
    }
}
