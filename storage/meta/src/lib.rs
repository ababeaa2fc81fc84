//! The site's records of its tables: in one SQLite file for each party, or in a PostgreSQL or MySQL database that any number of servers
//! share.
//!
//! **A version is a row number that the database never gives twice** (`AUTOINCREMENT`; MySQL from 8.0, MariaDB from 10.2), so that
//! compare-and-set also notices a record that was removed and made again: a change is "delete the row with this number, insert
//! another" in one transaction. The same statements serve all three.
//!
//! **Durable when a call returns.** A file: write-ahead log, `synchronous=FULL`; `NORMAL` would save a flush per change and lose the
//! last changes in a power cut, and a job makes only a handful of changes. Any number of processes may have the file open; one writes
//! at a time and the others wait for up to ten seconds. Not for network mounts: SQLite's locks do not work there.
//!
//! **A server that restarts is waited for.** A change whose answer was lost may have happened: the next try looks whether the record is
//! the one that it wanted to write.
//!
//! The first call opens the database, so that a program without calls has no cost. The file is 0600, because previews hold rows.
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
mod record;
mod requests;
mod schema;
mod store;

pub use config::Config;
pub use store::{Meta, open, shared};
pub use tributary_database::{Product, Server, Tls};
