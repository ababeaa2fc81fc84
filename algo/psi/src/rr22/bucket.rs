//! One bucket: what the one side asks, what the other answers, and what the first makes of it.
//!
//! The oblivious pseudorandom function of Raghuraman and Rindal (CCS 2022, eprint 2022/320, figure 4), with both fields
//! GF(2^128). The asking side fills a [store](super::okvs) P so that each of its ids x gives a number h(x), and sends it under
//! the mask a: a + P. Adding Δ times that to b, the other side has c + P·Δ, which gives an id y the number
//! c(y) + P(y)·Δ; adding h(y)·Δ leaves c(y) where P(y) = h(y), so for ids of both, and a number that only it knows else.
//!
//! A *tag* is a hash of that number and of the id. The asking side makes those of its own ids from c.

use sha2::{Digest, Sha256};
use tributary_core::{Error, ErrorKind, Result};
use tributary_vole::{Blocks, Gf128, ReceiverSeed, SenderSeed, add_scaled};
use zeroize::Zeroizing;

use super::okvs::Key;
use super::plan::Plan;

/// Attempts at filling a store. One fails with 2^-53.
const ATTEMPTS: u8 = 4;

/// 20 bytes, so that a tag is one block of SHA-256.
const TAG_DOMAIN: &[u8] = b"tributary/psi/rr22/t";

/// What is asked about a bucket, and the tags of the ids that it is asked for, in their order.
pub(crate) struct Asked {
    pub message: Vec<u8>,
    pub tags: Vec<u8>,
}

/// Asks for the ids of a bucket. `keys`: in the order of places, none twice, [`Plan::asked`] of them in all buckets. Errors:
/// `Exhausted` if the bucket has more than its capacity.
pub(crate) fn ask(plan: &Plan, bucket: u32, seed: &ReceiverSeed, keys: &[Key]) -> Result<Asked> {
    expect_room(keys.len(), plan.asked_capacity(), bucket)?;
    let found = (0..ATTEMPTS).find_map(|attempt| {
        let store = plan.store(bucket, attempt);
        store.encode(keys).map(|entries| (attempt, store, entries))
    });
    let (attempt, store, entries) = found.ok_or_else(|| {
        Error::invalid(format!(
            "the ids of bucket {bucket} fit no store, which happens if one of them occurs twice"
        ))
    })?;
    let shares = seed.expand(plan.code());
    let mut message = Vec::with_capacity(plan.ask_bytes());
    message.push(attempt);
    for ([_, a], entry) in shares.iter().zip(entries.iter()) {
        message.extend_from_slice(&(*a + *entry).to_bytes());
    }
    drop(entries);
    let c: Zeroizing<Vec<Gf128>> = Zeroizing::new(shares.iter().map(|[c, _]| *c).collect());
    drop(shares);
    let mut tags = Tags::new(plan, keys);
    store.decode(&c, keys, |found, _| tags.push(found));
    Ok(Asked { message, tags: tags.bytes })
}

/// Answers what was asked: a tag for each of the ids of a bucket and random ones up to the capacity, in the order of
/// [`Order`]. Errors: `Corrupt` for what no honest party asks, `Exhausted` if the bucket has more than its capacity.
pub(crate) fn answer(
    plan: &Plan,
    bucket: u32,
    seed: &SenderSeed,
    order: &Order,
    keys: &[Key],
    asked: &[u8],
) -> Result<Vec<u8>> {
    expect_room(keys.len(), plan.held_capacity(), bucket)?;
    let (attempt, masked) = match asked.split_first() {
        Some((attempt, masked)) if asked.len() == plan.ask_bytes() && *attempt < ATTEMPTS => {
            (*attempt, masked)
        }
        _ => {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("bucket {bucket} is asked for in no known way"),
            ));
        }
    };
    let (masked, _) = masked.as_chunks::<16>();
    let masked: Vec<Gf128> = masked.iter().map(|bytes| Gf128::from_bytes(*bytes)).collect();
    let (delta, store) = (seed.delta(), plan.store(bucket, attempt));
    let mut b = seed.expand(plan.code());
    add_scaled(b.as_flattened_mut(), &masked, delta);
    let mut numbers = Zeroizing::new(Vec::with_capacity(keys.len()));
    let mut values = Vec::with_capacity(keys.len());
    store.decode(b.as_flattened(), keys, |found, value| {
        numbers.push(found);
        values.push(value);
    });
    drop(b);
    add_scaled(&mut numbers, &values, delta);
    let mut tags = Tags::new(plan, keys);
    numbers.iter().for_each(|number| tags.push(*number));
    order.arrange(plan, bucket, keys, &tags.bytes, &filling(seed))
}

