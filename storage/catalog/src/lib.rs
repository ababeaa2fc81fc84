//! Tables by name: the operations that change a store and the site's record of a table together.
//!
//! [`place`] says where a table is, [`record`] writes the site's record of a table, [`rename`] renames a table, [`copy`] copies one to another store, [`bind_table`] makes one of a table that another program has in a database, [`delete`] deletes one, [`verify`] compares
//! one with its manifest and record. **The store decides what a table holds, the record only describes it**: each step
//! leaves a usable, documented state even if the next step never runs.

#![warn(missing_docs)]

mod bind;
mod copy;
mod delete;
mod place;
mod record;
mod rename;
mod verify;

pub use bind::bind_table;
pub use copy::{Shelf, copy};
pub use delete::delete;
pub use place::place;
pub use record::{Entry, record};
pub use rename::rename;
pub use verify::{Verified, verify};
