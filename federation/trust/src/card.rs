//! A site's card: all that another site needs to know of it, as a short text that people mail and check by telephone.
//!
//! ```text
//! tributary card, version 1
//! party: 9999
//! address: bank.example:9370
//! key: 8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a
//! fingerprint: 3f0c-91d2-…
//! -----BEGIN CERTIFICATE-----
//! …
//! -----END CERTIFICATE-----
//! ```
//!
//! The fingerprint is of everything else, addresses included: what was compared is what is trusted. It stands in the card for
//! people, and so that a card that a mail program damaged says so by itself; whoever changes a card on purpose changes it too.

use std::fmt;

use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt};
use tributary_wire::PublicKey;

use crate::address::Address;
use crate::certificate::{Certificate, MAX_CERTIFICATE_BYTES};
use crate::fingerprint::Fingerprint;
use crate::lines::{Lines, add_block};

/// Longest card that is read.
pub const MAX_CARD_BYTES: usize = 16 << 10;
/// Most addresses of a site.
pub const MAX_ADDRESSES: usize = 8;

const WHAT: &str = "tributary card";
const VERSION: u32 = 1;
/// What a site says that has no address.
const NO_ADDRESS: &str = "none, calls out only";

/// A site's card. Equal cards have equal fingerprints.
#[derive(Clone, PartialEq, Eq)]
pub struct Card {
    party: PartyId,
    addresses: Vec<Address>,
    key: PublicKey,
    certificate: Certificate,
}

impl Card {
    /// `InvalidInput` for too many addresses, or one twice.
    pub fn new(
        party: PartyId,
        addresses: Vec<Address>,
        key: PublicKey,
        certificate: Certificate,
    ) -> Result<Self> {
        if addresses.len() > MAX_ADDRESSES {
            let text = format!("{} addresses, a card has at most {MAX_ADDRESSES}", addresses.len());
            return Err(Error::invalid(text));
        }
        if let Some(twice) =
            (1..addresses.len()).find(|index| addresses[..*index].contains(&addresses[*index]))
        {
            return Err(Error::invalid(format!("address {} occurs twice", addresses[twice])));
        }
        Ok(Self { party, addresses, key, certificate })
    }

    /// Reads what [`Display`](fmt::Display) writes. Messages call the source `file`, and name line and expectation. `Corrupt` for
    /// anything that is no card or was changed on its way, `Unsupported` for one of another version.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        let mut lines = Lines::new(file, bytes, MAX_CARD_BYTES)?;
        lines.version(WHAT, VERSION)?;
        let party = read_party(&mut lines)?;
        let addresses = read_addresses(&mut lines)?;
        let key = lines.field("key")?.parse().map_err(|e: Error| lines.wrong(e.to_string()))?;
        let written: Fingerprint =
            lines.field("fingerprint")?.parse().map_err(|e: Error| lines.wrong(e.to_string()))?;
        let certificate = read_certificate(&mut lines, &party)?;
        lines.end()?;
        let card = Self::new(party, addresses, key, certificate).at(|| file)?;
        let found = card.fingerprint();
        if found != written {
            let text = format!(
                "{file}: the card says that its fingerprint is {written}, but that of its lines is {found}: it was changed on its \
                 way; ask its operator for it again"
            );
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Ok(card)
    }

    /// Whose card it is.
    pub fn party(&self) -> &PartyId {
        &self.party
    }

    /// Where the site listens, in the order in which to try; none if it only calls out.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The key that seals what is sent to it.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The certificate that it shows on a line, pinned: no other one is the site's.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Of all of the above.
    pub fn fingerprint(&self) -> Fingerprint {
        let head = [WHAT.to_owned(), VERSION.to_string(), self.party.to_string(), self.key.to_string()];
        let addresses = self.addresses.iter().map(Address::to_string);
        let texts: Vec<String> = head.into_iter().chain(addresses).collect();
        Fingerprint::of(texts.iter().map(String::as_bytes).chain([self.certificate.der()]))
    }

    /// Whether another card has the same keys: whatever else it says, it is of the same site.
    pub fn has_keys_of(&self, other: &Self) -> bool {
        self.key == other.key && self.certificate == other.certificate
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{WHAT}, version {VERSION}")?;
        f.write_str(&head(&self.party, &self.addresses))?;
        writeln!(f, "key: {}\nfingerprint: {}", self.key, self.fingerprint())?;
        let mut certificate = String::new();
        add_block(&mut certificate, "CERTIFICATE", self.certificate.der());
        f.write_str(&certificate)
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Card({}, {})", self.party, self.fingerprint())
    }
}

/// The lines of a party and its addresses.
pub(crate) fn head(party: &PartyId, addresses: &[Address]) -> String {
    let mut head = format!("party: {party}\n");
    addresses.iter().for_each(|address| head.push_str(&format!("address: {address}\n")));
    if addresses.is_empty() {
        head.push_str(&format!("address: {NO_ADDRESS}\n"));
    }
    head
}

pub(crate) fn read_party(lines: &mut Lines<'_>) -> Result<PartyId> {
    lines.field("party")?.parse().map_err(|e: Error| lines.wrong(e.to_string()))
}

