//! A site's own keys: what it proves itself with, in one file, so that they are never of two different makings.
//!
//! ```text
//! tributary site keys, version 1
//! party: 9999
//! address: bank.example:9370
//! secret key: <64 hexadecimal digits>
//! -----BEGIN PRIVATE KEY-----
//! -----BEGIN CERTIFICATE-----
//! ```

use std::fmt;
use std::time::Duration;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use tributary_core::{PartyId, Result};
use tributary_wire::SecretKey;
use zeroize::{Zeroize, Zeroizing};

use crate::address::Address;
use crate::card::{self, Card, MAX_CARD_BYTES};
use crate::certificate::{Certificate, MAX_PRIVATE_KEY_BYTES};
use crate::lines::{Lines, add_block};

/// Longest file that is read: a card's, and two secrets.
pub(crate) const MAX_BYTES: usize = MAX_CARD_BYTES + 4 * MAX_PRIVATE_KEY_BYTES;

const WHAT: &str = "tributary site keys";
const VERSION: u32 = 1;

/// A site's own keys. Never printed, wiped when dropped.
#[derive(Clone)]
pub struct Identity {
    secret: SecretKey,
    private: Zeroizing<Vec<u8>>,
    card: Card,
}

impl Identity {
    /// Fresh keys from the system's randomness, with a certificate valid for ten years from `now` (time since 1970).
    pub(crate) fn make(party: &PartyId, addresses: &[Address], now: Duration) -> Result<Self> {
        let secret = SecretKey::generate()?;
        let (certificate, private) = Certificate::make(party, now)?;
        let card = Card::new(party.clone(), addresses.to_vec(), secret.public(), certificate)?;
        Ok(Self { secret, private, card })
    }

    /// The same keys, with other addresses on the card.
    pub(crate) fn at(self, addresses: &[Address]) -> Result<Self> {
        let card = Card::new(
            self.card.party().clone(),
            addresses.to_vec(),
            *self.card.key(),
            self.card.certificate().clone(),
        )?;
        Ok(Self { card, ..self })
    }

    /// Reads what [`Identity::to_text`] writes. No error repeats a line of it.
    pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        let mut lines = Lines::new(file, bytes, MAX_BYTES)?.hiding();
        lines.version(WHAT, VERSION)?;
        let party = card::read_party(&mut lines)?;
        let addresses = card::read_addresses(&mut lines)?;
        let hex = HEXLOWER_PERMISSIVE.decode(lines.field("secret key")?.as_bytes()).map(Zeroizing::new);
        let mut key: [u8; 32] = hex
            .ok()
            .and_then(|hex| hex.as_slice().try_into().ok())
            .ok_or_else(|| lines.wrong("expected 64 hexadecimal digits"))?;
        let secret = SecretKey::from_bytes(key);
        key.zeroize();
        let private = lines.block("PRIVATE KEY", MAX_PRIVATE_KEY_BYTES)?;
        let certificate = card::read_certificate(&mut lines, &party)?;
        lines.end()?;
        let card = Card::new(party, addresses, secret.public(), certificate)?;
        Ok(Self { secret, private, card })
    }

    /// The content of the file.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        // Room for all of it, because a text that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES));
        text.push_str(&format!("{WHAT}, version {VERSION}\n"));
        text.push_str(&card::head(self.card.party(), self.card.addresses()));
        let hex = Zeroizing::new(HEXLOWER.encode(self.secret.reveal()));
        text.push_str("secret key: ");
        text.push_str(&hex);
        text.push('\n');
        add_block(&mut text, "PRIVATE KEY", &self.private);
        add_block(&mut text, "CERTIFICATE", self.card.certificate().der());
        text
    }

    /// What others get.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Whose keys they are.
    pub fn party(&self) -> &PartyId {
        self.card.party()
    }

    /// Seals frames.
    pub fn secret_key(&self) -> &SecretKey {
        &self.secret
    }

    /// Belongs to the certificate on the card: ECDSA on P-256, PKCS #8, DER.
    pub fn private_key(&self) -> &[u8] {
        &self.private
    }
}

/// Never the keys.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?}, …)", self.card)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_795_348_800);

    #[test]
    fn keys_survive_their_file_and_are_not_shown() {
        let made = Identity::make(&"9999".parse().unwrap(), &["bank:1".parse().unwrap()], NOW).unwrap();
        let text = made.to_text();
        let read = Identity::parse("keys", text.as_bytes()).unwrap();
        assert_eq!((read.card(), read.private_key()), (made.card(), made.private_key()));
        assert_eq!(read.secret_key().reveal(), made.secret_key().reveal());
        let shown = format!("{read:?}");
        assert!(shown.starts_with("Identity(Card(9999") && shown.len() < 80, "{shown}");
    }

    #[test]
    fn a_damaged_file_names_its_line_and_shows_nothing_of_it() {
        let text = Identity::make(&"9999".parse().unwrap(), &[], NOW).unwrap().to_text();
        let hex = text.lines().find_map(|line| line.strip_prefix("secret key: ")).unwrap();
        for changed in [
            text.replace("secret key", "secret"),
            text.replace("secret key: ", "secret key: 0"),
            text.replace("-----BEGIN PRIVATE KEY-----\n", ""),
            text.replace("-----END PRIVATE KEY-----\n", ""),
            format!("{}secret key: {hex}\n", *text),
        ] {
            let error = Identity::parse("keys", changed.as_bytes()).unwrap_err().chain();
            assert!(
                error.starts_with("keys:") && !error.contains(&hex[..8]) && !error.contains("MI"),
                "{error}"
            );
        }
    }

    #[test]
    fn other_addresses_leave_the_keys() {
        let made = Identity::make(&"9999".parse().unwrap(), &[], NOW).unwrap();
        let moved = made.clone().at(&["bank:1".parse().unwrap()]).unwrap();
        assert!(moved.card().has_keys_of(made.card()));
        assert_eq!(moved.card().addresses().len(), 1);
    }
}
