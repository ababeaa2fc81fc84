//! Documents people write by hand (job files, `service_conf.yaml`), read with positions and all mistakes at once.
//!
//! YAML, and JSON as the part of YAML it is, becomes a bounded tree of [`Node`]s; an [`Item`] walks that tree and
//! turns values into Rust types, and every mistake goes to one [`Collector`], so that a user corrects a file in one go. Why not
//! serde: it stops at the first mistake, and it drops the positions of correct values, which mistakes between two places
//! ("no task of this name") need.
//!
//! ```
//! use tributary_document::{Item, Limits, Collector, parse};
//!
//! let report = Collector::new("job.yaml");
//! let node = parse(b"cores: many\ntimeot: 60\n", &Limits::default(), &report).unwrap();
//! let (cores, timeout) = Item::root(&node, &report).map(|keys| {
//!     (keys.take("cores").int_in(1..=1024), keys.take("timeout").int_in(1..=86_400))
//! });
//! assert_eq!((cores, timeout), (None, None));
//! let problems = report.finish(Some(())).unwrap_err();
//! assert_eq!(
//!     problems.to_string(),
//!     "job.yaml:1:1: cores: expected an integer from 1 to 1024, got \"many\"\n\
//!      job.yaml:2:1: timeot: unknown key (did you mean \"timeout\"?)"
//! );
//! ```

#![warn(missing_docs)]

mod node;
mod parse;
mod problems;
mod read;
mod scalar;

pub use node::{Entry, Map, Node, Position, Step, Value};
pub use parse::{Limits, parse};
pub use problems::{Collector, Problem, Problems};
pub use read::{Item, Keys};
pub use scalar::unquoted;
pub use tributary_suggest::{nearest, quoted, suggestion};