/// Gives the tags that fill an answer up. From the seed, because tags that came again in another attempt would show which of
/// them are no row's.
fn filling(seed: &SenderSeed) -> Blocks {
    let digest = Sha256::new_with_prefix(b"tributary/psi/rr22/1/filling:").chain_update(&*seed.to_bytes());
    let digest: Zeroizing<[u8; 32]> = Zeroizing::new(digest.finalize().into());
    Blocks::new(digest.iter().take(16).fold(0, |key, byte| key << 8 | u128::from(*byte)))
}

fn expect_room(ids: usize, capacity: usize, bucket: u32) -> Result<()> {
    if ids > capacity {
        let text = format!(
            "bucket {bucket} has {ids} ids, and room for {capacity}; by chance that happens once in 2^40 times, so ids were \
             added since they were counted"
        );
        return Err(Error::new(ErrorKind::Exhausted, text));
    }
    Ok(())
}

/// Tags in the making.
struct Tags<'a> {
    keys: std::slice::Iter<'a, Key>,
    bytes: Vec<u8>,
    width: usize,
}

impl<'a> Tags<'a> {
    fn new(plan: &Plan, keys: &'a [Key]) -> Self {
        let width = plan.tag_bytes();
        Self { keys: keys.iter(), bytes: Vec::with_capacity(keys.len() * width), width }
    }

    /// Of the next key.
    fn push(&mut self, number: Gf128) {
        if let Some(key) = self.keys.next() {
            let digest = Sha256::new_with_prefix(TAG_DOMAIN)
                .chain_update(number.to_bytes())
                .chain_update(key.number.to_le_bytes())
                .finalize();
            self.bytes.extend_from_slice(&digest[..self.width]);
        }
    }
}

/// In which order an answering party sends its tags: by a secret function of its ids, which says nothing to others and can be
/// worked out again.
pub(crate) struct Order {
    blocks: Blocks,
    padding: Blocks,
}

/// Marks a tag that is no row's.
pub(crate) const NO_ROW: u32 = u32::MAX;

impl Order {
    /// Under a secret key of 16 bytes.
    pub(crate) fn new(key: u128) -> Self {
        let mut keys = Zeroizing::new([1, 2]);
        Blocks::new(key).encrypt(keys.as_mut_slice());
        Self { blocks: Blocks::new(keys[0]), padding: Blocks::new(keys[1]) }
    }

    /// Row numbers, within the bucket, of each tag that is sent; [`NO_ROW`] for those that fill up.
    pub(crate) fn rows(&self, plan: &Plan, bucket: u32, keys: &[Key]) -> Vec<u32> {
        let more = plan.held_capacity().saturating_sub(keys.len()) as u64;
        let mut places: Vec<u128> = keys.iter().map(|key| key.number).collect();
        self.blocks.encrypt(&mut places);
        let mut rest: Vec<u128> = (0..more).map(|i| u128::from(bucket) << 64 | u128::from(i)).collect();
        self.padding.encrypt(&mut rest);
        let rows = (0u32..keys.len() as u32).chain((0..more).map(|_| NO_ROW));
        // Half of a place tells rows apart; equal halves, one pair in 2^64, stay in the order of rows.
        let half = |place: u128| (place >> 64) as u64;
        let mut sorted: Vec<(u64, u32)> = places.into_iter().chain(rest).map(half).zip(rows).collect();
        sorted.sort_unstable();
        sorted.into_iter().map(|(_, row)| row).collect()
    }

