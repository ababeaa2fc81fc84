//! What a component is given: who it is, with whom, its parameters, its inputs, and the site's engines.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tributary_core::computing::Computing;
use tributary_core::federation::Federation;
use tributary_core::layout::RowRanges;
use tributary_core::{Error, ErrorKind, Layout, Party, Result, Role, Table};

use crate::assignment;
use crate::definition::Stage;

/// One input of a task.
#[derive(Debug, Clone)]
pub enum Input {
    /// A table of the site.
    Table(Table),
    /// A model.
    Model(Value),
}

/// One attempt at one task of one party.
pub struct Task {
    /// Name in the job: `psi_0`.
    pub name: String,
    /// Which of its functions the component performs.
    pub stage: Stage,
    /// Who runs it here.
    pub own: Party,
    /// Everybody who runs it, this party included.
    pub parties: Vec<Party>,
    /// Checked against the definition, defaults filled in.
    pub parameters: Map<String, Value>,
    /// By input key; several where the definition allows it.
    pub inputs: BTreeMap<String, Vec<Input>>,
    /// The session on the site's computing engine, with the cores of the task's placement.
    pub computing: Arc<dyn Computing>,
    /// Values to and from the other parties.
    pub federation: Arc<dyn Federation>,
    /// Tells the user where the task is; a line of text.
    pub progress: Arc<dyn Fn(&str) + Send + Sync>,
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

    /// The one model under an input key.
    pub fn model(&self, key: &str) -> Result<&Value> {
        match self.inputs.get(key).map(Vec::as_slice) {
            Some([Input::Model(model)]) => Ok(model),
            _ => Err(Error::invalid(format!("input {key} is not one model"))),
        }
    }

    /// The others that run this task in a role, in the order of the job.
    pub fn others(&self, role: &Role) -> Vec<Party> {
        self.parties.iter().filter(|p| p.role == *role && **p != self.own).cloned().collect()
    }

    /// The guest. A task with another number of guests than one has none to speak of.
    pub fn guest(&self) -> Result<Party> {
        let guests: Vec<&Party> = self.parties.iter().filter(|p| p.role == Role::guest()).collect();
        match guests[..] {
            [guest] => Ok(guest.clone()),
            _ => Err(Error::invalid(format!("{} guests run task {}, expected one", guests.len(), self.name))),
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

    /// Tells the user where the task is.
    pub fn note(&self, text: impl AsRef<str>) {
        (self.progress)(text.as_ref());
    }
}
