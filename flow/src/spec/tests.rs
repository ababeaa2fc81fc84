//! Whole job files through the whole of `spec`, with small samples of the components they name.

mod mutations;
mod right;
mod wrong;

use std::sync::Arc;

use async_trait::async_trait;
use tributary_component::definition::{
    ARBITER, Artifact, ArtifactType, Definition, GUEST, HOST, Kind, Parameter, Stage,
};
use tributary_component::{Assignment, Component, NamedTable, Outputs, ParameterProblem as Problem, Task};
use tributary_core::{Error, Result, Role};

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

/// A component that only says what it is.
#[derive(Debug)]
struct Sample(Definition);

#[async_trait]
impl Component for Sample {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn check(&self, assignment: &Assignment<'_>) -> Result<Vec<Problem>> {
        let given = |name: &str| assignment.parameters.get(name).cloned().unwrap_or_default();
        let bits = given("he_param")["key_length"].as_u64();
        let problem = match self.0.name {
            "psi" if assignment.count(&Role::host()) == 0 => Problem::of_task("needs a host"),
            "evaluation" if given("metrics").to_string().contains("rmse") => {
                match given("label_column_name").is_null() {
                    true => Problem::of("label_column_name", "rmse needs a label").help("name its column"),
                    false => return Ok(Vec::new()),
                }
            }
            "hetero_secureboost" if bits.is_some_and(|bits| bits % 1024 != 0) => {
                Problem::of("he_param", "expected a multiple of 1024").key("key_length")
            }
            "toy_example" if given("partition").as_u64() > given("data_num").as_u64() => {
                Problem::of("partition", "more partitions than values")
            }
            "hetero_feature_binning" if given("n_bins") == 666 => return Err(Error::bug("not of my type")),
            _ => return Ok(Vec::new()),
        };
        Ok(vec![problem])
    }

    fn tables(&self, assignment: &Assignment<'_>) -> Result<Vec<NamedTable>> {
        if self.0.name != "reader" {
            return Ok(Vec::new());
        }
        let table: TableName = assignment.parameters()?;
        Ok(vec![NamedTable { table, parameter: "name" }])
    }

    async fn run(&self, _: &Task) -> Result<Outputs> {
        Err(Error::bug("samples do not run"))
    }
}

fn parse(source: &[u8]) -> Result<JobSpec, Problems> {
    let samples =
        definitions().into_iter().map(|definition| Arc::new(Sample(definition)) as Arc<dyn Component>);
    JobSpec::parse("job.yaml", source, &samples.collect())
}

#[test]
fn the_definitions_of_these_tests_are_sound() {
    for definition in definitions() {
        assert_eq!(definition.mistakes(), Vec::<String>::new(), "{}", definition.name);
    }
}
