//! One party's part of a task as the job file describes it: no engine, no rows, nothing of a site.
//!
//! What a component is asked before anything runs ([`Component::check`](crate::Component::check),
//! [`Component::tables`](crate::Component::tables)) is asked of this, so that the answer is the same on every machine.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tributary_core::{Error, Party, Result, Role, TableName};

use crate::definition::{ParameterProblem, Stage};

/// One party's part of a task that has not begun.
#[derive(Clone, Copy, Debug)]
pub struct Assignment<'a> {
    /// Which of its functions the component is to perform.
    pub stage: Stage,
    /// Whose part it is.
    pub own: &'a Party,
    /// All parties that are to run it, this one included.
    pub parties: &'a [Party],
    /// Checked against the definition, defaults filled in.
    pub parameters: &'a Map<String, Value>,
}

/// A table of the site that parameters name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTable {
    /// Which.
    pub table: TableName,
    /// The parameter that names it, where messages about it point.
    pub parameter: &'static str,
}

impl Assignment<'_> {
    /// The parameters as the component's own type. `Bug` if its definition lets through what the type does not take.
    pub fn parameters<P: DeserializeOwned>(&self) -> Result<P> {
        typed(self.parameters)
    }

    /// Whether this party is the guest.
    pub fn is_guest(&self) -> bool {
        self.own.role == Role::guest()
    }

    /// How many run it in a role.
    pub fn count(&self, role: &Role) -> usize {
        self.parties.iter().filter(|party| party.role == *role).count()
    }

    /// Whether another site takes part: what is released to it leaves this party.
    pub fn has_partners(&self) -> bool {
        self.parties.iter().any(|party| party.id != self.own.id)
    }

    /// What is wrong if hosts work with a guest and there is not exactly one guest.
    pub fn expect_one_guest(&self) -> Option<ParameterProblem> {
        let guests = self.count(&Role::guest());
        (guests != 1).then(|| ParameterProblem::of_task(format!("expected one guest, got {guests}")))
    }
}

pub(crate) fn typed<P: DeserializeOwned>(parameters: &Map<String, Value>) -> Result<P> {
    serde_json::from_value(Value::Object(parameters.clone()))
        .map_err(|e| Error::bug("checked parameters do not fit the component's own type").because(e))
}
