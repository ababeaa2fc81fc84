//! Inputs: which sources a party takes, whether they lead anywhere, and what it lacks.
//!
//! A source without `parties` applies wherever its producer makes the output; one with `parties` applies there, and
//! must be able to.

use std::collections::BTreeMap;

use tributary_component::definition::{Artifact, ArtifactGroup, Definition, Stage};
use tributary_core::Party;
use tributary_document::{Step, quoted};

use super::graph::Edge;
use super::parties::at;
use super::raw::{self, Producer};
use super::resolve::{Plan, Plans};
use super::{ArtifactRef, Inputs, Need};

/// The inputs of a task by party, and the edges they make.
pub(super) fn resolve<'a>(
    plan: &Plan<'a, '_>,
    plans: &Plans<'a, '_>,
    job: &raw::Job<'a>,
    edges: &mut Vec<Edge<'a>>,
    needs: &mut Vec<Need>,
) -> BTreeMap<Party, Inputs> {
    let resolver = Resolver { plan, plans, job };
    let mut inputs: BTreeMap<Party, Inputs> = BTreeMap::new();
    let mut unsound = Vec::new();
    for input in &plan.task.inputs {
        edges.extend(input.refs.iter().filter_map(|input_ref| resolver.edge(input_ref)));
        let artifact = resolver.artifact(input);
        if !resolver.check(input, artifact) {
            unsound.push((input.group, input.key));
        } else if let Some(artifact) = artifact {
            for (party, refs) in resolver.take(input, artifact, needs) {
                let of_party = inputs.entry(party).or_default();
                let group = match input.group {
                    ArtifactGroup::Model => &mut of_party.model,
                    _ => &mut of_party.data,
                };
                group.insert(input.key.to_owned(), refs);
            }
        }
    }
    if let (Some(definition), Some(stage)) = (plan.definition(), plan.stage) {
        let required = definition.inputs.iter().filter(|input| !input.optional && input.is_at_stage(stage));
        for artifact in required.filter(|artifact| !unsound.contains(&(artifact.group, artifact.name))) {
            resolver.check_given(artifact, &inputs);
        }
    }
    inputs
}

/// One task among the others.
struct Resolver<'r, 'a, 'c> {
    plan: &'r Plan<'a, 'c>,
    plans: &'r Plans<'a, 'c>,
    job: &'r raw::Job<'a>,
}

