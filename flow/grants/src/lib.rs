//! What a party lets its partners do without asking: `grants.yaml`, the decision on an offered job, and the log of all offers.
//!
//! The operator writes [`Grants`]; whoever receives an offer describes it as a [`Request`] and asks [`decide`]. That is a pure
//! function: it reads no clock, table or file, so every case of it is a line of a test, and the same offer is decided in the same
//! way wherever it comes from. A job is accepted if **one** grant allows all of it. Grants are never added up: two that are
//! harmless alone need not be so together, and a reader of the file would have to think of every pair.
//!
//! Without a file everything is refused. An operator who starts a party's part of a job by hand consents to that job; then nobody
//! asks here, and the [audit log](audit) says so.
//!
//! ```
//! use std::time::Duration;
//! use tributary_core::{Limits, Party};
//! use tributary_grants::{Decision, Grants, Known, Request, decide};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = b"grants:\n- {partner: 9999, components: [toy_example], roles: [host]}\n";
//! let known = Known::new([("toy_example", vec!["default"])]);
//! let grants = Grants::parse("grants.yaml", text, &known)?;
//!
//! let mut request = Request::new(Party::new("guest", "9999")?, Duration::from_secs(1_795_348_800));
//! request.add_task("sum", "toy_example", "default", "host".parse()?);
//! assert!(matches!(decide(&grants, &request, &Limits::default()), Decision::Granted(_)));
//!
//! request.others.push(Party::new("host", "666")?);
//! let Decision::Refused(refusal) = decide(&grants, &request, &Limits::default()) else { panic!() };
//! assert_eq!(refusal.reasons[0].told, "no grant covers a job in which party 666 takes part");
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

pub mod audit;

mod decide;
mod grant;
mod hours;
mod pattern;
mod read;
mod request;

pub use decide::{Decision, Granted, Reason, Refusal, decide};
pub use grant::{Grant, GrantedComponent, Grants};
pub use hours::Hours;
pub use pattern::{ModelPattern, Pattern};
pub use read::Known;
pub use request::{Request, TableAsked, TaskAsked};
