//! The queue on RabbitMQ: sites that share nothing but a broker, or have one each, joined by federation of queues.
//!
//! **A channel is a queue** of the channel's name, durable, removed by the broker itself once nobody has used it for `expires`. Frames are packed
//! into persistent messages, so that a table costs few of them, and published with the flag `mandatory`: a late frame never brings back a queue that
//! was removed.
//!
//! **Nothing grows with a table.** A sender has a bounded number of bytes unconfirmed, and looks now and then how much lies in the queue: while
//! that is much, it waits for the reader. A reader has a bounded number of messages unacknowledged. The queue itself refuses what is beyond
//! its limit, so that no other user of the broker can fill its disk through it.
//!
//! **Two connections**, because the broker stops reading from one that publishes while it lacks memory or disk: what reads and acknowledges, which
//! is what frees memory, must not be behind it. Both are made again when they break; what was not confirmed is sent again.
//!
//! **A broker each** (`mode: replication`): a sender's queue is at its own broker; the receiver's broker has a queue of the same name and fetches from
//! it, by an upstream and a policy for each partner. Both are written through the management interface, or are already there.

mod admin;
pub mod config;
mod error;
mod line;
mod queue;
mod receiver;
mod sender;

pub use admin::Inspector;
pub use config::{Config, Mode, QueueType, Tls};
pub use queue::Rabbit;
