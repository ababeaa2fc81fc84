//! The public key: encrypting, and computing on ciphertexts.

use std::{fmt, sync::Arc};

use rand::CryptoRng;
use rug::{
    Integer,
    integer::{IsPrime, Order},
};

use crate::{
    blinding::Blinding,
    error::{Error, Result},
    key::{KeyBits, KeyId},
    prime::{PRIME_TEST_REPS, SMALL_PRIMES_PRODUCT, random_bits},
    ring::Ring,
    scheme::{Additive, Encrypt},
};

/// The first byte of an encoded public key.
const VERSION: u8 = 1;

/// Version, and n's bits as a big-endian u16.
const HEADER_BYTES: usize = 3;

/// A debt that is paid at once, so that no sum overflows its counter.
const DEBT_LIMIT: u64 = 1 << 40;

/// Encrypts, and computes on ciphertexts. Cheap to clone; clones share their tables.
///
/// Encoding: version 1, the bits of n (u16), n, hs (twice as long); all big-endian. n² is computed, never
/// received.
#[derive(Clone)]
pub struct PublicKey {
    key: Arc<Key>,
    blinding: Arc<Blinding<1>>,
}

struct Key {
    size: KeyBits,
    hs: Integer,
    /// n², big-endian: what rows are compared with.
    limit: Vec<u8>,
    ring: Arc<Ring<1>>,
    id: KeyId,
}

/// An encrypted integer under one [`PublicKey`], in the form that its arithmetic uses.
#[derive(Clone)]
pub struct Ciphertext {
    words: Vec<u64>,
    debt: u64,
}

