//! Tables by name: what changes a store and the site's record of it together.
//!
//! [`bind`] makes a table of files that lie elsewhere, [`rename`] gives one another name, [`verify`] compares a table with
//! what is known of it. **The store decides what a table holds, the record only describes it**: each step here leaves a
//! usable state if the next one never comes, and says which.

#![warn(missing_docs)]

mod bind;
mod record;
mod rename;
mod verify;

pub use bind::{BindOptions, bind};
pub use rename::rename;
pub use verify::{Verified, verify};
