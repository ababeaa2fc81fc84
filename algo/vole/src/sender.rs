//! The sender: gets Δ and b.

use tributary_core::{Error, ErrorKind, Result};
use tributary_system::random;
use zeroize::Zeroizing;

use crate::base::{self, COUNT, Taken};
use crate::code::Code;
use crate::extension;
use crate::field::Gf128;
use crate::prg::Stream;
use crate::receiver::{FIRST_VECTOR, Reader, Receiver, check_noise, seed_words};
use crate::shape::Shape;
use crate::trees::{Keys, TREES};

/// A sender whose base transfers are done.
pub struct Sender {
    delta: Zeroizing<Gf128>,
    taken: Taken,
    transfers: u64,
}

impl Sender {
    /// With a receiver's offer; what is to be answered. Errors: `Corrupt` for what no honest receiver offers, `Io` if the
    /// system has no randomness.
    pub fn answer(offer: &[u8]) -> Result<(Self, Vec<u8>)> {
        let delta = Zeroizing::new(Gf128(*number()?));
        let (taken, choices) = base::take(offer, delta.0)?;
        Ok((Self { delta, taken, transfers: 0 }, choices))
    }

    /// Δ.
    pub fn delta(&self) -> Gf128 {
        *self.delta
    }

    /// The entries of the first vector, with the receiver's message for it. Errors: `Corrupt` for another number of bytes.
    pub fn first(&self, message: &[u8]) -> Result<Zeroizing<Vec<Gf128>>> {
        let (words, rest) = message.as_chunks::<16>();
        if message.len() != Receiver::FIRST_BYTES || !rest.is_empty() {
            let expected = Receiver::FIRST_BYTES;
            let text = format!("a first vector of {} bytes, expected {expected}", message.len());
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        let mut entries = Zeroizing::new(vec![Gf128::ZERO; TREES]);
        let mut own = Zeroizing::new([0; TREES]);
        for (bit, (key, sent)) in self.taken.iter().zip(words.chunks(TREES)).enumerate() {
            Stream::at(*key, FIRST_VECTOR).fill(own.as_mut_slice());
            let (weight, set) = (Gf128(1 << bit), (self.delta.0 >> bit & 1).wrapping_neg());
            for ((entry, own), sent) in entries.iter_mut().zip(own.iter()).zip(sent) {
                *entry += Gf128(own ^ (u128::from_le_bytes(*sent) & set)) * weight;
            }
        }
        Ok(entries)
    }

    /// Answers a wish for the seeds of a vector, with as many entries of an earlier one for its noise. Errors: `Corrupt` for
    /// another number of bytes, `InvalidInput` for another number of entries.
    pub fn plant(
        &mut self,
        shape: Shape,
        public: u128,
        noise: &[Gf128],
        wish: &[u8],
    ) -> Result<(SenderSeed, Vec<u8>)> {
        check_noise(noise)?;
        let (transfers, delta) = (shape.transfers(), *self.delta);
        let pads = extension::give(&self.taken, delta.0, self.transfers, transfers, wish)?;
        self.transfers += (transfers.div_ceil(COUNT) * COUNT) as u64;
        let seed = SenderSeed { shape, public, root: number()?, delta: self.delta.clone() };
        let (mut leaves, mut sums) =
            (Zeroizing::new(vec![0; shape.0.leaves()]), Zeroizing::new(Vec::with_capacity(transfers)));
        let mut rests = Vec::with_capacity(TREES);
        for ((root, keys), noise) in seed.roots().iter().zip(Keys::all(public)).zip(noise) {
            shape.0.grow(&keys, *root, &mut leaves, &mut sums);
            rests.push(leaves.iter().fold(noise.0, |sum, leaf| sum ^ leaf));
        }
        let mut message = Vec::with_capacity(seed_words(shape) * 16);
        let padded =
            pads.iter().zip(sums.iter()).flat_map(|(pads, sums)| [pads[0] ^ sums[0], pads[1] ^ sums[1]]);
        padded.chain(rests).for_each(|word| message.extend_from_slice(&word.to_le_bytes()));
        Ok((seed, message))
    }
}

fn number() -> Result<Zeroizing<u128>> {
    let mut bytes = Zeroizing::new([0; 16]);
    random::fill(bytes.as_mut_slice())?;
    Ok(Zeroizing::new(u128::from_le_bytes(*bytes)))
}

/// What a sender needs for its side of a vector: 52 bytes, secret.
pub struct SenderSeed {
    shape: Shape,
    public: u128,
    root: Zeroizing<u128>,
    delta: Zeroizing<Gf128>,
}

impl SenderSeed {
    /// Entries of the vector.
    pub fn length(&self) -> usize {
        self.shape.length()
    }

    /// Δ.
    pub fn delta(&self) -> Gf128 {
        *self.delta
    }

    fn roots(&self) -> Zeroizing<Vec<u128>> {
        let mut roots = Zeroizing::new(vec![0; TREES]);
        Stream::new(*self.root).fill(&mut roots);
        roots
    }

    /// The entries of b.
    pub fn expand(&self, code: Code) -> Zeroizing<Vec<[Gf128; 1]>> {
        let mut values = Zeroizing::new(vec![[Gf128::ZERO]; self.shape.noise_length()]);
        let (mut leaves, mut sums) =
            (Zeroizing::new(vec![0; self.shape.0.leaves()]), Zeroizing::new(Vec::new()));
        let blocks = values.chunks_mut(leaves.len());
        for ((root, keys), block) in self.roots().iter().zip(Keys::all(self.public)).zip(blocks) {
            sums.clear();
            self.shape.0.grow(&keys, *root, &mut leaves, &mut sums);
            for (value, leaf) in block.iter_mut().zip(leaves.iter()) {
                *value = [Gf128(*leaf)];
            }
        }
        code.encode(&mut values);
        values
    }

    /// To be kept as a secret.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(52));
        bytes.extend_from_slice(&(self.shape.0.leaves() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.public.to_le_bytes());
        bytes.extend_from_slice(&self.root.to_le_bytes());
        bytes.extend_from_slice(&self.delta.to_bytes());
        bytes
    }

    /// And back. Errors: `InvalidInput` for other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut bytes = Reader(bytes);
        let shape = Shape::of_leaves(bytes.number()? as usize)?;
        let public = bytes.block()?;
        let (root, delta) = (Zeroizing::new(bytes.block()?), Zeroizing::new(Gf128(bytes.block()?)));
        bytes.end()?;
        Ok(Self { shape, public, root, delta })
    }
}
