//! What brokers have in common and nothing else: where partners are ([`Routes`], FATE's files), administration over HTTP ([`Admin`]), and
//! frames packed into messages ([`pack`]).
//!
//! It knows no broker: paths, bodies and what an answer means are those of the engine that uses it.

#![warn(missing_docs)]

mod admin;
mod answer;
mod bundle;
mod routes;

pub use admin::{Admin, Endpoint, Login, segment};
pub use bundle::{Bundle, pack, unpack};
pub use routes::{Route, Routes};