    /// Tags in this order, filled up.
    fn arrange(
        &self,
        plan: &Plan,
        bucket: u32,
        keys: &[Key],
        tags: &[u8],
        filling: &Blocks,
    ) -> Result<Vec<u8>> {
        let width = plan.tag_bytes();
        let rows = self.rows(plan, bucket, keys);
        let mut rest: Vec<u128> = (0..(rows.len() - keys.len()) as u128).collect();
        filling.encrypt(&mut rest);
        let mut rest = rest.iter().map(|block| block.to_le_bytes());
        let mut sent = Vec::with_capacity(rows.len() * width);
        for row in rows {
            match tags.chunks_exact(width).nth(row as usize) {
                Some(tag) => sent.extend_from_slice(tag),
                None => sent.extend_from_slice(&rest.next().unwrap_or_default()[..width]),
            }
        }
        match sent.len() == plan.answer_bytes() {
            true => Ok(sent),
            false => Err(Error::bug(format!("an answer of {} bytes", sent.len()))),
        }
    }
}

/// Which of the own tags were answered: for each its place in the answer, or [`NO_ROW`]. Errors: `Corrupt` for an answer of
/// another length, or one in which a tag that matches is there twice.
pub(crate) fn common(plan: &Plan, bucket: u32, own: &[u8], answer: &[u8]) -> Result<Vec<u32>> {
    let width = plan.tag_bytes();
    let wrong = |what| Error::new(ErrorKind::Corrupt, format!("the answer for bucket {bucket} {what}"));
    if answer.len() != plan.answer_bytes() {
        return Err(wrong(format!("has {} bytes, expected {}", answer.len(), plan.answer_bytes())));
    }
    let own = sorted(own, width, |_| true);
    let sieve = Sieve::of(&own);
    let answered = sorted(answer, width, |tag| sieve.passes(tag));
    let mut places = vec![NO_ROW; own.len()];
    let mut answered = answered.iter().peekable();
    for (tag, row) in &own {
        while answered.next_if(|(other, _)| other < tag).is_some() {}
        if let Some((_, place)) = answered.next_if(|(other, _)| other == tag) {
            places[*row as usize] = *place;
            if answered.peek().is_some_and(|(other, _)| other == tag) {
                return Err(wrong("has a tag twice".into()));
            }
        }
    }
    Ok(places)
}

/// Tags as numbers, each with its place, by number; without those that are not wanted.
fn sorted(tags: &[u8], width: usize, wanted: impl Fn(u128) -> bool) -> Vec<(u128, u32)> {
    let number = |tag: &[u8]| tag.iter().fold(0, |number, byte| number << 8 | u128::from(*byte));
    let tags = tags.chunks_exact(width).map(number).zip(0..);
    let mut sorted: Vec<(u128, u32)> = tags.filter(|(tag, _)| wanted(*tag)).collect();
    sorted.sort_unstable();
    sorted
}

/// Passes every own tag, and few others: an answer may have many times more tags than there are own ones, and to sort them
/// all would be most of the work.
struct Sieve {
    words: Vec<u64>,
    /// Of a tag, which picks its bit.
    mask: u128,
}

impl Sieve {
    /// A bit for each tag, and at least fifteen times more beside them.
    fn of(tags: &[(u128, u32)]) -> Self {
        let bits = (tags.len() * 16).next_power_of_two().max(64);
        let mut sieve = Self { words: vec![0; bits / 64], mask: bits as u128 - 1 };
        for (tag, _) in tags {
            let (word, bit) = sieve.place(*tag);
            sieve.words[word] |= bit;
        }
        sieve
    }

    fn passes(&self, tag: u128) -> bool {
        let (word, bit) = self.place(tag);
        self.words[word] & bit != 0
    }

    fn place(&self, tag: u128) -> (usize, u64) {
        let at = (tag & self.mask) as usize;
        (at / 64, 1 << (at % 64))
    }
}