pub(crate) fn read_addresses(lines: &mut Lines<'_>) -> Result<Vec<Address>> {
    let first = lines.field("address")?;
    if first == NO_ADDRESS {
        return Ok(Vec::new());
    }
    let mut addresses = vec![first.parse().map_err(|e: Error| lines.wrong(e.to_string()))?];
    while lines.is_at("address") {
        addresses.push(lines.field("address")?.parse().map_err(|e: Error| lines.wrong(e.to_string()))?);
        if addresses.len() > MAX_ADDRESSES {
            return Err(lines.wrong(format!("expected at most {MAX_ADDRESSES} addresses")));
        }
    }
    Ok(addresses)
}

pub(crate) fn read_certificate(lines: &mut Lines<'_>, party: &PartyId) -> Result<Certificate> {
    let der = lines.block("CERTIFICATE", MAX_CERTIFICATE_BYTES)?.to_vec();
    Certificate::read(der, party).map_err(|e| lines.wrong(e.to_string()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tributary_wire::SecretKey;

    use super::*;

    fn card(party: &str, addresses: &[&str]) -> Card {
        let party: PartyId = party.parse().unwrap();
        let (certificate, _) = Certificate::make(&party, Duration::from_secs(1_795_348_800)).unwrap();
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Card::new(party, addresses, SecretKey::from_bytes([7; 32]).public(), certificate).unwrap()
    }

    fn refused(text: &str) -> Error {
        Card::parse("bank.card", text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_card_survives_its_text_and_what_mail_does_to_it() {
        for addresses in [&[][..], &["bank.example:9370"], &["[::1]:1", "127.0.0.1:2", "bank:3"]] {
            let card = card("9999", addresses);
            let text = card.to_string();
            assert_eq!(Card::parse("bank.card", text.as_bytes()).unwrap(), card);
            let mailed = format!("\u{feff}\r\n{}\r\n\r\n", text.replace('\n', "  \r\n\r\n"));
            assert_eq!(Card::parse("bank.card", mailed.as_bytes()).unwrap(), card);
        }
    }

    #[test]
    fn a_change_of_any_line_is_found_and_told_with_its_line() {
        let text = card("9999", &["bank.example:9370"]).to_string();
        for (from, to, expected) in [
            ("version 1", "version 2", "bank.card: version 2, this build reads version 1"),
            ("tributary card", "card", "bank.card:1: expected \"tributary card, version 1\""),
            ("party: 9999", "party: 9998", "the certificate does not name party 9998"),
            ("party: 9999", "party: ../x", "bank.card:2: party id"),
            ("party: 9999", "Party: 9999", "bank.card:2: expected \"party: …\", got \"Party: 9999\""),
            ("bank.example", "evil.example", "was changed on its way"),
            (":9370", "", "bank.card:3: address \"bank.example\", expected HOST:PORT"),
            ("key: ", "key: 0", "bank.card:4: public key"),
            (
                "-----END CERTIFICATE-----\n",
                "",
                "the text ends where \"-----END CERTIFICATE-----\" is expected",
            ),
            ("-----BEGIN CERTIFICATE-----\n", "", "bank.card:6: expected \"-----BEGIN CERTIFICATE-----\""),
            ("MII", "M!I", "is not base64"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            let error = refused(&changed).to_string();
            assert!(error.contains(expected), "{from} → {to}: {error}");
        }
        assert!(
            refused(&format!("{text}more\n")).to_string().contains("expected \"nothing more\", got \"more\"")
        );
        assert!(refused(&text.replace("key:", "\u{1b}[2J:")).to_string().contains("\\u{1b}[2J"));
        assert!(refused("").to_string().contains("the text ends where"));
        let error = Card::parse("bank.card", &vec![b'\n'; MAX_CARD_BYTES + 1]).unwrap_err().to_string();
        assert!(error.contains("expected at most 16384 bytes"), "{error}");
        assert!(Card::parse("bank.card", &[0xff]).unwrap_err().to_string().contains("expected text"));
    }

    #[test]
    fn the_fingerprint_is_of_everything_that_a_card_says() {
        let one = card("9999", &["bank.example:9370"]);
        let mut moved = one.clone();
        moved.addresses = vec!["bank.example:9371".parse().unwrap()];
        assert!(moved.has_keys_of(&one) && moved.fingerprint() != one.fingerprint());
        let other = card("9999", &["bank.example:9370"]); // another certificate
        assert!(!other.has_keys_of(&one) && other.fingerprint() != one.fingerprint());
        let mut keyed = one.clone();
        keyed.key = SecretKey::from_bytes([8; 32]).public();
        assert!(!keyed.has_keys_of(&one) && keyed.fingerprint() != one.fingerprint());
    }

    #[test]
    fn addresses_are_few_and_different() {
        let one = card("9999", &[]);
        let with = |addresses: Vec<String>| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            Card::new(one.party.clone(), addresses, one.key, one.certificate.clone())
        };
        with((1..=8).map(|port| format!("a:{port}")).collect()).unwrap();
        assert!(with((1..=9).map(|port| format!("a:{port}")).collect()).is_err());
        assert!(with(vec!["a:1".into(), "A:1".into()]).is_err());
    }

    proptest! {
        #[test]
        fn a_damaged_card_is_refused_or_says_the_same(at in 0..2000usize, byte: u8) {
            let card = card("9999", &["bank.example:9370"]);
            let mut text = card.to_string().into_bytes();
            let at = at % text.len();
            text[at] = byte;
            if let Ok(read) = Card::parse("bank.card", &text) {
                prop_assert_eq!(read, card);
            }
        }
    }
}
