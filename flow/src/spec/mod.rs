//! A job as written (DAG YAML or JSON, schema 2.x) to a job as resolved: every party's view of every task.
//!
//! Everything that can be known to be wrong is reported at submit, all of it together and with its place: the file is
//! read whole into raw types that remember positions, then resolved against the components' definitions and what they
//! say about their parameters. What can go wrong after that depends on a site: too few cores, or something that is not
//! there, for which the job keeps what it needs and where it says so. Two decisions a reader may question: unknown keys
//! are refused, while the system that this format comes from ignores them; and a component that has only the stage
//! `default` runs in it whatever stage the job names, since no other reading makes sense.

mod canonical;
mod carriage;
mod conf;
mod foreign;
mod graph;
mod inputs;
mod needs;
mod parties;
mod raw;
mod resolve;
mod runtime_conf;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tributary_component::Components;
use tributary_component::definition::Stage;
use tributary_core::{JobId, Party, PartyId, Role, TableName};
use tributary_document::{Collector, Item, Limits, Problems, parse};

pub use conf::{JobConf, ModelRef, Provider, SyncType, TaskConf};
pub use needs::{Asking, Need, Needs};
pub use runtime_conf::RuntimeConf;

/// A job whose every name, type and range has been checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobSpec {
    /// As written; informational.
    pub schema_version: String,
    /// All parties, in the order written.
    pub parties: Vec<Party>,
    /// Settings of the job.
    pub conf: JobConf,
    /// Tasks by name.
    pub tasks: BTreeMap<String, TaskSpec>,
    /// Names of tasks: each level depends on earlier ones only; within a level in the order written.
    pub levels: Vec<Vec<String>>,
    /// What was accepted but has no effect. No part of the plan.
    #[serde(skip)]
    pub notes: Vec<String>,
    /// What it takes from outside itself. No part of the plan.
    #[serde(skip)]
    pub needs: Needs,
}

/// One node of the graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskSpec {
    /// Its name in the job.
    pub name: String,
    /// The component it runs.
    pub component: String,
    /// The component's stage.
    pub stage: Stage,
    /// Tasks that must be done before it starts anywhere: producers of its inputs at any party, and those it names.
    pub dependent_tasks: BTreeSet<String>,
    /// What each party that takes part is to do, in the order of the parties.
    pub parties: Vec<PartyTask>,
}

/// A task as one party runs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartyTask {
    /// Which party.
    pub party: Party,
    /// Checked parameters with defaults filled in; no nulls. Shared by parties for which the file says the same.
    pub parameters: Arc<Map<String, Value>>,
    /// Resources and limits.
    pub conf: TaskConf,
    /// Where each input comes from.
    pub inputs: Inputs,
}

/// Sources of inputs by input key; more than one only for inputs that are lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Inputs {
    /// Rows.
    pub data: BTreeMap<String, Vec<ArtifactRef>>,
    /// Models.
    pub model: BTreeMap<String, Vec<ArtifactRef>>,
}

/// Where one input comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "source")]
#[non_exhaustive]
pub enum ArtifactRef {
    /// An output of this job.
    TaskOutput {
        /// The task that makes it.
        producer_task: String,
        /// Its output.
        output_artifact_key: String,
    },
    /// A model of an earlier job.
    ModelWarehouse {
        /// Which models.
        #[serde(flatten)]
        model: ModelRef,
        /// The task that made it.
        producer_task: String,
        /// Its output.
        output_artifact_key: String,
    },
    /// Data of an earlier job.
    JobOutput {
        /// Which job.
        job_id: JobId,
        /// The task that made it.
        producer_task: String,
        /// Its output.
        output_artifact_key: String,
    },
    /// A table of the site.
    Table(TableName),
}

/// A site's own file about its part of a job, which no other site sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPart {
    /// The file, as messages call it.
    pub file: String,
    /// Its text.
    pub source: Vec<u8>,
    /// Whose it is.
    pub site: PartyId,
}

/// What a document may be at most.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.bytes = 1 << 20;
    limits.nodes = 50_000;
    limits
}

impl JobSpec {
    /// Reads and checks a job. `file` is what messages call the source.
    pub fn parse(file: &str, source: &[u8], components: &Components) -> Result<JobSpec, Problems> {
        let report = Collector::new(file);
        let job = parse(source, &limits(), &report).and_then(|node| {
            let root = Item::root(&node, &report);
            (!foreign::report(&root)).then(|| resolve::resolve(raw::read(&root), components))
        });
        report.finish(job.map(|job| job.named(file)))
    }

    /// The same, with what one site's own file says about its part laid over it: for that site alone.
    pub fn parse_own(
        file: &str,
        source: &[u8],
        own: &OwnPart,
        components: &Components,
    ) -> Result<JobSpec, Problems> {
        let (report, own_report) = (Collector::new(file), Collector::new(&*own.file));
        let nodes = (parse(source, &limits(), &report), parse(&own.source, &limits(), &own_report));
        let job = match &nodes {
            (Some(node), Some(own_node)) => {
                let mut job = raw::read(&Item::root(node, &report));
                let parties = job.parties.of_site(&own.site);
                job.party_tasks.push(raw::own(&Item::root(own_node, &own_report), parties));
                Some(resolve::resolve(job, components))
            }
            _ => None,
        };
        // Of the two files, the site's own is the one that its operator can change.
        own_report.finish(Some(()))?;
        report.finish(job.map(|job| job.named(file)))
    }

    fn named(mut self, file: &str) -> Self {
        file.clone_into(&mut self.needs.file);
        self
    }

    /// The site that coordinates the job: the one that schedules, else the one that submits, else that of the first guest.
    pub fn coordinator(&self) -> PartyId {
        let named = self.conf.scheduler_party_id.as_ref().or(self.conf.initiator_party_id.as_ref());
        let guest = self.parties.iter().find(|party| party.role == Role::guest());
        let first = || guest.or(self.parties.first()).map(|party| party.id.clone());
        // A job has a party; one without any would not have been read.
        named.cloned().or_else(first).unwrap_or_else(|| self.parties[0].id.clone())
    }

    /// The sites that have a part in it, in order.
    pub fn sites(&self) -> Vec<PartyId> {
        let mut ids: Vec<PartyId> = self.parties.iter().map(|p| p.id.clone()).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// The plan as bytes that are equal wherever the plan is: JSON with sorted keys. What parties hash to see that
    /// they run the same job.
    pub fn canonical(&self) -> serde_json::Result<Vec<u8>> {
        canonical::bytes(self)
    }
}

impl ArtifactRef {
    /// Whether it was there before the job.
    fn is_outside(&self) -> bool {
        !matches!(self, Self::TaskOutput { .. })
    }
}

impl TaskSpec {
    /// The part of one party, if it has one.
    pub fn party(&self, party: &Party) -> Option<&PartyTask> {
        self.parties.iter().find(|part| part.party == *party)
    }
}

#[cfg(test)]
mod tests;
