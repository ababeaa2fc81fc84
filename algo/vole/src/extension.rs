//! Any number of oblivious transfers out of the 128 base ones (Ishai, Kilian, Nissim and Petrank, CRYPTO 2003): the
//! *giver* gets two random pads for each, the *taker* the one that it chooses.
//!
//! Roles turn round: who takes here has given in the base transfers. It expands both keys of each base transfer to a column
//! of bits and sends their sum with its choices; the giver, who has one column of each, then has rows that differ from the
//! taker's by its own bits where the taker chose one. A hash of the row, and of its number, breaks that relation.

use sha2::{Digest, Sha256};
use tributary_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use crate::base::COUNT;
use crate::prg::Stream;

const PAD_DOMAIN: &[u8] = b"tributary/vole/1/pad:";

/// Bytes that the taker sends for so many transfers.
pub(crate) fn wish_bytes(transfers: usize) -> usize {
    transfers.div_ceil(COUNT) * COUNT * 16
}

/// The taker's pads, and what it sends. `choices`: bits. `first` is the number of the first of these transfers, a multiple
/// of 128, so that none is used twice.
pub(crate) fn take(pairs: &[[u128; 2]], first: u64, choices: &[bool]) -> (Zeroizing<Vec<u128>>, Vec<u8>) {
    let words = choices.len().div_ceil(COUNT);
    let packed: Zeroizing<Vec<u128>> = Zeroizing::new(choices.chunks(COUNT).map(packed).collect());
    let mut columns = Zeroizing::new(vec![0; COUNT * words]);
    let mut sent = Vec::with_capacity(COUNT * words * 16);
    let mut other = Zeroizing::new(vec![0; words]);
    for ([zero, one], column) in pairs.iter().zip(columns.chunks_mut(words.max(1))) {
        Stream::at(*zero, column_start(first)).fill(column);
        Stream::at(*one, column_start(first)).fill(&mut other);
        for ((column, other), choices) in column.iter().zip(other.iter()).zip(packed.iter()) {
            sent.extend_from_slice(&(column ^ other ^ choices).to_le_bytes());
        }
    }
    let rows = rows(&columns, words);
    let pads = rows.iter().zip(first..).take(choices.len()).map(|(row, number)| pad(number, *row)).collect();
    (Zeroizing::new(pads), sent)
}

/// The giver's pads, two for each transfer, from what the taker sent. Errors: `Corrupt` for another number of bytes.
pub(crate) fn give(
    taken: &[u128],
    bits: u128,
    first: u64,
    transfers: usize,
    sent: &[u8],
) -> Result<Zeroizing<Vec<[u128; 2]>>> {
    if sent.len() != wish_bytes(transfers) {
        let text =
            format!("{} bytes for {transfers} transfers, expected {}", sent.len(), wish_bytes(transfers));
        return Err(Error::new(ErrorKind::Corrupt, text));
    }
    let words = transfers.div_ceil(COUNT);
    let (sent, _) = sent.as_chunks::<16>();
    let mut columns = Zeroizing::new(vec![0; COUNT * words]);
    for (index, (key, column)) in taken.iter().zip(columns.chunks_mut(words.max(1))).enumerate() {
        Stream::at(*key, column_start(first)).fill(column);
        let chosen = (bits >> index & 1).wrapping_neg();
        for (column, sent) in column.iter_mut().zip(&sent[index * words..]) {
            *column ^= u128::from_le_bytes(*sent) & chosen;
        }
    }
    let rows = rows(&columns, words);
    let both = |(row, number): (&u128, u64)| [pad(number, *row), pad(number, row ^ bits)];
    Ok(Zeroizing::new(rows.iter().zip(first..).take(transfers).map(both).collect()))
}

/// Where the stream of a column begins for transfers from `first` on.
fn column_start(first: u64) -> u128 {
    u128::from(first) / COUNT as u128
}

fn packed(choices: &[bool]) -> u128 {
    choices.iter().rev().fold(0, |bits, choice| bits << 1 | u128::from(*choice))
}

fn pad(number: u64, row: u128) -> u128 {
    let digest = Sha256::new_with_prefix(PAD_DOMAIN)
        .chain_update(number.to_le_bytes())
        .chain_update(row.to_le_bytes())
        .finalize();
    digest.iter().take(16).rev().fold(0, |pad, byte| pad << 8 | u128::from(*byte))
}

/// Bit c of row 128·w + r is bit r of word w of column c.
fn rows(columns: &[u128], words: usize) -> Zeroizing<Vec<u128>> {
    let mut rows = Zeroizing::new(vec![0; columns.len()]);
    for (word, square) in rows.chunks_mut(COUNT).enumerate() {
        for (column, line) in square.iter_mut().enumerate() {
            *line = columns[column * words + word];
        }
        transpose(square);
    }
    rows
}

/// A square of 128 by 128 bits, by swapping ever smaller quarters.
fn transpose(square: &mut [u128]) {
    let (mut half, mut mask) = (64, u128::from(u64::MAX));
    while half > 0 {
        for start in (0..COUNT).step_by(2 * half) {
            for line in start..start + half {
                let swap = (square[line] >> half ^ square[line + half]) & mask;
                square[line] ^= swap << half;
                square[line + half] ^= swap;
            }
        }
        half /= 2;
        mask ^= mask << half;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(key: u128, count: usize) -> Vec<u128> {
        let mut numbers = vec![0; count];
        Stream::new(key).fill(&mut numbers);
        numbers
    }

    #[test]
    fn a_square_is_transposed() {
        let before = numbers(1, COUNT);
        let mut after = before.clone();
        transpose(&mut after);
        for (row, after) in after.iter().enumerate() {
            for (column, before) in before.iter().enumerate() {
                assert_eq!(after >> column & 1, before >> row & 1);
            }
        }
    }

    #[test]
    fn the_taker_has_the_pads_that_it_chose() {
        let keys = numbers(2, 2 * COUNT);
        let (pairs, _) = keys.as_chunks::<2>();
        let bits = numbers(3, 1)[0];
        let taken: Vec<u128> = (0..COUNT).map(|i| pairs[i][(bits >> i & 1) as usize]).collect();
        for (transfers, first) in [(0, 0), (1, 128), (128, 256), (300, 1024)] {
            let choices: Vec<bool> = numbers(4, transfers).iter().map(|n| n & 1 == 1).collect();
            let (pads, sent) = take(pairs, first, &choices);
            assert_eq!(sent.len(), wish_bytes(transfers));
            let both = give(&taken, bits, first, transfers, &sent).unwrap();
            assert_eq!((pads.len(), both.len()), (transfers, transfers));
            for ((pad, both), choice) in pads.iter().zip(both.iter()).zip(&choices) {
                assert_eq!(*pad, both[usize::from(*choice)]);
                assert_ne!(*pad, both[usize::from(!*choice)]);
            }
            assert!(give(&taken, bits, first, transfers, &[&sent[..], &[0]].concat()).is_err());
        }
    }
}
