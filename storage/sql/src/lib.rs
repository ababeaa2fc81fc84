//! Tables in a PostgreSQL or MySQL (MariaDB) database, and tables and views of other programs there, bound.
//!
//! A snapshot of a table of ours is one SQL table with typed columns, and before them `tributary_part`, `tributary_try` and
//! `tributary_row`: whoever knows SQL can read it. It is invisible to us until a row of the catalogue names it; publishing changes that
//! row alone, in one transaction. A writer that is killed leaves a table that nothing names, or rows of a try that nothing names; the
//! next clean-up, or the commit, removes them.
//!
//! **Types are mapped without loss, or refused by name** before a row is read. PostgreSQL is written and read by `COPY` in its
//! binary format, MySQL by multi-row inserts and a streamed query; both by threads of the store's own, while rows are encoded and
//! decoded on the thread that asks for them.
//!
//! **Names are quoted in one place, values are bound.** `COPY` takes no values: what stands in its query are quoted names, and numbers
//! of ours.

#![warn(missing_docs)]

mod bind;
mod calendar;
mod catalog;
mod column;
mod config;
mod copy;
mod examine;
mod insert;
mod manifest;
mod numeric;
mod part;
mod requests;
mod scan;
mod select;
mod shape;
mod source;
mod store;
mod sweep;
mod write;

pub use config::{Config, MYSQL_KEYS, POSTGRESQL_KEYS};
pub use copy::read_copied;
pub use manifest::read_manifest;
pub use store::SqlTables;
pub use tributary_database::{COMMON, Product, Server, Tls};
