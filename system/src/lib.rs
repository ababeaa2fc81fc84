//! What the operating system gives, each asked for in one place: randomness, the time, room on a disk, and what a file is
//! known by when it is opened again.

#![warn(missing_docs)]

pub mod clock;
pub mod disk;
pub mod random;
pub mod stamp;

pub use stamp::Stamp;
