//! The site's records of its tables, in one SQLite file.
//!
//! **A version is a row number that SQLite never gives twice** (`AUTOINCREMENT`), so that compare-and-set also notices a
//! record that was removed and made again: a change is "delete the row with this number, insert another" in one transaction.
//!
//! **Durable when a call returns**: write-ahead log, `synchronous=FULL`. `NORMAL` would save a flush per change and lose the
//! last changes in a power cut; a job makes only a handful of changes. Any number of processes may have the file open; one
//! writes at a time and the others wait for up to ten seconds. Not for network mounts: SQLite's locks do not work there.
//!
//! The first call opens the file (in under a millisecond if it exists), so that a program without calls has no cost. The
//! file is 0600, because previews hold rows.
//!
//! ```
//! # use tributary_core::{TableName, meta::StorageMeta};
//! # let home = tempfile::tempdir().unwrap();
//! # futures::executor::block_on(async {
//! let meta = tributary_meta::open(&home.path().join("meta.db"))?;
//! assert!(meta.get(&TableName::new("experiment", "breast_guest")?).await?.is_none());
//! # Ok::<(), tributary_core::Error>(())
//! # }).unwrap();
//! ```

pub mod config;
mod database;
mod store;

pub use config::Config;
pub use store::{Meta, open};
