//! The receiver: gets a and c.

use tributary_core::{Error, ErrorKind, Result};
use tributary_system::random;
use zeroize::{Zeroize, Zeroizing};

use crate::base::{COUNT, Giver, OFFER_BYTES, Pairs};
use crate::code::Code;
use crate::extension;
use crate::field::Gf128;
use crate::prg::Stream;
use crate::shape::Shape;
use crate::trees::{Keys, TREES};

/// Where, in the streams of the base transfers' keys, the numbers of the first vector are. Transfers count from the start.
pub(crate) const FIRST_VECTOR: u128 = 1 << 100;

/// Entries (c, a) of a vector.
pub type Shares = Zeroizing<Vec<[Gf128; 2]>>;

/// A receiver that has offered base transfers.
pub struct Offered(Giver);

/// A receiver whose base transfers are done.
pub struct Receiver {
    pairs: Pairs,
    transfers: u64,
}

impl Receiver {
    /// Bytes of the message for the first vector.
    pub const FIRST_BYTES: usize = COUNT * TREES * Gf128::BYTES;

    /// Begins: what is to be sent. Errors, here and below: `Io` if the system has no randomness.
    pub fn offer() -> Result<(Offered, [u8; OFFER_BYTES])> {
        let (giver, offer) = Giver::new()?;
        Ok((Offered(giver), offer))
    }
}

impl Offered {
    /// With what the sender answered. Errors: `Corrupt` for what no honest sender sends.
    pub fn accept(self, choices: &[u8]) -> Result<Receiver> {
        Ok(Receiver { pairs: self.0.keys(choices)?, transfers: 0 })
    }
}

impl Receiver {
    /// The entries (c, a) of the first vector, and the message for it: 800 KB. At most once.
    ///
    /// For bit i of Δ the sender has one of two vectors, and is sent their sum plus a; so it has the first vector plus a if the
    /// bit is set. Weighted with x^i, all first vectors add up to c, and the sender's to c + a·Δ (Gilboa, CRYPTO 1999).
    pub fn first(&self) -> Result<(Shares, Vec<u8>)> {
        let mut entries = Zeroizing::new(vec![[Gf128::ZERO; 2]; TREES]);
        let mut random = Zeroizing::new([0; Gf128::BYTES]);
        for entry in entries.iter_mut() {
            random::fill(random.as_mut_slice())?;
            entry[1] = Gf128::from_bytes(*random);
        }
        let (mut zero, mut one) = (Zeroizing::new([0; TREES]), Zeroizing::new([0; TREES]));
        let mut message = Vec::with_capacity(Self::FIRST_BYTES);
        for (bit, pair) in self.pairs.iter().enumerate() {
            Stream::at(pair[0], FIRST_VECTOR).fill(zero.as_mut_slice());
            Stream::at(pair[1], FIRST_VECTOR).fill(one.as_mut_slice());
            let weight = Gf128(1 << bit);
            for ((zero, one), [c, a]) in zero.iter().zip(one.iter()).zip(entries.iter_mut()) {
                *c += Gf128(*zero) * weight;
                message.extend_from_slice(&(zero ^ one ^ a.0).to_le_bytes());
            }
        }
        Ok((entries, message))
    }

    /// Asks for the seeds of a vector, whose noise is at places drawn here. `public`: a number that no other vector has.
    pub fn plant(&mut self, shape: Shape, public: u128) -> Result<(Planted, Vec<u8>)> {
        let mut holes = Zeroizing::new(Vec::with_capacity(TREES));
        for _ in 0..TREES {
            holes.push(((u128::from(random::u64()?) * shape.0.leaves() as u128) >> 64) as u32);
        }
        let tree = shape.0;
        let away = |hole: &u32| {
            (1..=tree.depth()).map(|level| tree.side(*hole as usize, level) == 0).collect::<Vec<_>>()
        };
        let choices: Zeroizing<Vec<bool>> = Zeroizing::new(holes.iter().flat_map(away).collect());
        let (pads, wish) = extension::take(&self.pairs, self.transfers, &choices);
        self.transfers += (choices.len().div_ceil(COUNT) * COUNT) as u64;
        Ok((Planted { shape, public, holes, choices, pads }, wish))
    }
}

pub(crate) fn check_noise<T>(noise: &[T]) -> Result<()> {
    match noise.len() {
        TREES => Ok(()),
        other => Err(Error::invalid(format!("{other} entries of noise, expected {TREES}"))),
    }
}

/// A receiver that waits for the seeds of a vector.
pub struct Planted {
    shape: Shape,
    public: u128,
    holes: Zeroizing<Vec<u32>>,
    choices: Zeroizing<Vec<bool>>,
    pads: Zeroizing<Vec<u128>>,
}

