//! Whole job files through the whole of `spec`, with small definitions of the components they name.

mod mutations;
mod right;
mod wrong;

use tributary_components::definition::{
    ARBITER, Artifact, ArtifactType, Catalog, Definition, GUEST, HOST, Kind, Parameter, Stage,
};

use super::*;

const TRAIN: &str = include_str!("samples/train.yaml");
const PREDICT: &str = include_str!("samples/predict.yaml");
const MULTI_HOST: &str = include_str!("samples/multi_host.yaml");

fn definitions() -> Vec<Definition> {
    use Stage::{CrossValidation, Predict, Train};
    let he = Kind::record([
        Parameter::choice("kind", &["paillier", "ou"]).required(),
        Parameter::int("key_length", 1024..=8192).default(2048),
    ]);
    let raw = || Artifact::data("output_data").types([ArtifactType::DataUnresolved]);
    vec![
        Definition::new("reader")
            .roles([GUEST, HOST, ARBITER])
            .parameter(Parameter::text("name").required())
            .parameter(Parameter::text("namespace").required())
            .output(raw()),
        Definition::new("dataframe_transformer")
            .roles([GUEST, HOST])
            .input(Artifact::data("table").types([ArtifactType::Table]))
            .output(Artifact::data("dataframe_output")),
        Definition::new("psi")
            .roles([GUEST, HOST])
            .parameter(Parameter::choice("protocol", &["ecdh_psi"]).default("ecdh_psi"))
            .input(Artifact::data("input_data"))
            .output(Artifact::data("output_data")),
        Definition::new("hetero_feature_binning")
            .roles([GUEST, HOST])
            .stages([Train, Predict])
            .parameter(Parameter::int("n_bins", 2..).default(10).stages([Train]))
            .parameter(Parameter::list("bin_col", Kind::Text).stages([Train]))
            .parameter(Parameter::choice("transform_method", &["woe", "bin_idx"]))
            .input(Artifact::data("train_data").stages([Train]))
            .input(Artifact::data("test_data").stages([Predict]))
            .input(Artifact::model("input_model").stages([Predict]))
            .output(Artifact::data("train_output_data").stages([Train]))
            .output(Artifact::data("test_output_data").stages([Predict]))
            .output(Artifact::model("output_model").stages([Train])),
        Definition::new("hetero_secureboost")
            .roles([GUEST, HOST])
            .stages([Train, Predict, CrossValidation])
            .label("trainable")
            .parameter(Parameter::int("num_trees", 1..).default(3).stages([Train, CrossValidation]))
            .parameter(Parameter::int("max_depth", 1..).default(3).stages([Train, CrossValidation]))
            .parameter(
                Parameter::new("he_param", he)
                    .default(serde_json::json!({"kind": "paillier"}))
                    .stages([Train]),
            )
            .input(Artifact::data("train_data").stages([Train]))
            .input(Artifact::data("validate_data").stages([Train]).optional())
            .input(Artifact::data("test_data").stages([Predict]))
            .input(Artifact::data("cv_data").stages([CrossValidation]))
            .input(Artifact::model("warm_start_model").stages([Train]).optional())
            .input(Artifact::model("input_model").stages([Predict]))
            .output(Artifact::data("train_output_data").stages([Train]).roles([GUEST]))
            .output(Artifact::data("test_output_data").stages([Predict]).roles([GUEST]))
            .output(Artifact::model("output_model").stages([Train])),
        Definition::new("evaluation")
            .roles([GUEST, HOST])
            .parameter(Parameter::list("metrics", Kind::Choice(&["auc", "ks", "rmse"])))
            .parameter(Parameter::text("label_column_name"))
            .input(Artifact::data("input_datas").multi()),
        Definition::new("toy_example")
            .roles([GUEST, HOST])
            .parameter(Parameter::int("data_num", 1..).required())
            .parameter(Parameter::int("partition", 1..).required())
            .output(Artifact::data("output_data"))
            .output(Artifact::model("json_model_output")),
    ]
}

fn parse(source: &[u8]) -> Result<JobSpec, Problems> {
    let definitions = definitions();
    let catalog: Catalog<'_> = definitions.iter().collect();
    JobSpec::parse("job.yaml", source, &catalog)
}

#[test]
fn the_definitions_of_these_tests_are_sound() {
    for definition in definitions() {
        assert_eq!(definition.mistakes(), Vec::<String>::new(), "{}", definition.name);
    }
}
