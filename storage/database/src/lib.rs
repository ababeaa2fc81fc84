//! Connections to SQLite, PostgreSQL and MySQL (MariaDB), for those who keep something there: tables, or what a site knows of them.
//!
//! Statements are written once, with `?` for values: all values are bound, and a name that is put into a statement has passed
//! [`Product::quote`]. What the three say differently is in [`Product`]; how they fail, in [`Failure`].
//!
//! **A database that cannot be reached is waited for**, as long as [`Server::patience`] says: what is done through
//! [`Database::patiently`] is begun again on a new connection when the old one is lost. An operation that may have been done
//! before its answer was lost is told so, and finds out.
//!
//! The client is `sqlx`, which needs tokio: a database brings two threads of its own, which start with the first call.

#![warn(missing_docs)]

mod config;
mod connection;
mod failure;
mod file;
mod migrate;
mod pool;
mod product;
mod server;

pub use config::{COMMON, DatabaseKey, keys};
pub use connection::{Connection, Row, Value};
pub use failure::Failure;
pub use file::FileKind;
pub use migrate::{Step, Versioned, bring_up_to_date};
pub use pool::{Database, Lease, Operation, Pool, Source, Try};
pub use product::Product;
pub use server::{Server, Tls};
