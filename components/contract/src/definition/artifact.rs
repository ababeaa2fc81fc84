//! What flows into and out of components: named, typed, for some roles and stages.

use serde::{Deserialize, Serialize};

use super::Stage;

/// The three sorts of things components exchange; inputs are only the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactGroup {
    /// Rows.
    Data,
    /// What training found.
    Model,
    /// Numbers about a run.
    Metric,
}

/// What an artifact is made of, by its published name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactType {
    /// Rows with a schema.
    Dataframe,
    /// Rows as uploaded.
    Table,
    /// A folder of files.
    DataDirectory,
    /// Data whose form is seen when it is read.
    DataUnresolved,
    /// A model as JSON.
    JsonModel,
    /// A model as a folder of files.
    ModelDirectory,
    /// A model whose form is seen when it is read.
    ModelUnresolved,
    /// Metrics as JSON.
    JsonMetric,
}

/// A named input or output.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Artifact {
    /// Key in job files.
    pub name: &'static str,
    /// Data, model or metric.
    pub group: ArtifactGroup,
    /// The types it may have.
    pub types: Vec<ArtifactType>,
    /// Whether a task can run without it.
    pub optional: bool,
    /// Whether it is a list of artifacts.
    pub multi: bool,
    /// Stages that have it; empty for all.
    pub stages: Vec<Stage>,
    /// Roles that have it; empty for all of the component.
    pub roles: Vec<&'static str>,
    /// What it is.
    pub description: &'static str,
}

impl ArtifactGroup {
    /// The name in job files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Model => "model",
            Self::Metric => "metric",
        }
    }
}

impl ArtifactType {
    /// The published name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dataframe => "dataframe",
            Self::Table => "table",
            Self::DataDirectory => "data_directory",
            Self::DataUnresolved => "data_unresolved",
            Self::JsonModel => "json_model",
            Self::ModelDirectory => "model_directory",
            Self::ModelUnresolved => "model_unresolved",
            Self::JsonMetric => "json_metric",
        }
    }

    fn group(self) -> ArtifactGroup {
        match self {
            Self::Dataframe | Self::Table | Self::DataDirectory | Self::DataUnresolved => ArtifactGroup::Data,
            Self::JsonModel | Self::ModelDirectory | Self::ModelUnresolved => ArtifactGroup::Model,
            Self::JsonMetric => ArtifactGroup::Metric,
        }
    }

    /// Whether an output of this type can be read by an input of type `input`.
    fn feeds(self, input: ArtifactType) -> bool {
        let unresolved = matches!(self, Self::DataUnresolved | Self::ModelUnresolved);
        self == input || unresolved && self.group() == input.group()
    }
}

impl Artifact {
    fn new(name: &'static str, artifact_type: ArtifactType) -> Self {
        Self {
            name,
            group: artifact_type.group(),
            types: vec![artifact_type],
            optional: false,
            multi: false,
            stages: Vec::new(),
            roles: Vec::new(),
            description: "",
        }
    }

    /// A dataframe, required.
    pub fn data(name: &'static str) -> Self {
        Self::new(name, ArtifactType::Dataframe)
    }

    /// A JSON model, required.
    pub fn model(name: &'static str) -> Self {
        Self::new(name, ArtifactType::JsonModel)
    }

    /// JSON metrics.
    pub fn metric(name: &'static str) -> Self {
        Self::new(name, ArtifactType::JsonMetric)
    }

    /// Sets the types it may have.
    pub fn types(mut self, types: impl IntoIterator<Item = ArtifactType>) -> Self {
        self.types = types.into_iter().collect();
        self
    }

    /// Makes it optional.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Makes it a list.
    pub fn multi(mut self) -> Self {
        self.multi = true;
        self
    }

    /// Limits it to stages.
    pub fn stages(mut self, stages: impl IntoIterator<Item = Stage>) -> Self {
        self.stages = stages.into_iter().collect();
        self
    }

    /// Limits it to roles.
    pub fn roles(mut self, roles: impl IntoIterator<Item = &'static str>) -> Self {
        self.roles = roles.into_iter().collect();
        self
    }

    /// Says what it is.
    pub fn describe(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Whether tasks of this stage have it.
    pub fn is_at_stage(&self, stage: Stage) -> bool {
        self.stages.is_empty() || self.stages.contains(&stage)
    }

    /// Whether this role has it.
    pub fn is_at_role(&self, role: &str) -> bool {
        self.roles.is_empty() || self.roles.contains(&role)
    }

    /// Whether this output can be read as that input.
    pub fn feeds(&self, input: &Artifact) -> bool {
        self.types.iter().any(|own| input.types.iter().any(|wanted| own.feeds(*wanted)))
    }
}
