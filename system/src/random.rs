//! The operating system's randomness, for keys and for names that must be unique.

use tributary_core::{Error, ErrorKind, Result};

/// Fills `bytes`. Errors, here and below: `Io` if the system has no randomness.
pub fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(refused)
}

/// A random number of 64 bits.
pub fn u64() -> Result<u64> {
    getrandom::u64().map_err(refused)
}

/// A random number of 32 bits.
pub fn u32() -> Result<u32> {
    getrandom::u32().map_err(refused)
}

fn refused(reason: getrandom::Error) -> Error {
    Error::new(ErrorKind::Io, "the operating system has no random numbers").because(reason.to_string())
}
