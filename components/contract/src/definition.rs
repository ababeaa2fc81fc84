//! What a component is, for machines and people: roles, stages, parameters, artifacts.
//!
//! One declaration serves the check of a job at submit, the component's own reading of its parameters, the published
//! description (`component desc`) and the help page; nothing about a parameter is written twice. Stricter than the
//! system the job files come from in one point: a parameter that is not declared is an error, and not ignored.

mod artifact;
mod check;
mod describe;
mod parameter;

use serde::{Deserialize, Serialize};

pub use artifact::{Artifact, ArtifactGroup, ArtifactType};
pub use check::{ParameterProblem, Parameters};
pub use parameter::{Kind, Parameter, Range, above};

/// The party that asks and has the label.
pub const GUEST: &str = "guest";
/// A party that contributes columns.
pub const HOST: &str = "host";
/// A party that helps without data of its own.
pub const ARBITER: &str = "arbiter";
/// A party that works alone.
pub const LOCAL: &str = "local";

/// Which of its functions a component performs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The only one of components without separate stages.
    Default,
    /// Make a model.
    Train,
    /// Use a model.
    Predict,
    /// Make and judge several models on parts of the data.
    CrossValidation,
}

/// A component as it presents itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Definition {
    /// Name in job files (`component_ref`).
    pub name: &'static str,
    /// What it does, in a sentence or two.
    pub description: &'static str,
    /// Who provides it.
    pub provider: &'static str,
    /// The provider's version.
    pub version: &'static str,
    /// Free marks; `trainable` is the only usual one.
    pub labels: Vec<&'static str>,
    /// Roles that run it.
    pub roles: Vec<&'static str>,
    /// Stages it has, at least one.
    pub stages: Vec<Stage>,
    /// Parameters, in the order people should read them.
    pub parameters: Vec<Parameter>,
    /// What it takes.
    pub inputs: Vec<Artifact>,
    /// What it makes. Every component may also write metrics.
    pub outputs: Vec<Artifact>,
}

impl Stage {
    /// All stages, by the names they have in job files.
    pub const NAMES: [(&'static str, Stage); 4] = [
        ("default", Stage::Default),
        ("train", Stage::Train),
        ("predict", Stage::Predict),
        ("cross_validation", Stage::CrossValidation),
    ];

    /// The name in job files.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, stage)| *stage == self).map_or("default", |(name, _)| name)
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}

impl Definition {
    /// A component of ours with the stage `default`, and nothing else yet.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            description: "",
            provider: "tributary",
            version: env!("CARGO_PKG_VERSION"),
            labels: Vec::new(),
            roles: Vec::new(),
            stages: vec![Stage::Default],
            parameters: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Says what it does.
    pub fn describe(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Sets the roles that run it.
    pub fn roles(mut self, roles: impl IntoIterator<Item = &'static str>) -> Self {
        self.roles = roles.into_iter().collect();
        self
    }

    /// Sets the stages, in place of `default`.
    pub fn stages(mut self, stages: impl IntoIterator<Item = Stage>) -> Self {
        self.stages = stages.into_iter().collect();
        self
    }

    /// Adds a label.
    pub fn label(mut self, label: &'static str) -> Self {
        self.labels.push(label);
        self
    }

    /// Adds a parameter.
    pub fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Adds an input.
    pub fn input(mut self, artifact: Artifact) -> Self {
        self.inputs.push(artifact);
        self
    }

    /// Adds an output.
    pub fn output(mut self, artifact: Artifact) -> Self {
        self.outputs.push(artifact);
        self
    }

    /// What contradicts itself in this definition: a default its own kind refuses, a stage or role the component does
    /// not have, a name twice. Empty for every definition that ships; a test checks that.
    pub fn mistakes(&self) -> Vec<String> {
        let artifacts = || self.inputs.iter().chain(&self.outputs);
        let stages = (self.parameters.iter().map(|p| (p.name, &p.stages)))
            .chain(artifacts().map(|a| (a.name, &a.stages)))
            .flat_map(|(name, stages)| stages.iter().map(move |stage| (name, *stage)))
            .filter(|(_, stage)| !self.stages.contains(stage))
            .map(|(name, stage)| format!("{name}: the component has no stage {stage}"));
        let roles = artifacts()
            .flat_map(|artifact| artifact.roles.iter().map(move |role| (artifact.name, *role)))
            .filter(|(_, role)| !self.roles.contains(role))
            .map(|(name, role)| format!("{name}: the component has no role {role}"));
        let names: [Vec<&str>; 3] = [
            self.parameters.iter().map(|p| p.name).collect(),
            self.inputs.iter().map(|a| a.name).collect(),
            self.outputs.iter().map(|a| a.name).collect(),
        ];
        let twice = names.iter().flat_map(|names| {
            let again = names.iter().enumerate().filter(|(at, name)| names[..*at].contains(name));
            again.map(|(_, name)| format!("{name}: declared twice"))
        });
        let empty =
            (self.roles.is_empty() || self.stages.is_empty()).then(|| "no roles or no stages".to_owned());
        stages.chain(roles).chain(twice).chain(empty).chain(check::defaults(&self.parameters)).collect()
    }
}

#[cfg(test)]
mod tests;
