//! Tables by name: what changes a store and the site's record of it together.
//!
//! [`record`] tells the site of a table, [`rename`] gives one another name, [`delete`] takes one away, [`verify`] compares one with
//! what is known of it. **The store decides what a table holds, the record only describes it**: each step here leaves a usable
//! state if the next one never comes, and says which.

#![warn(missing_docs)]

mod delete;
mod record;
mod rename;
mod verify;

pub use delete::delete;
pub use record::{Entry, record};
pub use rename::rename;
pub use verify::{Verified, verify};
