//! The secret key: generating, decrypting, and encrypting faster than others can.
//!
//! Everything runs modulo p² and q² in step, on numbers of half the size, and is put together at the end
//! (Paillier 1999, section 7).

use std::{array, fmt, sync::Arc};

use rand::CryptoRng;
use rug::{
    Integer,
    integer::{IsPrime, Order},
};
use zeroize::Zeroizing;

use crate::{
    blinding::Blinding,
    error::{Error, Result},
    key::KeyBits,
    prime::{PRIME_TEST_REPS, random_prime},
    public::{Ciphertext, PublicKey, random_unit},
    ring::Ring,
    scheme::{Decrypt, Encrypt},
    wiped::Wiped,
};

/// The first byte of an encoded secret key.
const VERSION: u8 = 1;

/// Version, and n's bits as a big-endian u16.
const HEADER_BYTES: usize = 3;

/// Decrypts, and encrypts with the known primes. Cheap to clone; clones share their tables.
#[derive(Clone)]
pub struct SecretKey {
    key: Arc<Key>,
    blinding: Arc<Blinding<2>>,
}

struct Key {
    public: PublicKey,
    /// Modulo p² and q².
    ring: Arc<Ring<2>>,
    /// p − 1 and q − 1.
    exponents: [Zeroizing<Vec<u64>>; 2],
    /// 1/L(g^(p−1)) modulo p, and the same modulo q.
    scales: [Wiped; 2],
    /// 1/p modulo q.
    p_inverse: Wiped,
    /// 1/p² modulo q².
    p_squared_inverse: Wiped,
}

/// An encoded secret key. Wiped when dropped, and never printed.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// The bytes, for sealing.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// So that they can be handed on without a copy, and are still wiped.
impl AsRef<[u8]> for SecretBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(<redacted>)")
    }
}

impl SecretKey {
    /// A new key whose n has exactly `size` bits.
    ///
    /// p and q have half of them each and are 3 modulo 4, gcd(p − 1, q − 1) = 2, so gcd(n, φ(n)) = 1, and |p
    /// − q| is large (FIPS 186-5, appendix A.1.3). Cost: 30 ms on average at 2048 bits.
    pub fn generate(size: KeyBits, rng: &mut dyn CryptoRng) -> Result<Self> {
        let half = size.bits() / 2;
        let p = random_prime(half, rng, |_| true);
        let q = random_prime(half, rng, |q| check_primes(&p, q, size).is_ok());
        let n = Integer::from(&p * &q);
        let hs = blinding_base(&n, rng)?;
        Self::new(p, q, PublicKey::new(n, hs, size)?)
    }

