//! The services of the operating system, each in one place: randomness, the time, free space on a disk, local files for formats, and the stamp by
//! which a file is recognised when it is opened again.

#![warn(missing_docs)]

pub mod clock;
pub mod disk;
pub mod local;
pub mod random;
pub mod stamp;

pub use local::{LocalFile, LocalMedia};
pub use stamp::Stamp;
