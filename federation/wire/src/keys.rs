//! The keys by which sites know each other. A site has one secret key for all its sessions; it registers the public key of
//! every site it works with, and meets no other.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use curve25519_dalek::MontgomeryPoint;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use snow::params::HashChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};
use tributary_core::{Error, ErrorKind, PartyId, Result, Shown};
use tributary_system::random;
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const FINGERPRINT_BYTES: usize = 16;

/// A site's public key (X25519), as 64 hex digits. Only one of the encodings of a point is accepted, so that equal keys are
/// equal bytes, and no point of low order, with which every secret key would agree on the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    pub(crate) fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Checks and takes the bytes of a key; `InvalidInput` for bytes that are not a key.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Result<Self> {
        let key = Self(bytes);
        let wrong = |what: &str| Error::invalid(format!("public key {} {what}", HEXLOWER.encode(&bytes)));
        if !is_canonical(&bytes) {
            return Err(wrong("is not reduced modulo 2^255 - 19; ask its owner for it again"));
        }
        // A secret key is a multiple of 8, the most that a low order can be. Any will do.
        if SecretKey::from_bytes([1; KEY_BYTES]).agree(&key).iter().all(|byte| *byte == 0) {
            return Err(wrong(
                "is a point of low order, which protects nothing; its owner needs another key",
            ));
        }
        Ok(key)
    }

    /// The first 128 bits, for two operators to compare by telephone.
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(&self.0[..FINGERPRINT_BYTES])
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.fingerprint())
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let key = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().and_then(|key| key.try_into().ok());
        Self::from_bytes(key.ok_or_else(|| {
            let shown = Shown::new(text);
            Error::invalid(format!("public key {shown:?}, expected {} hex digits", 2 * KEY_BYTES))
        })?)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.to_string()
    }
}

/// Whether a little-endian number is below p = 2^255 - 19.
fn is_canonical(bytes: &[u8; KEY_BYTES]) -> bool {
    let [first, middle @ .., last] = bytes;
    *last < 0x7f || (*last == 0x7f && (*first < 0xed || middle.iter().any(|byte| *byte != 0xff)))
}

/// A site's secret key: wiped when dropped, never printed. (The copies that the Noise crate makes for the time of a
/// handshake are not wiped: it offers no way.)
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; KEY_BYTES]>);

impl SecretKey {
    /// A fresh key from the system's randomness.
    pub fn generate() -> Result<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        random::fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    /// A stored key.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// For storing it, in a file that only this site's user can read.
    pub fn reveal(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// What the peers register.
    pub fn public(&self) -> PublicKey {
        PublicKey(MontgomeryPoint::mul_base_clamped(*self.0).to_bytes())
    }

    /// X25519: what the owner of the other key computes from this one's public part.
    fn agree(&self, other: &PublicKey) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(MontgomeryPoint(other.0).mul_clamped(*self.0).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// Makes the names of channels between two sites. It comes from the Diffie-Hellman agreement of their keys, so both have it
/// and no other user of a broker does. Such a user can neither guess a name, nor fill or remove what is behind it.
#[derive(Clone)]
pub struct ChannelKey(Zeroizing<[u8; KEY_BYTES]>);

impl ChannelKey {
    /// Separates this use of the agreement from every other one.
    const LABEL: &'static str = "tributary channel names";

    fn new(own: &SecretKey, peer: &PublicKey) -> Result<Self> {
        shared(Self::LABEL, own, peer).map(Self)
    }

    /// 128 bits that stand for `data`.
    pub(crate) fn tag(&self, data: &[u8]) -> Result<[u8; 16]> {
        let mut tag = [0; 16];
        tag.copy_from_slice(&mac(&self.0, data)?[..16]);
        Ok(tag)
    }
}

impl fmt::Debug for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelKey(…)")
    }
}

/// Proves to the other of two sites that its holder is one of them. It comes from the same agreement as [`ChannelKey`], so
/// nobody else has it; what is proved is up to the caller, who puts a fresh challenge of the other side into it.
#[derive(Clone)]
pub struct LineKey(Zeroizing<[u8; KEY_BYTES]>);

impl LineKey {
    const LABEL: &'static str = "tributary lines between sites";

    /// What only the two sites can compute for `data`.
    pub fn proof(&self, data: &[u8]) -> Result<[u8; KEY_BYTES]> {
        mac(&self.0, data).map(|proof| *proof)
    }

    /// Whether the other site made this proof. Takes the same time for every wrong one.
    pub fn proves(&self, data: &[u8], proof: &[u8; KEY_BYTES]) -> Result<bool> {
        let expected = self.proof(data)?;
        Ok(expected.iter().zip(proof).fold(0, |all, (a, b)| all | (a ^ b)) == 0)
    }
}

impl fmt::Debug for LineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LineKey(…)")
    }
}