impl Planted {
    /// With what the sender answered. The noise has the values of `noise`, entries of an earlier vector. Errors: `Corrupt` for
    /// another number of bytes, `InvalidInput` for another number of entries.
    pub fn grow(self, seeds: &[u8], noise: &[[Gf128; 2]]) -> Result<ReceiverSeed> {
        check_noise(noise)?;
        let (words, rest) = seeds.as_chunks::<16>();
        if words.len() != seed_words(self.shape) || !rest.is_empty() {
            let expected = seed_words(self.shape) * 16;
            let text = format!("seeds of {} bytes, expected {expected}", seeds.len());
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        let word = |at: usize| u128::from_le_bytes(words[at]);
        let depth = self.shape.0.depth();
        let mut trees = Vec::with_capacity(TREES);
        for (tree, (hole, noise)) in self.holes.iter().zip(noise).enumerate() {
            let transfers = tree * depth..(tree + 1) * depth;
            let sums = transfers.map(|t| word(2 * t + usize::from(self.choices[t])) ^ self.pads[t]).collect();
            let rest = word(2 * TREES * depth + tree) ^ noise[0].0;
            trees.push(Punctured { hole: *hole, noise: noise[1], rest, sums });
        }
        Ok(ReceiverSeed { shape: self.shape, public: self.public, trees })
    }
}

/// Words of the message with the seeds of a vector: two for each transfer, and one for each tree.
pub(crate) fn seed_words(shape: Shape) -> usize {
    2 * shape.transfers() + TREES
}

/// A tree without the leaf at `hole`.
struct Punctured {
    hole: u32,
    /// The entry of a there.
    noise: Gf128,
    /// The entry of c there, plus all other leaves.
    rest: u128,
    /// At each level, of the side that does not lead to the hole.
    sums: Vec<u128>,
}

impl Drop for Punctured {
    fn drop(&mut self) {
        self.hole.zeroize();
        self.noise.zeroize();
        self.rest.zeroize();
        self.sums.zeroize();
    }
}

/// What a receiver needs for its side of a vector: 70 KB, secret.
pub struct ReceiverSeed {
    shape: Shape,
    public: u128,
    trees: Vec<Punctured>,
}

impl ReceiverSeed {
    /// Entries of the vector.
    pub fn length(&self) -> usize {
        self.shape.length()
    }

    /// The entries (c, a).
    pub fn expand(&self, code: Code) -> Shares {
        let mut values = Zeroizing::new(vec![[Gf128::ZERO; 2]; self.shape.noise_length()]);
        let mut leaves = Zeroizing::new(vec![0; self.shape.0.leaves()]);
        let blocks = values.chunks_mut(leaves.len());
        for ((tree, keys), block) in self.trees.iter().zip(Keys::all(self.public)).zip(blocks) {
            let hole = tree.hole as usize;
            self.shape.0.grow_punctured(&keys, hole, &tree.sums, &mut leaves);
            leaves[hole] = leaves.iter().fold(tree.rest, |sum, leaf| sum ^ leaf);
            for (value, leaf) in block.iter_mut().zip(leaves.iter()) {
                value[0] = Gf128(*leaf);
            }
            block[hole][1] = tree.noise;
        }
        code.encode(&mut values);
        values
    }

    /// To be kept as a secret.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.bytes()));
        bytes.extend_from_slice(&(self.shape.0.leaves() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.public.to_le_bytes());
        for tree in &self.trees {
            bytes.extend_from_slice(&tree.hole.to_le_bytes());
            bytes.extend_from_slice(&tree.noise.to_bytes());
            bytes.extend_from_slice(&tree.rest.to_le_bytes());
            tree.sums.iter().for_each(|sum| bytes.extend_from_slice(&sum.to_le_bytes()));
        }
        bytes
    }

    fn bytes(&self) -> usize {
        20 + TREES * (36 + 16 * self.shape.0.depth())
    }

    /// And back. Errors: `InvalidInput` for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut bytes = Reader(bytes);
        let shape = Shape::of_leaves(bytes.number()? as usize)?;
        let mut seed = Self { shape, public: bytes.block()?, trees: Vec::with_capacity(TREES) };
        for _ in 0..TREES {
            let (hole, noise, rest) = (bytes.number()?, Gf128(bytes.block()?), bytes.block()?);
            let sums = (0..shape.0.depth()).map(|_| bytes.block()).collect::<Result<_>>()?;
            seed.trees.push(Punctured { hole, noise, rest, sums });
            if hole as usize >= shape.0.leaves() {
                return Err(Error::invalid("the seed of a vector names a leaf beyond its tree"));
            }
        }
        bytes.end()?;
        Ok(seed)
    }
}

/// Takes a seed apart.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (first, rest) =
            self.0.split_first_chunk().ok_or_else(|| Error::invalid("the seed of a vector is too short"))?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn number(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn block(&mut self) -> Result<u128> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    pub(crate) fn end(self) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            more => Err(Error::invalid(format!("{more} bytes follow the seed of a vector"))),
        }
    }
}
