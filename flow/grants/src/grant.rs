//! What a grant says, as read.

use tributary_core::{PartyId, Role};

use crate::hours::Hours;
use crate::pattern::{ModelPattern, Pattern};

/// All grants of a party, numbered from 1 in the order of the file. [`Grants::default`] grants nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grants {
    pub(crate) list: Vec<Grant>,
}

impl Grants {
    /// Each, in the order of the file.
    pub fn list(&self) -> &[Grant] {
        &self.list
    }
}

/// One of them: everything that a job must fit to be accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// Line of the file, from 1.
    pub line: usize,
    /// Who may offer the job, and who else may take part in it.
    pub partners: Vec<PartyId>,
    /// What this party computes.
    pub components: Vec<GrantedComponent>,
    /// Its tables that a job may use from the beginning. None: only jobs that use none.
    pub tables: Vec<Pattern>,
    /// Its models that a job may use from the beginning. None: only jobs that use none.
    pub models: Vec<ModelPattern>,
    /// What this party may be in the job.
    pub roles: Vec<Role>,
    /// What the party that offers the job may be in it. None: anything.
    pub partner_roles: Vec<Role>,
    /// Most rows of each table.
    pub most_rows: Option<u64>,
    /// Least rows of an intersection before anything else is computed with it.
    pub least_common_rows: Option<u64>,
    /// When a job may start. None: at any time.
    pub hours: Vec<Hours>,
    /// Most cores of this site at the same time.
    pub most_cores: Option<u32>,
}

/// A component, and which of its stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedComponent {
    /// Its name.
    pub name: String,
    /// Names of stages. None: all.
    pub stages: Vec<String>,
}

impl Grant {
    /// The component of this name, if it is granted in any stage.
    pub(crate) fn component(&self, name: &str) -> Option<&GrantedComponent> {
        self.components.iter().find(|component| component.name == name)
    }
}
