//! Agents at other sites: what a coordinator asks of them, and what they answer, as letters between the sites.
//!
//! Each request has a number and is sent again until its answer has come; the site that answers performs it once and repeats what it
//! said. A part that runs for hours is one request: until it has ended, the answer is that it is being worked on, which also shows
//! that the site is there. [`Correspondence`] is the side that asks, [`Desk`] the one that answers; a site is both.

mod agent;
mod correspondence;
mod desk;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod letter;
mod outward;
mod ping;

pub use agent::RemoteAgent;
pub use correspondence::Correspondence;
pub use desk::{Consent, Consented, Desk, DeskEvent, DeskParts, Offered, Refused};
pub use ping::{Answering, MOST_PING_BYTES, Pong, kernels_of};
