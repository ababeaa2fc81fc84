//! AES as a stream of random numbers, and as a one-way function of blocks.
//!
//! Blocks are worked on by the dozen, so that the processor's AES units are never idle.

use aes::Aes128Enc;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use zeroize::Zeroizing;

/// Blocks encrypted in one go.
const BATCH: usize = 64;

/// AES-128 under one key, over numbers of 128 bits.
pub struct Blocks(Aes128Enc);

impl Blocks {
    /// Under a key, secret or public.
    pub fn new(key: u128) -> Self {
        Self(Aes128Enc::new(&Array::from(key.to_le_bytes())))
    }

    /// AES of each block.
    pub fn encrypt(&self, blocks: &mut [u128]) {
        let mut bytes = Zeroizing::new([[0; 16]; BATCH]);
        for blocks in blocks.chunks_mut(BATCH) {
            let bytes = &mut bytes[..blocks.len()];
            for (bytes, block) in bytes.iter_mut().zip(&*blocks) {
                *bytes = block.to_le_bytes();
            }
            self.0.encrypt_blocks(Array::cast_slice_from_core_mut(bytes));
            for (bytes, block) in bytes.iter().zip(blocks) {
                *block = u128::from_le_bytes(*bytes);
            }
        }
    }

    /// AES(x) ⊕ x of each block: one-way where the key is public (Matyas, Meyer and Oseas).
    pub fn compress(&self, blocks: &mut [u128]) {
        let mut before = Zeroizing::new([0; BATCH]);
        for blocks in blocks.chunks_mut(BATCH) {
            let before = &mut before[..blocks.len()];
            before.copy_from_slice(blocks);
            self.encrypt(blocks);
            blocks.iter_mut().zip(before).for_each(|(after, before)| *after ^= *before);
        }
    }
}

/// The numbers that a key gives: AES in counter mode, from a counter on.
pub struct Stream {
    blocks: Blocks,
    next: u128,
}

impl Stream {
    /// From the first.
    pub fn new(key: u128) -> Self {
        Self::at(key, 0)
    }

    /// From number `next` on.
    pub fn at(key: u128, next: u128) -> Self {
        Self { blocks: Blocks::new(key), next }
    }

    /// The next numbers.
    pub fn fill(&mut self, numbers: &mut [u128]) {
        for number in numbers.iter_mut() {
            *number = self.next;
            self.next = self.next.wrapping_add(1);
        }
        self.blocks.encrypt(numbers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(hex: &str) -> u128 {
        u128::from_le_bytes(data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap())
    }

    /// FIPS 197, appendix C.1.
    #[test]
    fn a_block_is_encrypted_as_published() {
        let mut blocks = vec![number("00112233445566778899aabbccddeeff"); 2 * BATCH + 1];
        Blocks::new(number("000102030405060708090a0b0c0d0e0f")).encrypt(&mut blocks);
        assert!(blocks.iter().all(|block| *block == number("69c4e0d86a7b0430d8cdb78070b4c55a")));
    }

    #[test]
    fn a_stream_can_be_entered_anywhere() {
        let (mut all, mut part) = ([0; 300], [0; 100]);
        Stream::new(7).fill(&mut all);
        let mut stream = Stream::at(7, 150);
        stream.fill(&mut part[..3]);
        stream.fill(&mut part[3..]);
        assert_eq!(part, all[150..250]);
    }
}
