//! The requests of users and programs to a site: submit a job, see its status, read the outputs of its tasks, change tables.
//!
//! Each request is implemented here once, with its checks and messages; a command line and a server only translate to and
//! from it. Nothing here prints, parses arguments or ends a process.

#![warn(missing_docs)]

pub mod doctor;
pub mod federation;
pub mod init;
pub mod jobs;
pub mod part;
pub mod peer;
pub mod report;
pub mod results;
pub mod site;
pub mod submit;
pub mod tables;

mod party;

pub use tributary_fate1 as fate1;

pub use jobs::{Jobs, LATEST};
pub use party::{known_party, own_or_known_party, party};
pub use results::Results;
pub use submit::{NotRead, Submission, component, converted};
pub use tables::{Tables, Wait};