/// A key that two sites have in common, for one use.
fn shared(label: &str, own: &SecretKey, peer: &PublicKey) -> Result<Zeroizing<[u8; KEY_BYTES]>> {
    let mut sites = [own.public(), *peer].map(|key| key.0);
    sites.sort_unstable();
    let data = [label.as_bytes(), &sites[0], &sites[1]].concat();
    mac(&own.agree(peer), &data)
}

/// HMAC with the hash of the handshake, BLAKE2s.
fn mac(key: &[u8; KEY_BYTES], data: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>> {
    let hash = DefaultResolver.resolve_hash(&HashChoice::Blake2s);
    let mut hash = hash.ok_or_else(|| Error::bug("the Noise crate was built without BLAKE2s"))?;
    let mut out = Zeroizing::new([0; KEY_BYTES]);
    hash.hmac(key, data, &mut *out);
    Ok(out)
}

/// A site's own key and those of the sites it works with. No two sites have the same key: else one of them could take part as
/// the other.
#[derive(Debug, Clone)]
pub struct KeyRing {
    own: SecretKey,
    own_public: PublicKey,
    peers: BTreeMap<PartyId, PublicKey>,
}

impl KeyRing {
    /// A ring that knows no other site yet. One site may have several roles in a job: then register its own key as well.
    pub fn new(own: SecretKey) -> Self {
        Self { own_public: own.public(), own, peers: BTreeMap::new() }
    }

    /// Registers a site. `AlreadyExists` if it has another key, or another site has this one.
    pub fn with(mut self, site: PartyId, key: PublicKey) -> Result<Self> {
        let taken = |why: String| Err(Error::new(ErrorKind::AlreadyExists, why));
        if let Some((other, _)) = self.peers.iter().find(|(other, theirs)| **other != site && **theirs == key)
        {
            return taken(format!(
                "sites {other} and {site} have one public key, {key:?}; each site makes a key of its own"
            ));
        }
        match self.peers.insert(site.clone(), key) {
            Some(old) if old != key => {
                taken(format!("site {site} has two public keys, {old:?} and {key:?}; register one of them"))
            }
            _ => Ok(self),
        }
    }

    /// The sites that are registered, in order.
    pub fn sites(&self) -> impl Iterator<Item = &PartyId> {
        self.peers.keys()
    }

    /// The key registered for a site; `Denied` if there is none.
    pub fn of(&self, site: &PartyId) -> Result<&PublicKey> {
        self.peers.get(site).ok_or_else(|| {
            let text = format!("no public key of site {site} is registered here; ask its operator for its card, and run `tributary site trust {site}.card`");
            Error::new(ErrorKind::Denied, text)
        })
    }

    /// What names the channels between this site and another one; `Denied` if that has no key here.
    pub fn channel_key(&self, site: &PartyId) -> Result<ChannelKey> {
        ChannelKey::new(&self.own, self.of(site)?)
    }

    /// With what this site and another one prove to each other who they are; `Denied` if that has no key here.
    pub fn line_key(&self, site: &PartyId) -> Result<LineKey> {
        shared(LineKey::LABEL, &self.own, self.of(site)?).map(LineKey)
    }

    /// `Denied` if another site has this site's own key.
    pub(crate) fn check_own(&self, own: &PartyId) -> Result<()> {
        match self.peers.iter().find(|(site, key)| *site != own && **key == self.own_public) {
            None => Ok(()),
            Some((other, key)) => {
                let text = format!(
                    "site {other} is registered with the public key of this site, {key:?}; each site makes a key of its own"
                );
                Err(Error::new(ErrorKind::Denied, text))
            }
        }
    }

    /// This site's public key.
    pub fn own_public(&self) -> &PublicKey {
        &self.own_public
    }

    pub(crate) fn own(&self) -> &SecretKey {
        &self.own
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> PartyId {
        text.parse().unwrap()
    }

    fn secret(byte: u8) -> SecretKey {
        SecretKey::from_bytes([byte; KEY_BYTES])
    }

    #[test]
    fn a_public_key_survives_its_text_and_a_wrong_text_is_refused() {
        let key = SecretKey::generate().unwrap().public();
        assert_eq!(key.to_string().parse::<PublicKey>().unwrap(), key);
        for bad in ["", "ab", &"g".repeat(64), &"ä".repeat(32), &"+f".repeat(32), "\u{1b}[2J"] {
            let error = bad.parse::<PublicKey>().unwrap_err().to_string();
            assert!(!error.contains('\u{1b}'), "{error:?}");
        }
    }

    /// RFC 7748, section 5.2: the first iteration multiplies the base point by its own bytes.
    #[test]
    fn the_public_key_is_that_of_the_standard() {
        let mut nine = [0; KEY_BYTES];
        nine[0] = 9;
        let expected = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079";
        assert_eq!(SecretKey::from_bytes(nine).public().to_string(), expected);
    }

    /// The points of low order on the curve and on its twist, and all encodings of them.
    #[test]
    fn points_of_low_order_and_second_encodings_are_refused() {
        let order_8 = [
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        ];
        let near = |last: u8, first: u8| {
            let mut bytes = [if last == 0 { 0 } else { 0xff }; KEY_BYTES];
            (bytes[0], bytes[KEY_BYTES - 1]) = (first, last);
            HEXLOWER.encode(&bytes)
        };
        let zero_and_one = [near(0, 0), near(0, 1), near(0x7f, 0xec), near(0x7f, 0xed), near(0x7f, 0xee)];
        for text in order_8.map(String::from).into_iter().chain(zero_and_one) {
            text.parse::<PublicKey>().unwrap_err();
            let mut high = text.clone();
            let last = u8::from_str_radix(&text[62..], 16).unwrap() | 0x80;
            high.replace_range(62.., &format!("{last:02x}"));
            assert!(high.parse::<PublicKey>().unwrap_err().to_string().contains("not reduced"), "{high}");
        }
        let key = secret(5).public();
        let mut other = key.0;
        other[31] |= 0x80;
        assert!(PublicKey::from_bytes(other).is_err(), "the same point in another encoding");
    }

    #[test]
    fn two_sites_do_not_share_a_key() {
        let (own, key) = (secret(1), secret(2).public());
        let ring = || KeyRing::new(own.clone()).with(id("10"), key).unwrap();
        let error = ring().with(id("11"), key).unwrap_err();
        assert!(error.to_string().contains("sites 10 and 11 have one public key"), "{error}");
        let error = ring().with(id("10"), secret(3).public()).unwrap_err();
        assert!(error.to_string().contains("site 10 has two public keys"), "{error}");
        ring().with(id("10"), key).unwrap();

        let two_roles = ring().with(id("9"), own.public()).unwrap();
        two_roles.check_own(&id("9")).unwrap();
        let error = two_roles.check_own(&id("8")).unwrap_err();
        assert!(
            error.to_string().contains("site 9 is registered with the public key of this site"),
            "{error}"
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let secret = secret(7);
        assert_eq!(format!("{secret:?}"), "SecretKey(…)");
        let ring = KeyRing::new(secret.clone()).with(id("1"), secret.public()).unwrap();
        assert!(!format!("{ring:?} {:?}", ring.channel_key(&id("1")).unwrap()).contains("7, 7"));
        assert_eq!(ring.of(&id("9999")).unwrap_err().kind(), ErrorKind::Denied);
    }

    #[test]
    fn only_the_two_sites_prove_to_each_other_who_they_are() {
        let key = |own: u8, peer: u8| {
            let ring = KeyRing::new(secret(own)).with(id("1"), secret(peer).public()).unwrap();
            (ring.line_key(&id("1")).unwrap(), ring.channel_key(&id("1")).unwrap())
        };
        let ((ours, names), (theirs, _), (stranger, _)) = (key(1, 2), key(2, 1), key(3, 1));
        let proof = ours.proof(b"challenge").unwrap();
        assert!(theirs.proves(b"challenge", &proof).unwrap());
        assert!(!theirs.proves(b"another", &proof).unwrap());
        assert!(!theirs.proves(b"challenge", &stranger.proof(b"challenge").unwrap()).unwrap());
        assert_ne!(proof[..16], names.tag(b"challenge").unwrap(), "another use, another key");
    }

    #[test]
    fn fingerprints_have_128_bits() {
        assert_eq!(secret(7).public().fingerprint().len(), 32);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn both_sites_have_one_channel_key_and_no_other_site_has_it(a: [u8; 32], b: [u8; 32], c: [u8; 32], data: Vec<u8>) {
            let [a, b, c] = [a, b, c].map(SecretKey::from_bytes);
            prop_assume!(a.public() != b.public() && a.public() != c.public() && b.public() != c.public());
            let tag = |own: &SecretKey, peer: &SecretKey| ChannelKey::new(own, &peer.public()).unwrap().tag(&data).unwrap();
            prop_assert_eq!(tag(&a, &b), tag(&b, &a));
            // Knows all public keys, and its own secret.
            prop_assert_ne!(tag(&c, &a), tag(&a, &b));
            prop_assert_ne!(tag(&c, &b), tag(&a, &b));
            prop_assert_ne!(tag(&c, &c), tag(&a, &b));
        }

        #[test]
        fn any_bytes_are_taken_or_refused_without_a_panic(bytes: [u8; 32], text: String) {
            let key = PublicKey::from_bytes(bytes);
            prop_assert!(bytes[31] < 0x80 || key.is_err());
            let _ = text.parse::<PublicKey>();
        }
    }
}