    /// Reads an encoded key, and checks it as thoroughly as a public one. Errors: `SecretKey`, `PublicKey`,
    /// `KeyBits`. Cost: about 10 ms at 2048 bits.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (p, q, hs, size) = decode(bytes)?;
        if [&p, &q].into_iter().any(|prime| prime.is_probably_prime(PRIME_TEST_REPS) == IsPrime::No) {
            return Err(Error::SecretKey { reason: "its factors are not prime" });
        }
        let public = PublicKey::checked(Integer::from(&p * &q), hs, size)?;
        Self::new(p, q, public)
    }

    /// Reads an encoded key that this party has made, or has read with [`from_bytes`](Self::from_bytes) before: that
    /// its factors are prime is trusted. Errors: `SecretKey`, `KeyBits`. Cost: a twentieth.
    pub fn from_checked_bytes(bytes: &[u8]) -> Result<Self> {
        let (p, q, hs, size) = decode(bytes)?;
        let public = PublicKey::new(Integer::from(&p * &q), hs, size)?;
        Self::new(p, q, public)
    }

    /// The encoded key: version 1, the bits of n (u16), p, q, hs; all big-endian.
    pub fn to_bytes(&self) -> SecretBytes {
        let size = self.key.public.size();
        let mut bytes = Zeroizing::new(vec![0; HEADER_BYTES + 3 * size.bytes()]);
        let (header, numbers) = bytes.split_at_mut(HEADER_BYTES);
        header[0] = VERSION;
        header[1..].copy_from_slice(&(size.bits() as u16).to_be_bytes());
        let (primes, hs) = numbers.split_at_mut(size.bytes());
        for (k, prime) in primes.chunks_exact_mut(size.bytes() / 2).enumerate() {
            self.key.ring.modulus(k).write_digits(prime, Order::Msf);
        }
        self.key.public.hs().write_digits(hs, Order::Msf);
        SecretBytes(bytes)
    }

    /// The same key with a table of its own for about `count` encryptions, see
    /// [`PublicKey::for_encryptions`].
    pub fn for_encryptions(&self, count: u64) -> Self {
        Self { key: self.key.clone(), blinding: Arc::new(self.blinding.expecting(count)) }
    }

    /// The n-th root of a number modulo n. Errors: `SecretKey` if not every number has one.
    ///
    /// Through GMP, which is quicker modulo p than our arithmetic modulo p², in a time that does not depend on p.
    pub(crate) fn root(&self, number: &Integer) -> Result<Integer> {
        let (ring, n) = (&self.key.ring, self.key.public.n());
        // modulo p, the power 1/n modulo p − 1
        let root = |k: usize| {
            let below = Wiped::from(Integer::from(ring.modulus(k) - 1u32));
            let inverse = Integer::from(n % &*below).invert(&below).map(Wiped::from);
            let inverse =
                inverse.map_err(|_| Error::SecretKey { reason: "n and φ(n) have a common factor" })?;
            let number = Integer::from(number % ring.modulus(k));
            Ok(Integer::from(number.secure_pow_mod_ref(&inverse, ring.modulus(k))))
        };
        Ok(recombine([root(0)?, root(1)?], [0, 1].map(|k| ring.modulus(k)), &self.key.p_inverse))
    }

    /// Errors if p or q cannot belong to a key.
    fn new(p: Integer, q: Integer, public: PublicKey) -> Result<Self> {
        let inverse = |of: Integer, modulus: &Integer| {
            let inverse = of.invert(modulus).map(Wiped::from);
            inverse.map_err(|_| Error::SecretKey { reason: "its factors are not distinct primes" })
        };
        let exponents = [&p, &q].map(|prime| Integer::from(prime - 1u32).to_digits(Order::Lsf).into());
        // g^(p−1) = 1 + (p−1)·n = 1 − q·p modulo p²
        let scales = [inverse(Integer::from(-&q), &p)?, inverse(Integer::from(-&p), &q)?];
        let p_inverse = inverse(p.clone(), &q)?;
        let p_squared_inverse = inverse(p.clone().square(), &q.clone().square())?;
        let ring = Arc::new(Ring::new([p, q])?);
        let hs: [Integer; 2] = array::from_fn(|k| Integer::from(public.hs() % ring.modulus_squared(k)));
        let blinding = Arc::new(Blinding::new(ring.clone(), hs.each_ref(), public.size()));
        let key = Key { public, ring, exponents, scales, p_inverse, p_squared_inverse };
        Ok(Self { key: Arc::new(key), blinding })
    }

    /// A fresh blinding, the same number below n² that the public key would draw.
    fn draw(&self, rng: &mut dyn CryptoRng) -> Integer {
        let ring = &self.key.ring;
        let mut blinding = self.blinding.draw(rng);
        ring.multiply(&mut blinding, &ring.one());
        let parts = ring.leave(&blinding);
        recombine(parts, [0, 1].map(|k| ring.modulus_squared(k)), &self.key.p_squared_inverse)
    }
}

impl Encrypt for SecretKey {
    type Public = PublicKey;

    fn public(&self) -> &PublicKey {
        &self.key.public
    }

    fn encrypt(&self, plain: &Integer, rng: &mut dyn CryptoRng) -> Result<Ciphertext> {
        let residue = self.key.public.residue(plain)?;
        Ok(self.key.public.blind(&residue, &self.draw(rng)))
    }

    fn rerandomize(&self, value: &mut Ciphertext, rng: &mut dyn CryptoRng) {
        self.key.public.reblind(value, &self.draw(rng));
    }
}

