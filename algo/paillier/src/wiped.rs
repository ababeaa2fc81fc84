//! Integers that are overwritten when dropped, and do not print.
//!
//! GMP has no call for this. Assigning zero only sets a length and leaves the limbs, so the whole allocation
//! is overwritten by importing as many zero limbs as it holds. GMP's temporaries, and blocks given back when
//! a number grew, keep their content.

use std::{fmt, ops::Deref};

use rug::{Integer, integer::Order};

/// An integer whose memory is overwritten when it is dropped.
pub(crate) struct Wiped(Integer);

impl From<Integer> for Wiped {
    fn from(value: Integer) -> Self {
        Self(value)
    }
}

impl Deref for Wiped {
    type Target = Integer;

    fn deref(&self) -> &Integer {
        &self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl fmt::Debug for Wiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// Overwrites every limb that `value` has allocated.
fn wipe(value: &mut Integer) {
    let limbs = value.capacity() / u64::BITS as usize;
    value.assign_digits(&vec![0u64; limbs], Order::Lsf);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wiping_writes_to_the_allocation_that_held_the_value() {
        let mut value = (Integer::from(1) << 2048u32) - 1u32;
        let capacity = value.capacity();
        wipe(&mut value);
        assert_eq!((value.capacity(), value.is_zero()), (capacity, true));
    }

    #[test]
    fn debug_does_not_print_the_value() {
        assert_eq!(format!("{:?}", Wiped::from(Integer::from(424_242))), "<redacted>");
    }
}