impl PublicKey {
    /// Reads an encoded key, and refuses one that could not come from an honest generation, as far as that
    /// shows: n must have exactly one of the sizes, be composite, 1 modulo 4, free of small factors and no
    /// perfect power; hs must be a unit modulo n² with Jacobi symbol 1, and not ±1 modulo n.
    ///
    /// What cannot be seen is whether n has just two factors, whether it hides, and whether hs has a large
    /// order. A dishonest owner who makes them otherwise weakens the secrecy of its own numbers, but also what is
    /// hidden from it. So a key from another party comes as a [`ProvenKey`](crate::ProvenKey), which shows that n
    /// hides, and [`rerandomize_uniform`](Self::rerandomize_uniform) does not depend on hs.
    ///
    /// Errors: `PublicKey`, `KeyBits`. Cost: about 3 ms at 2048 bits, most of it the test that n is composite.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (n, hs, size) = decode(bytes)?;
        Self::checked(n, hs, size)
    }

    /// Reads an encoded key that this party has made, or has read with [`from_bytes`](Self::from_bytes) before: its
    /// numbers are trusted, their sizes are not. Errors: `PublicKey`, `KeyBits`. Cost: a twentieth.
    pub fn from_checked_bytes(bytes: &[u8]) -> Result<Self> {
        let (n, hs, size) = decode(bytes)?;
        check_shape(&n, size)?;
        Self::new(n, hs, size)
    }

    /// The encoded key.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self.key.size, self.n(), &self.key.hs)
    }

    pub(crate) fn checked(n: Integer, hs: Integer, size: KeyBits) -> Result<Self> {
        check_modulus(&n, size)?;
        check_blinding_base(&hs, &n)?;
        Self::new(n, hs, size)
    }

    /// Trusts its arguments: a valid n of `size`, and its hs.
    pub(crate) fn new(n: Integer, hs: Integer, size: KeyBits) -> Result<Self> {
        let id = KeyId::of(&encode(size, &n, &hs));
        let ring = Arc::new(Ring::new([n])?);
        let mut limit = vec![0; 2 * size.bytes()];
        ring.modulus_squared(0).write_digits(&mut limit, Order::Msf);
        let blinding = Arc::new(Blinding::new(ring.clone(), [&hs], size));
        Ok(Self { key: Arc::new(Key { size, hs, limit, ring, id }), blinding })
    }

    /// The same key with a table of its own, sized for about `count` encryptions or re-randomisations.
    ///
    /// Tables are filled by the first use, within 24 MiB: 12 MB and 7 ms for 500 encryptions, 21 MB and 13 ms
    /// for 10,000 and more, at 2048 bits. Without this call, a key expects 500.
    pub fn for_encryptions(&self, count: u64) -> Self {
        Self { key: self.key.clone(), blinding: Arc::new(self.blinding.expecting(count)) }
    }

    /// The size of n.
    pub fn size(&self) -> KeyBits {
        self.key.size
    }

    /// The name of this key.
    pub fn id(&self) -> &KeyId {
        &self.key.id
    }

    /// Replaces the blinding by one that is uniform whatever hs is: `rⁿ` for a random `r`.
    ///
    /// For a few results that go back to an owner who is not trusted to have made its key honestly, but has proved
    /// that gcd(n, φ(n)) = 1 ([`ProvenKey`](crate::ProvenKey)). Cost: fifteen times [`Encrypt::rerandomize`]; a
    /// millisecond at 2048 bits with AVX-512 IFMA, 4 with ADX.
    pub fn rerandomize_uniform(&self, value: &mut Ciphertext, rng: &mut dyn CryptoRng) {
        let ring = &self.key.ring;
        let r = random_unit(self.n(), rng);
        let mut blinding = ring.enter([&r]);
        ring.lower(&mut blinding, 2);
        let n = self.n().to_digits::<u64>(Order::Lsf);
        let blinding = ring.pow_public(&blinding, &n);
        ring.multiply(&mut value.words, &blinding);
    }

    pub(crate) fn n(&self) -> &Integer {
        self.key.ring.modulus(0)
    }

    pub(crate) fn hs(&self) -> &Integer {
        &self.key.hs
    }

    /// The plaintext as a residue modulo n.
    pub(crate) fn residue(&self, plain: &Integer) -> Result<Integer> {
        let doubled = Integer::from(plain << 1u32);
        if doubled.cmp_abs(self.n()).is_ge() {
            return Err(Error::PlaintextRange { limit: self.plaintext_bits() });
        }
        Ok(if plain.is_negative() { Integer::from(plain + self.n()) } else { plain.clone() })
    }

    /// The ciphertext of `residue` with this blinding, a number below n².
    pub(crate) fn blind(&self, residue: &Integer, blinding: &Integer) -> Ciphertext {
        let ring = &self.key.ring;
        let mut words = ring.enter([blinding]);
        ring.multiply(&mut words, &ring.linear([residue]));
        Ciphertext { words, debt: 2 }
    }

    /// Replaces the blinding with this one, a number below n².
    pub(crate) fn reblind(&self, value: &mut Ciphertext, blinding: &Integer) {
        let words = self.key.ring.enter([blinding]);
        self.add(value, &Ciphertext { words, debt: 1 });
    }

    /// The ciphertext as a number below n².
    pub(crate) fn number(&self, value: &Ciphertext) -> Integer {
        let mut words = value.words.clone();
        self.key.ring.lower(&mut words, value.debt);
        let [number] = self.key.ring.leave(&words);
        number
    }

    /// Applies `work` to the words at debt −1, where products keep the debt.
    fn work_without_debt(&self, value: &mut Ciphertext, work: impl FnOnce(&Ring<1>, &mut [u64])) {
        let ring = &self.key.ring;
        ring.lower(&mut value.words, value.debt + 1);
        work(ring, &mut value.words);
        ring.multiply(&mut value.words, &ring.one());
        value.debt = 0;
    }

    fn enter_row(&self, row: &[u8]) -> Result<Ciphertext, &'static str> {
        if row.iter().all(|byte| *byte == 0) {
            return Err("it is zero");
        }
        if row >= &self.key.limit[..] {
            return Err("it is not below n squared; is this another key's column?");
        }
        let mut words = vec![0; self.key.ring.width()];
        self.key.ring.enter_row(row, &mut words);
        Ok(Ciphertext { words, debt: 1 })
    }

    /// The first of `values` that shares a factor with n. One gcd if, as nearly always, there is none.
    fn find_non_unit(&self, values: &[Ciphertext]) -> Option<usize> {
        let ring = &self.key.ring;
        // debts are ignored: R is a unit
        let is_unit = |words: &[u64]| ring.leave(words)[0].clone().gcd(self.n()) == 1;
        let mut product = ring.one();
        for value in values {
            ring.multiply(&mut product, &value.words);
        }
        if is_unit(&product) { None } else { values.iter().position(|value| !is_unit(&value.words)) }
    }
}

