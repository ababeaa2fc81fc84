//! A public key with a proof that its modulus hides: gcd(n, φ(n)) = 1.
//!
//! Without that, `rⁿ` is not uniform among blindings, whatever r is: with q = 2p + 1 it blinds nothing modulo q², and
//! the key's owner reads from a sum which rows went into it. Such a key passes every other check.
//!
//! The proof is the n-th roots modulo n of [`ROOTS`] numbers that a hash derives from the key and from what the proof
//! is bound to (Goldberg, Reyzin, Sagga and Baldimtsi 2019, "Efficient noninteractive certification of RSA moduli and
//! beyond", section 3.2, eprint 2018/057). Why it convinces: if a prime d divides both n and φ(n), only one unit
//! in d has an n-th root. Reading a key refuses every n with a prime factor below 2^16, so d is above, and all of
//! 8 random numbers have roots with a chance below 2^−128; an owner who wants other numbers must make
//! another key, and hash again. Why it shows nothing else: anyone can make such pairs, by choosing roots first.

use rug::{Integer, integer::Order};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    public::PublicKey,
    scheme::Encrypt,
    secret::SecretKey,
};

/// Numbers whose roots are shown: 128 bits, 16 each because n has no prime factor below 2^16.
const ROOTS: usize = 8;

/// Separates these hashes from all others.
const DOMAIN: &[u8] = b"tributary paillier n-th roots 1";

/// A public key as its owner sends it, with the proof that gcd(n, φ(n)) = 1. The key cannot be taken out without the
/// check.
///
/// The proof is bound to `context`: sender, receiver and session of the key; it is something that both sides know and
/// that no other exchange has. Under another context it is refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProvenKey {
    /// As [`PublicKey::to_bytes`].
    key: Vec<u8>,
    /// The roots, big-endian, each as long as n.
    roots: Vec<u8>,
}

impl ProvenKey {
    /// Proves a key. Errors: `SecretKey` for one that has no proof. Cost: 7 ms at 2048 bits.
    pub fn new(owner: &SecretKey, context: &[u8]) -> Result<Self> {
        let public = owner.public();
        let key = public.to_bytes();
        let bytes = public.size().bytes();
        let mut roots = vec![0; ROOTS * bytes];
        for (number, root) in numbers(&key, public.n(), context).zip(roots.chunks_exact_mut(bytes)) {
            owner.root(&number)?.write_digits(root, Order::Msf);
        }
        Ok(Self { key, roots })
    }

    /// Reads the key, as [`PublicKey::from_bytes`], and checks its proof. Errors: `PublicKey`, `KeyBits`. Cost: 8 powers
    /// modulo n, 20 ms at 2048 bits.
    pub fn open(&self, context: &[u8]) -> Result<PublicKey> {
        let refuse = |reason| Err(Error::PublicKey { reason });
        let public = PublicKey::from_bytes(&self.key)?;
        let bytes = public.size().bytes();
        if self.roots.len() != ROOTS * bytes {
            return refuse("its proof does not have the length that belongs to its size");
        }
        for (number, root) in numbers(&self.key, public.n(), context).zip(self.roots.chunks_exact(bytes)) {
            let root = Integer::from_digits(root, Order::Msf);
            let power = (root < *public.n()).then(|| root.pow_mod(public.n(), public.n()));
            if power != Some(Ok(number)) {
                return refuse("its owner does not prove that it hides: n may share a factor with φ(n)");
            }
        }
        Ok(public)
    }
}

/// The numbers below n whose roots are to be shown: 128 bits more than n has, taken modulo n.
fn numbers(key: &[u8], n: &Integer, context: &[u8]) -> impl Iterator<Item = Integer> {
    let mut seed = Sha256::new_with_prefix(DOMAIN);
    for part in [key, context] {
        seed.update((part.len() as u64).to_be_bytes());
        seed.update(part);
    }
    let (seed, n) = (seed.finalize(), n.clone());
    let blocks = (n.significant_bits() + 128).div_ceil(256);
    (0..ROOTS as u32).map(move |number| {
        let block = |block: u32| {
            let hash = Sha256::new_with_prefix(seed).chain_update(number.to_be_bytes());
            hash.chain_update(block.to_be_bytes()).finalize()
        };
        let bytes: Vec<u8> = (0..blocks).flat_map(block).collect();
        Integer::from_digits(&bytes, Order::Msf) % &n
    })
}

#[cfg(test)]
mod tests;
