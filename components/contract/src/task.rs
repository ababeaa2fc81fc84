//! What a component is given: its own party, the other parties, its parameters, its inputs, and the site's engines.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tributary_core::computing::Computing;
use tributary_core::federation::Federation;
use tributary_core::layout::RowRanges;
use tributary_core::{Error, ErrorKind, Layout, Party, Result, Role, Table};

use crate::assignment;
use crate::definition::Stage;
use crate::output::{Metric, Model};
use crate::release::{Release, Releases};

/// One input of a task.
#[derive(Debug, Clone)]
pub enum Input {
    /// A table of the site.
    Table(Table),
    /// A model.
    Model(Model),
}

/// How important a line of a task's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Where the task is.
    Info,
    /// The user should change something; shown even where progress is not.
    Warning,
    /// Why the task failed.
    Error,
}

/// How a task reports its progress while it runs.
pub trait Progress: Send + Sync {
    /// A line of text for the user and the task's log.
    fn line(&self, level: Level, text: &str);

    /// Reports a metric before the task ends. It is recorded with those that the task gives back, as
    /// [`Metric::add_to`] joins them.
    fn metric(&self, metric: Metric);

    /// Hands over the state from which another attempt at this task can go on; it replaces an earlier one and is durable
    /// when this returns. Kept until an attempt succeeds. Whether all parties are at the same step is for the component
    /// to agree on: an attempt may have ended between two parties' checkpoints.
    fn checkpoint(&self, state: &[u8]) -> Result<()>;
}

/// Progress that is shown and kept nowhere: of a component that runs outside of a job.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn line(&self, _: Level, _: &str) {}

    fn metric(&self, _: Metric) {}

    fn checkpoint(&self, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// One attempt at one task of one party.
pub struct Task {
    /// Name in the job: `psi_0`.
    pub name: String,
    /// Which of its functions the component performs.
    pub stage: Stage,
    /// Who runs it here.
    pub own: Party,
    /// All parties that run it, this one included.
    pub parties: Vec<Party>,
    /// Checked against the definition, defaults filled in.
    pub parameters: Map<String, Value>,
    /// By input key; several where the definition allows it.
    pub inputs: BTreeMap<String, Vec<Input>>,
    /// By input key, in the same order: the task that made each, or the name of a table that the job names itself.
    pub producers: BTreeMap<String, Vec<String>>,
    /// The session on the site's computing engine, with the cores of the task's placement.
    pub computing: Arc<dyn Computing>,
    /// Values to and from the other parties.
    pub federation: Arc<dyn Federation>,
    /// What the party releases to others.
    pub releases: Releases,
    /// The state that an earlier attempt handed over here, if any did.
    pub checkpoint: Option<Bytes>,
    /// Where the task reports its progress.
    pub progress: Arc<dyn Progress>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} of {}", self.name, self.own)
    }
}

impl Task {
    /// The parameters as the component's own type. They were checked before, by the definition and by
    /// [`Component::check`](crate::Component::check), so a mismatch is a bug of the component.
    pub fn parameters<P: DeserializeOwned>(&self) -> Result<P> {
        assignment::typed(&self.parameters)
    }

    /// The one table under an input key.
    pub fn table(&self, key: &str) -> Result<&Table> {
        match self.inputs.get(key).map(Vec::as_slice) {
            Some([Input::Table(table)]) => Ok(table),
            _ => Err(Error::invalid(format!("input {key} is not one table"))),
        }
    }

    /// All tables under an input key, each with its producer; none if the input is absent.
    pub fn tables<'a>(&'a self, key: &'a str) -> Result<Vec<(&'a str, &'a Table)>> {
        let inputs = self.inputs.get(key).into_iter().flatten();
        let producers = self.producers.get(key).into_iter().flatten().map(String::as_str);
        let table = |(input, producer): (&'a Input, &'a str)| match input {
            Input::Table(table) => Ok((producer, table)),
            _ => Err(Error::invalid(format!("input {key} is not tables"))),
        };
        inputs.zip(producers.chain(std::iter::repeat(key))).map(table).collect()
    }

    /// The one model under an input key, as JSON.
    pub fn json_model(&self, key: &str) -> Result<&Value> {
        match self.model(key)? {
            Model::Json(value) => Ok(value),
            _ => Err(Error::invalid(format!("model {key} is not JSON"))),
        }
    }

    /// The one model under an input key.
    pub fn model(&self, key: &str) -> Result<&Model> {
        match self.inputs.get(key).map(Vec::as_slice) {
            Some([Input::Model(model)]) => Ok(model),
            _ => Err(Error::invalid(format!("input {key} is not one model"))),
        }
    }

    /// What a partner is to get about an input: to be asked before any of it leaves.
    pub fn release<'a>(&'a self, input: &str, to: &'a Party) -> Release<'a> {
        self.releases.of(&self.own, input, to)
    }

    /// The others that run this task in a role, in the order of the job.
    pub fn others(&self, role: &Role) -> Vec<Party> {
        self.parties.iter().filter(|p| p.role == *role && **p != self.own).cloned().collect()
    }

    /// The guest. An error unless exactly one runs the task.
    pub fn guest(&self) -> Result<Party> {
        self.the(&Role::guest())
    }

    /// The arbiter. An error unless exactly one runs the task.
    pub fn arbiter(&self) -> Result<Party> {
        self.the(&Role::arbiter())
    }

    fn the(&self, role: &Role) -> Result<Party> {
        let found: Vec<&Party> = self.parties.iter().filter(|p| p.role == *role).collect();
        match found[..] {
            [party] => Ok(party.clone()),
            _ => {
                let text = format!("{} parties run task {} as {role}, expected one", found.len(), self.name);
                Err(Error::invalid(text))
            }
        }
    }

    /// What a proof by `owner` is bound to, so that it counts in this attempt and for this party alone.
    pub fn proof_context(&self, owner: &Party) -> Vec<u8> {
        format!("{}\n{owner}", self.federation.spec().session).into_bytes()
    }

    /// Whether this party is the guest.
    pub fn is_guest(&self) -> bool {
        self.own.role == Role::guest()
    }

    /// How rows are cut here, unless something else decides it.
    pub fn rows(&self, rows: u64) -> RowRanges {
        RowRanges::even(rows, self.partitions())
    }

    /// As [`Task::rows`], for a table on its way in; refuses another number of rows than expected.
    pub fn exactly(
        &self,
        from: &Party,
        expected: RowRanges,
    ) -> impl Fn(u64) -> Result<Layout> + Sync + use<> {
        let from = from.clone();
        move |rows| {
            let wanted = expected.all().end - expected.all().start;
            if rows != wanted {
                let text = format!("{from} sent {rows} rows, expected {wanted}");
                return Err(Error::new(ErrorKind::Corrupt, text));
            }
            Ok(Layout::Rows(expected.clone()))
        }
    }

    /// Partitions of tables, from the placement.
    pub fn partitions(&self) -> u32 {
        self.computing.spec().placement.partitions
    }

    /// Reports to the user where the task is.
    pub fn note(&self, text: impl AsRef<str>) {
        self.progress.line(Level::Info, text.as_ref());
    }

    /// Reports to the user what to change.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.progress.line(Level::Warning, text.as_ref());
    }
}
