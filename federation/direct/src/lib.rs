//! Lines between sites: the [`Queue`](tributary_wire::Queue) of a site whose partners are processes elsewhere, with nothing in between but
//! one port, or an exchange.
//!
//! A [`Node`] calls and listens; what stands between two sites is one gRPC stream with messages in both directions, whoever called. All
//! channels of all sessions go over it. Frames that the other site has not confirmed are kept within a bound and sent again
//! after a break, so that a network that is away for a while is not noticed above; the layer above drops what comes twice.

pub mod config;
pub mod exchange;
mod local;
mod tls;

mod node;

// A site, its channels, and a line to it.
mod channel;
mod line;
mod peer;

// How a line begins.
mod greeting;
mod meeting;

// What goes over it.
mod batch;
mod message;
mod stream;

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

pub use config::{Config, Options, Place, listen};
pub use exchange::Exchange;
pub use local::{Site, networks};
pub use node::Node;
pub use tls::{Fingerprint, Identity, days_left};
