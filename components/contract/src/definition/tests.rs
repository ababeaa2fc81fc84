//! Definitions as authors write them, and what is reported about given parameters.

use serde_json::{Value, json};

use super::*;

fn he() -> Kind {
    Kind::record([
        Parameter::choice("kind", &["paillier", "ou"]).required(),
        Parameter::int("key_length", 1024..=4096).default(2048),
    ])
}

fn binning() -> Definition {
    use Stage::{Predict, Train};
    Definition::new("hetero_feature_binning")
        .describe("Sorts the values of columns into bins.")
        .roles([GUEST, HOST])
        .stages([Train, Predict])
        .label("trainable")
        .parameter(Parameter::choice("method", &["quantile", "bucket"]).default("quantile").stages([Train]))
        .parameter(Parameter::int("n_bins", 2..).default(10).stages([Train]).describe("bins per column"))
        .parameter(Parameter::list("bin_col", Kind::Text).stages([Train]))
        .parameter(Parameter::float(
            "relative_error",
            (std::ops::Bound::Excluded(0.0), std::ops::Bound::Included(1.0)),
        ))
        .parameter(Parameter::float("adjustment_factor", above(0.0)).default(0.5).stages([Train]))
        .parameter(Parameter::new("size", Kind::union([Kind::float(0.0..=1.0), Kind::int(0..)])))
        .parameter(Parameter::new("split_pt_dict", Kind::map(Kind::list(Kind::float(..)))))
        .parameter(Parameter::bool("skip_metrics").default(false))
        .parameter(Parameter::new("he_param", he()).default(json!({"kind": "paillier"})).stages([Train]))
        .input(Artifact::data("train_data").stages([Train]).describe("rows to bin"))
        .input(Artifact::data("test_data").stages([Predict]))
        .input(Artifact::model("input_model").stages([Predict]))
        .output(Artifact::data("train_output_data").stages([Train]).optional())
        .output(Artifact::model("output_model").stages([Train]).roles([GUEST]))
}

fn checked(stage: Stage, given: Value) -> Result<Parameters, Vec<String>> {
    let given = given.as_object().unwrap();
    binning().validate_parameters(stage, given).map_err(|problems| {
        let line = |p: ParameterProblem| {
            let path: Vec<_> = p
                .path
                .iter()
                .map(|step| match step {
                    tributary_document::Step::Key(key) => key.clone(),
                    tributary_document::Step::Index(index) => index.to_string(),
                })
                .collect();
            format!(
                "{}: {}{}",
                path.join("/"),
                p.message,
                p.help.map(|h| format!(" ({h})")).unwrap_or_default()
            )
        };
        problems.into_iter().map(line).collect()
    })
}

fn check(given: Value, expected: Value) {
    let values = Value::Object(checked(Stage::Train, given).unwrap().values);
    for (name, expected) in expected.as_object().unwrap() {
        assert_eq!(&values[name], expected, "{name}");
    }
}

fn refuse(given: Value, expected: &str) {
    assert_eq!(checked(Stage::Train, given).unwrap_err(), [expected]);
}

#[test]
fn absent_and_null_parameters_have_their_defaults() {
    let expected = json!({
        "method": "quantile", "n_bins": 10, "adjustment_factor": 0.5, "skip_metrics": false,
        "he_param": {"kind": "paillier", "key_length": 2048},
    });
    for given in [json!({}), json!({"method": null, "n_bins": null, "he_param": null, "bin_col": null})] {
        assert_eq!(Value::Object(checked(Stage::Train, given).unwrap().values), expected);
    }
}

#[test]
fn values_become_canonical() {
    check(json!({"method": "QuantiLe"}), json!({"method": "quantile"}));
    check(json!({"relative_error": 1}), json!({"relative_error": 1.0}));
    check(json!({"bin_col": "x0"}), json!({"bin_col": ["x0"]}));
    check(json!({"bin_col": ["x0", 12]}), json!({"bin_col": ["x0", "12"]}));
    check(json!({"split_pt_dict": {"x0": [1, 2.5]}}), json!({"split_pt_dict": {"x0": [1.0, 2.5]}}));
    check(
        json!({"he_param": {"kind": "ou", "key_length": null}}),
        json!({"he_param": {"kind": "ou", "key_length": 2048}}),
    );
}

#[test]
fn numbers_and_truth_values_may_be_in_quotes_and_truth_values_be_0_or_1() {
    check(
        json!({"n_bins": "10", "relative_error": "1e-3", "skip_metrics": "true", "size": "1"}),
        json!({"n_bins": 10, "relative_error": 1e-3, "skip_metrics": true, "size": 1}),
    );
    for (given, expected) in
        [(json!(0), false), (json!(1), true), (json!("1"), true), (json!("False"), false)]
    {
        check(json!({"skip_metrics": given}), json!({"skip_metrics": expected}));
    }
    check(json!({"bin_col": ["10"]}), json!({"bin_col": ["10"]}));
    check(json!({"split_pt_dict": {"x": ["0.1", 2]}}), json!({"split_pt_dict": {"x": [0.1, 2.0]}}));
    refuse(json!({"n_bins": "007"}), "n_bins: expected an integer of at least 2, got \"007\"");
    refuse(json!({"n_bins": "1"}), "n_bins: expected an integer of at least 2, got \"1\"");
}