impl Additive for PublicKey {
    type Ciphertext = Ciphertext;

    fn plaintext_bits(&self) -> u32 {
        self.key.size.bits() - 2
    }

    fn row_bytes(&self) -> usize {
        2 * self.key.size.bytes()
    }

    fn zero(&self) -> Ciphertext {
        Ciphertext { words: self.key.ring.one(), debt: 0 }
    }

    fn add(&self, sum: &mut Ciphertext, other: &Ciphertext) {
        self.key.ring.multiply(&mut sum.words, &other.words);
        sum.debt += other.debt + 1;
        if sum.debt > DEBT_LIMIT {
            self.key.ring.lower(&mut sum.words, sum.debt);
            sum.debt = 0;
        }
    }

    fn add_plain(&self, sum: &mut Ciphertext, plain: &Integer) -> Result<()> {
        let words = self.key.ring.linear([&self.residue(plain)?]);
        self.add(sum, &Ciphertext { words, debt: 0 });
        Ok(())
    }

    fn negate(&self, value: &mut Ciphertext) {
        let Ok(inverse) = self.number(value).invert(self.key.ring.modulus_squared(0)) else {
            unreachable!("ciphertexts are units: decoding checks, and operations preserve it");
        };
        *value = Ciphertext { words: self.key.ring.enter([&inverse]), debt: 1 };
    }

    fn scale_vartime(&self, value: &mut Ciphertext, factor: i64) {
        if factor < 0 {
            self.negate(value);
        }
        let factor = factor.unsigned_abs();
        if factor == 0 {
            *value = self.zero();
            return;
        }
        self.work_without_debt(value, |ring, words| {
            let base = words.to_vec();
            for i in (0..factor.ilog2()).rev() {
                ring.square(words);
                if factor >> i & 1 == 1 {
                    ring.multiply(words, &base);
                }
            }
        });
    }

    fn shift_left(&self, value: &mut Ciphertext, bits: u32) {
        self.work_without_debt(value, |ring, words| (0..bits).for_each(|_| ring.square(words)));
    }

    fn encode_into(&self, value: &Ciphertext, row: &mut [u8]) {
        assert_eq!(row.len(), self.row_bytes(), "a row has the width of its key");
        self.number(value).write_digits(row, Order::Msf);
    }

    fn decode_rows(&self, rows: &[u8]) -> Result<Vec<Ciphertext>> {
        let row_bytes = self.row_bytes();
        if !rows.len().is_multiple_of(row_bytes) {
            return Err(Error::RowBytes { bytes: rows.len(), row_bytes });
        }
        let values = rows
            .chunks_exact(row_bytes)
            .enumerate()
            .map(|(row, bytes)| self.enter_row(bytes).map_err(|reason| Error::Ciphertext { row, reason }))
            .collect::<Result<Vec<_>>>()?;
        match self.find_non_unit(&values) {
            Some(row) => Err(Error::Ciphertext { row, reason: "it shares a factor with n" }),
            None => Ok(values),
        }
    }
}

impl Encrypt for PublicKey {
    type Public = Self;

    fn public(&self) -> &Self {
        self
    }

