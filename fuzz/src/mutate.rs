//! Changes to inputs, each drawn from the number of the run and the index of the input.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Largest input: larger ones find nothing more, only later.
const MAX_BYTES: usize = 256 << 10;
/// Values at which numbers wrap, lengths are wrong and text ends.
const EDGES: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, u64::MAX];
/// What the formats are made of, and what they must not be made of.
const WORDS: [&str; 28] = [
    "\0",
    "\"",
    "'",
    "\n",
    "\r\n",
    ",",
    ":",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "<<: ",
    "!!",
    "null",
    "true",
    "-1",
    "1e999",
    "NaN",
    "18446744073709551616",
    "\u{feff}",
    "\u{202e}",
    "ä",
    "..",
    "/",
    "%41",
];

/// Input `index` of the run `seed`: first the seeds as they are, then changed ones.
pub fn input(seeds: &[Vec<u8>], seed: u64, index: u64) -> Vec<u8> {
    if let Some(seed) = usize::try_from(index).ok().and_then(|index| seeds.get(index)) {
        return seed.clone();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    let mut bytes = seeds.choose(&mut rng).cloned().unwrap_or_default();
    // mostly few changes: many of them rarely get past the first check
    let changes = 1 << rng.random_range(0..5);
    for _ in 0..rng.random_range(1..=changes) {
        change(&mut bytes, seeds, &mut rng);
    }
    bytes.truncate(MAX_BYTES);
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        bytes.extend(std::iter::repeat_with(|| rng.random::<u8>()).take(8));
    }
    let at = rng.random_range(0..bytes.len());
    let longest = 1 << rng.random_range(0..8);
    let length = rng.random_range(1..=(bytes.len() - at).min(longest));
    match rng.random_range(0..10) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => bytes[at] = bytes[at].wrapping_add(rng.random_range(-4..=4i8) as u8),
        3 => overwrite(bytes, at, &number(rng)),
        4 => drop(bytes.drain(at..at + length)),
        5 => bytes.truncate(at),
        6 => {
            // the same again, a few times
            let piece = bytes[at..at + length].repeat(1 << rng.random_range(0..4));
            insert(bytes, at, &piece);
        }
        7 => insert(bytes, at, WORDS[rng.random_range(0..WORDS.len())].as_bytes()),
        8 => {
            // a piece from elsewhere, over what is there or between
            let Some(other) = seeds.choose(rng).filter(|other| !other.is_empty()) else { return };
            let from = rng.random_range(0..other.len());
            let piece = &other[from..(from + length).min(other.len())];
            if rng.random() { overwrite(bytes, at, piece) } else { insert(bytes, at, piece) }
        }
        _ => digits(bytes, at, rng),
    }
}

/// A number at an edge, in 1, 2, 4 or 8 bytes of either order.
fn number(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let value = EDGES[rng.random_range(0..EDGES.len())].wrapping_add(rng.random_range(-1..=1i64) as u64);
    let width = 1 << rng.random_range(0..4);
    let mut bytes = value.to_le_bytes()[..width].to_vec();
    if rng.random() {
        bytes.reverse();
    }
    bytes
}

/// Another number in place of the digits at or behind `at`.
fn digits(bytes: &mut Vec<u8>, at: usize, rng: &mut ChaCha8Rng) {
    let Some(start) = bytes[at..].iter().position(u8::is_ascii_digit).map(|found| at + found) else { return };
    let end =
        bytes[start..].iter().position(|b| !b.is_ascii_digit()).map_or(bytes.len(), |found| start + found);
    let value = EDGES[rng.random_range(0..EDGES.len())].to_string();
    bytes.splice(start..end, value.into_bytes());
}

fn overwrite(bytes: &mut [u8], at: usize, piece: &[u8]) {
    for (old, new) in bytes[at..].iter_mut().zip(piece) {
        *old = *new;
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}
