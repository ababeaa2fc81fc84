//! The services of the operating system, each in one place: randomness, the time, free space on a disk, and the stamp by
//! which a file is recognised when it is opened again.

#![warn(missing_docs)]

pub mod clock;
pub mod disk;
pub mod random;
pub mod stamp;

pub use stamp::Stamp;
