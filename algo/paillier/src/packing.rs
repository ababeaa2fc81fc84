//! Several signed numbers in one plaintext.
//!
//! A packed plaintext is plainly `Σ value · 2^(slot_bits · i)`, negative values included; nothing is offset.
//! Sums of packed plaintexts are then packed sums, and unpacking reads each slot as two's complement and
//! takes what it borrowed back from the next. That is exact as long as every sum stays inside `slot_bits` as
//! a *signed* number, which the constructor ensures.

use rug::Integer;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    scheme::Additive,
};

/// How numbers share a plaintext.
///
/// The bound: for values of magnitude below 2^`value_bits` and at most `terms` of them in any sum, slots have
/// `value_bits + ⌈log₂ terms⌉ + 1` bits. A sum is below `terms · 2^value_bits ≤ 2^(slot_bits − 1)`, so no
/// slot reaches its neighbour; all slots together stay within the plaintext's bits, so the whole does not
/// wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Packing {
    value_bits: u32,
    slot_bits: u32,
    slots: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    value_bits: u32,
    slot_bits: u32,
    slots: usize,
}

impl TryFrom<Raw> for Packing {
    type Error = Error;

    fn try_from(Raw { value_bits, slot_bits, slots }: Raw) -> Result<Self> {
        let packing = Self { value_bits, slot_bits, slots };
        let sane = value_bits < slot_bits && slot_bits <= Self::MAX_SLOT_BITS;
        if sane && (1..=Self::MAX_SLOTS).contains(&slots) { Ok(packing) } else { Err(packing.impossible()) }
    }
}

impl Packing {
    /// The widest slot: unpacked numbers are `i128`.
    pub const MAX_SLOT_BITS: u32 = 127;

    /// The most slots of any plaintext, at 2 bits each.
    const MAX_SLOTS: usize = 1536;

    /// As many slots as a plaintext of `plaintext_bits` holds, for sums of at most `terms` values of
    /// magnitude below 2^`value_bits`. Errors: `Parameters` if not even one fits, or a slot would exceed
    /// [`MAX_SLOT_BITS`](Self::MAX_SLOT_BITS).
    pub fn for_sums(value_bits: u32, terms: u64, plaintext_bits: u32) -> Result<Self> {
        let headroom = u64::BITS - terms.saturating_sub(1).leading_zeros(); // ⌈log₂ terms⌉
        let slot_bits = value_bits.saturating_add(headroom + 1);
        let slots = (plaintext_bits / slot_bits) as usize;
        Raw { value_bits, slot_bits, slots }.try_into()
    }

    /// The bits of one slot.
    pub fn slot_bits(self) -> u32 {
        self.slot_bits
    }

    /// The slots of one plaintext.
    pub fn slots(self) -> usize {
        self.slots
    }

    /// One plaintext of up to [`slots`](Self::slots) values, the first lowest. Errors: `Number` for too many
    /// values, or too large a one.
    pub fn pack(self, values: &[i128]) -> Result<Integer> {
        if values.len() > self.slots {
            return Err(Error::Number { reason: "more values than a plaintext has slots" });
        }
        let mut packed = Integer::new();
        for value in values.iter().rev() {
            if value.unsigned_abs() >> self.value_bits != 0 {
                return Err(Error::Number { reason: "it does not leave the headroom that its slot needs" });
            }
            packed <<= self.slot_bits;
            packed += *value;
        }
        Ok(packed)
    }

    /// The first `count` slots of a decrypted plaintext. Errors: `Unpack` if more than that is in it, which
    /// no sum of packed plaintexts has.
    pub fn unpack(self, packed: &Integer, count: usize) -> Result<Vec<i128>> {
        let mut rest = packed.clone();
        let values = (0..count.min(self.slots)).map(|_| {
            let value = rest.clone().keep_signed_bits(self.slot_bits);
            rest -= &value;
            rest >>= self.slot_bits;
            value.to_i128_wrapping() // at most 127 bits
        });
        let values: Vec<i128> = values.collect();
        if rest.is_zero() && values.len() == count {
            Ok(values)
        } else {
            Err(Error::Unpack { reason: "it has more in it than the expected slots" })
        }
    }

    /// How many ciphertexts of `width` used slots go into one. Zero if `width` is, or is more than there are
    /// slots.
    pub fn group(self, width: usize) -> usize {
        self.slots.checked_div(width).unwrap_or(0)
    }

    /// Packs ciphertexts, each with its first `width` slots in use, into as few as they need, in order:
    /// result `i` holds inputs `i · group(width)` and following, the first lowest.
    ///
    /// Not re-randomised. Errors: `Parameters` if `width` does not fit. Cost: `width · slot_bits` squarings
    /// for each ciphertext, against a decryption saved.
    pub fn pack_ciphertexts<K: Additive>(
        self,
        key: &K,
        values: &[K::Ciphertext],
        width: usize,
    ) -> Result<Vec<K::Ciphertext>> {
        let fits = self.slots as u64 * u64::from(self.slot_bits) <= u64::from(key.plaintext_bits());
        if self.group(width) == 0 || !fits {
            return Err(self.impossible());
        }
        let shift = width as u32 * self.slot_bits;
        let pack = |group: &[K::Ciphertext]| {
            let mut packed = key.zero();
            for (i, value) in group.iter().rev().enumerate() {
                if i > 0 {
                    key.shift_left(&mut packed, shift);
                }
                key.add(&mut packed, value);
            }
            packed
        };
        Ok(values.chunks(self.group(width)).map(pack).collect())
    }

    /// Unpacks what [`pack_ciphertexts`](Self::pack_ciphertexts) made of `count` ciphertexts, after
    /// decryption: all slots in order, `count · width` of them. Errors: `Unpack`.
    pub fn unpack_all(self, packed: &[Integer], count: usize, width: usize) -> Result<Vec<i128>> {
        let group = self.group(width);
        if group == 0 || packed.len() != count.div_ceil(group) {
            return Err(Error::Unpack {
                reason: "its count does not belong to the number of sums asked for",
            });
        }
        let mut values = Vec::with_capacity(count * width);
        for (i, packed) in packed.iter().enumerate() {
            values.extend(self.unpack(packed, group.min(count - i * group) * width)?);
        }
        Ok(values)
    }

    fn impossible(self) -> Error {
        let Self { value_bits, slot_bits, slots } = self;
        let reason = format!(
            "{slots} slots of {slot_bits} bits for values of {value_bits}; use fewer bits, fewer terms or a longer key"
        );
        Error::Parameters { what: "packed plaintexts", reason }
    }
}