impl Decrypt for SecretKey {
    fn decrypt(&self, value: &Ciphertext) -> Integer {
        let Key { public, ring, exponents, scales, p_inverse, .. } = &*self.key;
        let number = public.number(value);
        let parts: [Integer; 2] = array::from_fn(|k| Integer::from(&number % ring.modulus_squared(k)));
        let mut base = ring.enter(parts.each_ref());
        ring.lower(&mut base, 2);
        let bits = public.size().bits() as usize / 2;
        let mut power = ring.pow(&base, [&exponents[0], &exponents[1]], bits);
        ring.multiply(&mut power, &ring.one());
        let mut powers = ring.leave(&power);
        for (k, power) in powers.iter_mut().enumerate() {
            // L(x) = (x − 1)/p
            *power -= 1u32;
            *power /= ring.modulus(k);
            *power *= &*scales[k];
            *power %= ring.modulus(k);
        }
        centred(recombine(powers, [0, 1].map(|k| ring.modulus(k)), p_inverse), public.n())
    }
}

/// The number below `moduli[0] · moduli[1]` with these remainders, where `inverse` is that of the first
/// modulo the second.
fn recombine([a, b]: [Integer; 2], moduli: [&Integer; 2], inverse: &Integer) -> Integer {
    let mut factor = (b - &a) * inverse;
    factor.modulo_mut(moduli[1]);
    factor * moduli[0] + a
}

fn centred(residue: Integer, n: &Integer) -> Integer {
    if Integer::from(&residue << 1u32) > *n { residue - n } else { residue }
}

/// p, q, hs and the size of an encoded key. Checks everything about p and q, except that they are prime.
fn decode(bytes: &[u8]) -> Result<(Integer, Integer, Integer, KeyBits)> {
    let refuse = |reason| Error::SecretKey { reason };
    let (header, numbers) = bytes.split_at_checked(HEADER_BYTES).ok_or(refuse("it is truncated"))?;
    if header[0] != VERSION {
        return Err(refuse("its version is not 1"));
    }
    let size = KeyBits::try_from(u32::from(header[1]) << 8 | u32::from(header[2]))?;
    if numbers.len() != 3 * size.bytes() {
        return Err(refuse("its length does not belong to its size"));
    }
    let (primes, hs) = numbers.split_at(size.bytes());
    let (p, q) = primes.split_at(size.bytes() / 2);
    let [p, q, hs] = [p, q, hs].map(|number| Integer::from_digits(number, Order::Msf));
    check_primes(&p, &q, size)?;
    Ok((p, q, hs, size))
}

/// Checks everything about p and q, except that they are prime.
fn check_primes(p: &Integer, q: &Integer, size: KeyBits) -> Result<()> {
    let half = size.bits() / 2;
    let shaped = |prime: &Integer| prime.significant_bits() == half && prime.mod_u(4) == 3;
    let apart = Integer::from(p - q).significant_bits() > half - 100;
    let exact = Integer::from(p * q).significant_bits() == size.bits();
    if !(shaped(p) && shaped(q) && apart && exact) {
        return Err(Error::SecretKey { reason: "its factors do not have the shape of a key's" });
    }
    if Integer::from(p - 1u32).gcd(&Integer::from(q - 1u32)) != 2 {
        return Err(Error::SecretKey { reason: "its factors have a common factor below them" });
    }
    Ok(())
}

/// hs = (−y²)ⁿ modulo n², for a random y.
fn blinding_base(n: &Integer, rng: &mut dyn CryptoRng) -> Result<Integer> {
    let h = n - random_unit(n, rng).square() % n;
    let ring = Ring::new([n.clone()])?;
    let mut base = ring.enter([&h]);
    ring.lower(&mut base, 2);
    let mut power = ring.pow_public(&base, &n.to_digits(Order::Lsf));
    ring.multiply(&mut power, &ring.one());
    let [hs] = ring.leave(&power);
    Ok(hs)
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.key.public).finish_non_exhaustive()
    }
}
