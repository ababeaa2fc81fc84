//! What a job takes from outside itself and asks parties to release, with the places where the file says so.
//!
//! Kept beside the plan, not in it: places change with the spelling of a file, and the plan must not. The caller, which
//! has the sites, looks the things up.

use std::collections::BTreeMap;

use tributary_component::{Ask, Asked};
use tributary_core::Party;
use tributary_document::{Item, Position};

use super::ArtifactRef;

/// What must be there before the job begins.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Needs {
    /// The job file, as messages call it.
    pub file: String,
    /// Where each task stands.
    pub tasks: BTreeMap<String, Position>,
    /// Each thing at each party, in the order of the tasks.
    pub list: Vec<Need>,
    /// What it asks each party to release, in the same order.
    pub asks: Vec<Asking>,
    /// What components will choose by themselves, by task and party.
    pub foretold: BTreeMap<(String, Party), Vec<String>>,
    /// Where the file names the models that the job registers, if it does.
    pub models: Option<Position>,
}

/// One thing that one party must have.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Need {
    /// Whose it is.
    pub party: Party,
    /// What; never an output of the job itself.
    pub source: ArtifactRef,
    /// Where the file names it.
    pub at: Position,
    /// The way there from the top of the file.
    pub path: String,
}

impl Need {
    pub(super) fn new(party: &Party, source: ArtifactRef, item: &Item<'_>) -> Self {
        Self { party: party.clone(), source, at: item.at(), path: item.path().to_owned() }
    }
}

/// One thing that one party is asked to release.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Asking {
    /// Who is asked.
    pub party: Party,
    /// What for.
    pub ask: Ask,
    /// Where the file asks.
    pub at: Position,
    /// The way there from the top of the file.
    pub path: String,
}

impl Asking {
    pub(super) fn new(party: &Party, asked: Asked, item: &Item<'_>) -> Self {
        Self { party: party.clone(), ask: asked.ask, at: item.at(), path: item.path().to_owned() }
    }
}
