//! Federation, written once over a broker's queue: handshake, sealing, framing, order, once-only.
//!
//! A transport implements [`Queue`]; [`Wire`] makes a [`Network`](tributary_core::federation::Network) of it. A value on its
//! way down: records (a header, then a message or batches of rows) → pieces → sealed, numbered frames → the queue. On its way
//! up: authenticated, sorted, kept until it is pulled (in memory, then on disk, sealed), decoded by what the header says.
//!
//! **Meeting.** `join` makes the channels and starts one task a peer (on the caller's tokio runtime, with time enabled), which
//! takes whatever comes and answers handshakes; nothing is said until a peer is first needed. A push needs its receivers
//! *present*: its first one waits, at most for the session's patience, until they have joined and keys are agreed on. It never
//! waits for a pull. Since the tasks answer whatever the parties do, parties that push to each other cannot block.
//!
//! **Leaving.** `close` reports to the peers how it ended: a pull from a failed party fails at once and names it, and so does a push to
//! it; a push to a party that is done is dropped. It waits for no peer. Who removes which channel is stated at [`Queue`].
//!
//! **Trust.** Names of channels come from a secret of the two sites, so that other users of a broker can neither guess them nor send to
//! them. The broker itself sees lengths, times and which sites talk to each other, and can end a session by losing, damaging or forging
//! hellos; it can neither read nor change, repeat, reorder or redirect a value unnoticed. A peer that is authenticated may
//! send anything: all of it is bounded and checked, and what is wrong names the peer. `fuzz/` has a target for each decoder.
//!
//! ```
//! use tributary_wire::{Channel, KeyRing, SecretKey};
//! # fn main() -> tributary_core::Result<()> {
//! // Each site makes a key once and gives the public part to the others.
//! let (bank, shop) = (SecretKey::generate()?, SecretKey::generate()?);
//! let ring = KeyRing::new(bank).with("10000".parse()?, shop.public())?;
//! assert_eq!(ring.of(&"10000".parse()?)?, &shop.public());
//! # Ok(())
//! # }
//! ```

// The interface.
pub mod config;
mod keys;
mod limits;
mod network;
mod queue;
pub mod retry;

// Letters, without a session.
mod letter;
mod post;

// A session and its peers.
mod greeting;
mod inbox;
mod link;
mod outbox;
mod push;
mod reader;
mod session;

// What goes over the wire.
mod frame;
mod handshake;
mod header;
mod hello;
mod rows;
mod seal;

// What these are built on.
mod clock;
mod order;
mod store;
mod throttle;
mod traffic;

#[cfg(feature = "fault")]
pub mod fault;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;

pub use keys::{ChannelKey, KeyRing, LineKey, PublicKey, SecretKey};
pub use letter::MAX_LETTER_BYTES;
pub use limits::Limits;
pub use network::{Options, Wire};
pub use queue::{Channel, Delivery, Queue, Readable, Receipt};
pub use seal::MAX_FRAME_BYTES;