#[test]
fn a_union_distinguishes_numbers_by_how_they_are_written() {
    check(json!({"size": 1}), json!({"size": 1}));
    check(json!({"size": 1.0}), json!({"size": 1.0}));
    check(json!({"size": 500}), json!({"size": 500}));
    refuse(json!({"size": 1.5}), "size: expected a number of at least 0 and at most 1, got 1.5");
    refuse(
        json!({"size": "big"}),
        "size: expected a number of at least 0 and at most 1, or an integer of at least 0, got \"big\"",
    );
}

#[test]
fn wrong_values_say_what_was_expected() {
    refuse(json!({"n_bins": 1}), "n_bins: expected an integer of at least 2, got 1");
    refuse(json!({"n_bins": 3.0}), "n_bins: expected an integer of at least 2, got 3.0");
    refuse(
        json!({"relative_error": 0}),
        "relative_error: expected a number of more than 0 and at most 1, got 0",
    );
    refuse(json!({"skip_metrics": "yes"}), "skip_metrics: expected true or false, got \"yes\"");
    refuse(
        json!({"method": "bukket"}),
        "method: expected one of quantile, bucket, got \"bukket\" (did you mean \"bucket\"?)",
    );
    refuse(json!({"bin_col": ["x0", [1]]}), "bin_col/1: expected text, got a list");
    refuse(json!({"he_param": {}}), "he_param/kind: required, but not given (one of paillier, ou)");
    refuse(
        json!({"he_param": {"kind": "ou", "key_size": 1}}),
        "he_param/key_size: unknown parameter (known: kind, key_length)",
    );
    refuse(json!({"split_pt_dict": {"x0": ["a"]}}), "split_pt_dict/x0/0: expected a number, got \"a\"");
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let given = json!({"n_bin": 3, "method": 1, "skip_metrics": 2});
    assert_eq!(checked(Stage::Train, given).unwrap_err().len(), 3);
}

#[test]
fn an_unknown_parameter_is_refused_and_one_of_another_stage_noted() {
    refuse(json!({"n_bin": 3}), "n_bin: unknown parameter (did you mean \"n_bins\"?)");
    let predict = checked(Stage::Predict, json!({"n_bins": 3, "skip_metrics": true})).unwrap();
    assert_eq!(Value::Object(predict.values), json!({"skip_metrics": true}));
    assert_eq!(predict.notes, ["parameter n_bins has no effect at stage predict"]);
}

#[test]
fn a_definition_that_contradicts_itself_says_so() {
    assert_eq!(binning().mistakes(), Vec::<String>::new());
    let wrong = Definition::new("x")
        .roles([GUEST])
        .parameter(Parameter::int("a", 1..).default(0).stages([Stage::Train]))
        .input(Artifact::data("b").roles([HOST]))
        .input(Artifact::data("b"));
    assert_eq!(wrong.mistakes().len(), 4, "{:?}", wrong.mistakes());
}

#[test]
fn outputs_feed_inputs_of_their_type() {
    let raw = Artifact::data("o").types([ArtifactType::DataUnresolved]);
    assert!(raw.feeds(&Artifact::data("i")));
    assert!(raw.feeds(&Artifact::data("i").types([ArtifactType::Table])));
    assert!(!raw.feeds(&Artifact::model("i")));
    assert!(!Artifact::data("o").feeds(&Artifact::data("i").types([ArtifactType::Table])));
}

#[test]
fn the_published_description_has_the_published_form() {
    let published = binning().to_json();
    let component = &published["component"];
    assert_eq!(published["schema_version"], "v1");
    assert_eq!(component["roles"], json!(["guest", "host"]));
    assert_eq!(
        component["parameters"]["n_bins"],
        json!({
            "type": "int", "default": 10, "optional": true, "description": "bins per column",
            "type_meta": {"type": "integer", "minimum": 2},
        })
    );
    let he = &component["parameters"]["he_param"]["type_meta"];
    assert_eq!(
        (&he["required"], &he["properties"]["kind"]),
        (&json!(["kind"]), &json!({"enum": ["paillier", "ou"]}))
    );
    assert_eq!(
        component["input_artifacts"]["data"]["train_data"],
        json!({
            "types": ["dataframe"], "optional": false, "stages": ["train"], "roles": [],
            "description": "rows to bin", "is_multi": false,
        })
    );
    assert_eq!(component["output_artifacts"]["metric"], json!({}));
}

#[test]
fn the_help_page_shows_everything_declared() {
    let page = binning().to_string();
    let expected = format!(
        "\
hetero_feature_binning (tributary {})
Sorts the values of columns into bins.

roles   guest, host
stages  train, predict

parameters
  method             = \"quantile\"           one of quantile, bucket; stages train
  n_bins             = 10                   an integer of at least 2; bins per column; stages train
  bin_col                                   a list, each text; stages train
  relative_error                            a number of more than 0 and at most 1
  adjustment_factor  = 0.5                  a number of more than 0; stages train
  size                                      a number of at least 0 and at most 1, or an integer of at least 0
  split_pt_dict                             a map, each a list, each a number
  skip_metrics       = false                true or false
  he_param           = {{\"kind\":\"paillier\"}}  a map; stages train
    kind             required               one of paillier, ou
    key_length       = 2048                 an integer of at least 1024 and at most 4096

inputs
  train_data   dataframe   rows to bin; stages train
  test_data    dataframe   stages predict
  input_model  json_model  stages predict

outputs
  train_output_data  dataframe   optional; stages train
  output_model       json_model  stages train; at guest
",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(page, expected);
}