    fn encrypt(&self, plain: &Integer, rng: &mut dyn CryptoRng) -> Result<Ciphertext> {
        let residue = self.residue(plain)?;
        let ring = &self.key.ring;
        let mut words = self.blinding.draw(rng);
        ring.multiply(&mut words, &ring.linear([&residue]));
        Ok(Ciphertext { words, debt: 0 })
    }

    fn rerandomize(&self, value: &mut Ciphertext, rng: &mut dyn CryptoRng) {
        self.key.ring.multiply(&mut value.words, &self.blinding.draw(rng));
    }
}

/// A random unit modulo n, uniform to within 2⁻¹²⁸.
pub(crate) fn random_unit(n: &Integer, rng: &mut dyn CryptoRng) -> Integer {
    loop {
        let unit = random_bits(n.significant_bits() + 128, rng) % n;
        if Integer::from(unit.gcd_ref(n)) == 1 {
            return unit;
        }
    }
}

fn encode(size: KeyBits, n: &Integer, hs: &Integer) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES + 3 * size.bytes()];
    let (header, numbers) = bytes.split_at_mut(HEADER_BYTES);
    header[0] = VERSION;
    header[1..].copy_from_slice(&(size.bits() as u16).to_be_bytes());
    let (n_bytes, hs_bytes) = numbers.split_at_mut(size.bytes());
    n.write_digits(n_bytes, Order::Msf);
    hs.write_digits(hs_bytes, Order::Msf);
    bytes
}

/// n, hs and the size of an encoded key.
fn decode(bytes: &[u8]) -> Result<(Integer, Integer, KeyBits)> {
    let refuse = |reason| Error::PublicKey { reason };
    let (header, numbers) = bytes.split_at_checked(HEADER_BYTES).ok_or(refuse("it is truncated"))?;
    if header[0] != VERSION {
        return Err(refuse("its version is not 1; both parties must run compatible versions"));
    }
    let size = KeyBits::try_from(u32::from(header[1]) << 8 | u32::from(header[2]))?;
    if numbers.len() != 3 * size.bytes() {
        return Err(refuse("its length does not belong to its size"));
    }
    let (n, hs) = numbers.split_at(size.bytes());
    Ok((Integer::from_digits(n, Order::Msf), Integer::from_digits(hs, Order::Msf), size))
}

/// What arithmetic modulo n relies on.
fn check_shape(n: &Integer, size: KeyBits) -> Result<()> {
    let refuse = |reason| Err(Error::PublicKey { reason });
    if n.significant_bits() != size.bits() {
        return refuse("its modulus does not have exactly the bits it claims");
    }
    if n.mod_u(4) != 1 {
        return refuse("its modulus is not a product of two primes that are 3 modulo 4");
    }
    Ok(())
}

fn check_modulus(n: &Integer, size: KeyBits) -> Result<()> {
    let refuse = |reason| Err(Error::PublicKey { reason });
    check_shape(n, size)?;
    if Integer::from(&*SMALL_PRIMES_PRODUCT % n).gcd(n) != 1 {
        return refuse("its modulus has a small factor");
    }
    if n.is_perfect_power() {
        return refuse("its modulus is a perfect power");
    }
    if n.is_probably_prime(PRIME_TEST_REPS) != IsPrime::No {
        return refuse("its modulus is prime");
    }
    Ok(())
}

fn check_blinding_base(hs: &Integer, n: &Integer) -> Result<()> {
    let refuse = |reason| Err(Error::PublicKey { reason });
    if *hs <= 0 || *hs >= Integer::from(n.square_ref()) {
        return refuse("its blinding base is not between zero and n squared");
    }
    if Integer::from(hs.gcd_ref(n)) != 1 {
        return refuse("its blinding base shares a factor with n");
    }
    let root = Integer::from(hs % n);
    if root == 1 || Integer::from(&root + 1u32) == *n || root.jacobi(n) != 1 {
        return refuse("its blinding base cannot come from a key generation");
    }
    Ok(())
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.key.id == other.key.id
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("size", &self.key.size).field("id", &self.key.id).finish()
    }
}

impl fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ciphertext(..)")
    }
}