impl<'a, 'c> Resolver<'_, 'a, 'c> {
    fn edge(&self, input_ref: &raw::InputRef<'a>) -> Option<Edge<'a>> {
        let Producer::Task { producer, .. } = &input_ref.producer else {
            return None;
        };
        let from = self.plans.get(producer.name)?.task.name;
        Some(Edge { from, to: self.plan.task.name, item: producer.item.clone() })
    }

    /// What the component says about an input that it is given.
    fn artifact(&self, input: &raw::Input<'_>) -> Option<&'c Artifact> {
        let (definition, stage) = (self.plan.definition()?, self.plan.stage?);
        let found = find(&definition.inputs, input.group, input.key);
        if let Some(artifact) = found.filter(|artifact| artifact.is_at_stage(stage)) {
            return Some(artifact);
        }
        let here = at_stage(&definition.inputs, input.group, stage);
        if found.is_some() {
            let help = (!here.is_empty()).then(|| format!("at this stage: {}", here.join(", ")));
            let message = format!("{} takes no {} at stage {stage}", definition.name, input.key);
            input.item.problem_with(message, help);
        } else {
            let message =
                format!("{} has no {} input {}", definition.name, input.group.as_str(), quoted(input.key));
            input.item.problem_with(message, input.item.suggestion(input.key, here));
        }
        None
    }

    /// Whether all sources of an input lead somewhere; those that do not are reported.
    fn check(&self, input: &raw::Input<'_>, artifact: Option<&Artifact>) -> bool {
        let mut all_sound = input.complete;
        for input_ref in &input.refs {
            input_ref.parties.check_members_of(&self.job.parties);
            let sound = self.check_source(input_ref, input.group, artifact);
            all_sound &= sound;
            let idle = !self.plan.parties.iter().any(|party| self.applies(input_ref, input.group, party));
            let certain = self.plan.complete && input_ref.parties.complete && self.plan.component.is_some();
            if sound && idle && certain {
                input_ref.item.problem(format!("applies at no party that runs {}", self.plan.task.name));
                all_sound = false;
            }
        }
        all_sound
    }

    fn check_source(
        &self,
        input_ref: &raw::InputRef<'_>,
        group: ArtifactGroup,
        artifact: Option<&Artifact>,
    ) -> bool {
        match &input_ref.producer {
            Producer::Task { producer, output } => match self.plans.get(producer.name) {
                Some(made_by) => check_output(input_ref, group, artifact, output, made_by),
                None => {
                    producer.item.unknown("task", producer.name, self.plans.keys().copied());
                    false
                }
            },
            Producer::Model { model: None, .. } if !self.job.has_warehouse => {
                let help = "give them here or once in dag.conf.model_warehouse".to_owned();
                input_ref.item.problem_with("no model_id and model_version", help);
                false
            }
            _ => true,
        }
    }

    /// Whether a party takes a source.
    fn applies(&self, input_ref: &raw::InputRef<'_>, group: ArtifactGroup, party: &Party) -> bool {
        if input_ref.parties.item.is_given() {
            return input_ref.parties.contains(party);
        }
        let Producer::Task { producer, output } = &input_ref.producer else {
            return true;
        };
        self.plans.get(producer.name).is_some_and(|producer| {
            let made =
                producer.definition().and_then(|definition| find(&definition.outputs, group, output.name));
            producer.parties.contains(party) && made.is_some_and(|made| made.is_at_role(party.role.as_str()))
        })
    }

    /// What each party takes of an input, where it takes anything; what comes from outside the job goes to `needs` too.
    fn take(
        &self,
        input: &raw::Input<'_>,
        artifact: &Artifact,
        needs: &mut Vec<Need>,
    ) -> Vec<(Party, Vec<ArtifactRef>)> {
        let mut taken = Vec::new();
        let mut conflicts: BTreeMap<String, Vec<Party>> = BTreeMap::new();
        for party in self.plan.parties.iter().filter(|party| artifact.is_at_role(party.role.as_str())) {
            let written: Vec<&raw::InputRef<'_>> =
                input.refs.iter().filter(|input_ref| self.applies(input_ref, input.group, party)).collect();
            let sources: Vec<&Producer<'_>> = written.iter().map(|input_ref| &input_ref.producer).collect();
            if let Some(conflict) = conflict(&sources, artifact) {
                conflicts.entry(conflict).or_default().push(party.clone());
            } else if !sources.is_empty() {
                let resolved =
                    written.iter().filter_map(|raw| Some((self.input_ref(&raw.producer)?, &raw.item)));
                let outside = resolved.clone().filter(|(input_ref, _)| input_ref.is_outside());
                needs.extend(outside.map(|(input_ref, item)| Need::new(party, input_ref, item)));
                taken.push((party.clone(), resolved.map(|(input_ref, _)| input_ref).collect()));
            }
        }
        for (conflict, parties) in &conflicts {
            input.item.problem(format!("{conflict}{}", at(parties, self.plan.parties.len())));
        }
        let conflicting = conflicts.into_values().flatten();
        taken.extend(conflicting.map(|party| (party, Vec::new())));
        taken
    }

    fn input_ref(&self, source: &Producer<'_>) -> Option<ArtifactRef> {
        Some(match source {
            Producer::Task { producer, output } => ArtifactRef::TaskOutput {
                producer_task: producer.name.to_owned(),
                output_artifact_key: output.name.to_owned(),
            },
            Producer::Model { model, producer, output } => ArtifactRef::ModelWarehouse {
                model: model.clone().or_else(|| self.job.conf.model_warehouse.clone())?,
                producer_task: (*producer).to_owned(),
                output_artifact_key: (*output).to_owned(),
            },
            Producer::JobOutput { job, producer, output } => ArtifactRef::JobOutput {
                job_id: job.clone(),
                producer_task: (*producer).to_owned(),
                output_artifact_key: (*output).to_owned(),
            },
            Producer::Table(table) => ArtifactRef::Table(table.clone()),
        })
    }

    /// Reports a required input that some party does not get.
    fn check_given(&self, artifact: &Artifact, inputs: &BTreeMap<Party, Inputs>) {
        let has = |party: &Party| {
            inputs.get(party).is_some_and(|inputs| match artifact.group {
                ArtifactGroup::Model => inputs.model.contains_key(artifact.name),
                _ => inputs.data.contains_key(artifact.name),
            })
        };
        let takers = self.plan.parties.iter().filter(|party| artifact.is_at_role(party.role.as_str()));
        let lacking: Vec<Party> = takers.filter(|party| !has(party)).cloned().collect();
        if !lacking.is_empty() {
            let steps = [artifact.group.as_str(), artifact.name].map(|step| Step::Key(step.to_owned()));
            let item = self.plan.task.inputs_item.below(&steps);
            let reason =
                if item.is_given() { "required, but no source applies" } else { "required, but not given" };
            item.problem(format!("{reason}{}", at(&lacking, self.plan.parties.len())));
        }
    }
}

/// Why several sources cannot be one input.
fn conflict(sources: &[&Producer<'_>], artifact: &Artifact) -> Option<String> {
    let first = sources.first()?.key();
    if let Some(other) = sources.iter().map(|source| source.key()).find(|key| *key != first) {
        return Some(format!("both {first} and {other} apply"));
    }
    let too_many = sources.len() > 1 && !artifact.multi;
    too_many.then(|| format!("takes one source, but {} apply", sources.len()))
}

/// An output of a task of this job: there, at the producer's stage and the parties named with it, and of a fitting type.
fn check_output(
    input_ref: &raw::InputRef<'_>,
    group: ArtifactGroup,
    artifact: Option<&Artifact>,
    output: &raw::Reference<'_>,
    producer: &Plan<'_, '_>,
) -> bool {
    let (Some(definition), Some(stage)) = (producer.definition(), producer.stage) else {
        return false;
    };
    let problem = match find(&definition.outputs, group, output.name) {
        None => {
            let message =
                format!("{} has no {} output {}", definition.name, group.as_str(), quoted(output.name));
            let help = output.item.suggestion(output.name, at_stage(&definition.outputs, group, stage));
            output.item.problem_with(message, help);
            return false;
        }
        Some(made) => unfit(made, definition, stage, artifact),
    };
    if let Some(problem) = problem {
        output.item.problem(problem);
        return false;
    }
    let makes = |party: &Party| {
        let made = find(&definition.outputs, group, output.name);
        producer.parties.contains(party) && made.is_some_and(|made| made.is_at_role(party.role.as_str()))
    };
    let idle: Vec<_> = input_ref.parties.list.iter().filter(|named| !makes(&named.party)).collect();
    for named in idle.iter().filter(|_| producer.complete) {
        let message = format!("{} makes no {} at {}", producer.task.name, output.name, named.party);
        named.item.problem(message);
    }
    idle.is_empty()
}

/// Why an output that exists cannot be an input.
fn unfit(made: &Artifact, by: &Definition, stage: Stage, artifact: Option<&Artifact>) -> Option<String> {
    let types = |artifact: &Artifact| {
        let types: Vec<_> = artifact.types.iter().map(|one| one.as_str()).collect();
        types.join(" or ")
    };
    if !made.is_at_stage(stage) {
        return Some(format!("{} makes no {} at stage {stage}", by.name, made.name));
    }
    let artifact = artifact.filter(|artifact| !made.feeds(artifact))?;
    Some(format!("{} is {}, but {} takes {}", made.name, types(made), artifact.name, types(artifact)))
}

fn find<'c>(artifacts: &'c [Artifact], group: ArtifactGroup, name: &str) -> Option<&'c Artifact> {
    artifacts.iter().find(|artifact| artifact.group == group && artifact.name == name)
}

fn at_stage(artifacts: &[Artifact], group: ArtifactGroup, stage: Stage) -> Vec<&'static str> {
    let of_group = artifacts.iter().filter(|artifact| artifact.group == group && artifact.is_at_stage(stage));
    of_group.map(|artifact| artifact.name).collect()
}
