//! Tables by name: the operations that change a store and the site's record of a table together.
//!
//! [`record`] writes the site's record of a table, [`rename`] renames a table, [`delete`] deletes one, [`verify`] compares
//! one with its manifest and record. **The store decides what a table holds, the record only describes it**: each step
//! leaves a usable, documented state even if the next step never runs.

#![warn(missing_docs)]

mod delete;
mod record;
mod rename;
mod verify;

pub use delete::delete;
pub use record::{Entry, record};
pub use rename::rename;
pub use verify::{Verified, verify};
