//! Who a party is to other sites and whom it trusts: its keys and card, the cards of partners, and what they may do.
//!
//! Whether a person compared fingerprints is the caller's to ask: here a card is trusted because the request says so.

use std::path::PathBuf;

use tributary_core::{PartyId, Result};
use tributary_runtime::Home;
use tributary_system::clock::since_1970;

pub use tributary_grants::audit::{Consent, Entry, Line, Outcome};
pub use tributary_grants::{Grant, GrantedComponent, Grants};
pub use tributary_trust::{Address, Card, Existing, Fingerprint, MAX_CARD_BYTES, Standing};

use tributary_trust::SiteFolder;

/// A party's keys and partners.
#[derive(Debug, Clone)]
pub struct Keys {
    folder: SiteFolder,
    grants: PathBuf,
}

impl Keys {
    /// Of a party, which may have none yet.
    pub fn of(home: &Home, party: &PartyId) -> Result<Self> {
        Ok(Self { folder: home.site_folder(party)?, grants: home.grants_path(party) })
    }

    /// Whose they are.
    pub fn party(&self) -> &PartyId {
        self.folder.party()
    }

    /// Where the card is, for the operator to send.
    pub fn card_path(&self) -> PathBuf {
        self.folder.card_path()
    }

    /// Where the operator says what partners may do.
    pub fn grants_path(&self) -> PathBuf {
        self.grants.clone()
    }

    /// Makes keys. `AlreadyExists` if there are some, and they are to stay.
    pub fn create(&self, addresses: &[Address], existing: Existing) -> Result<Card> {
        Ok(self.folder.create(addresses, since_1970(), existing)?.card().clone())
    }

    /// The party's own card; `NotFound` before there are keys.
    pub fn card(&self) -> Result<Card> {
        self.folder.card()
    }

    /// Puts other addresses on the card, and keeps the keys.
    pub fn move_to(&self, addresses: &[Address]) -> Result<Card> {
        Ok(self.folder.move_to(addresses)?.card().clone())
    }

    /// Makes new keys; every partner needs the new card.
    pub fn rotate(&self) -> Result<Card> {
        Ok(self.folder.rotate(since_1970())?.card().clone())
    }

    /// How a card stands to what is trusted already.
    pub fn standing(&self, card: &Card) -> Result<Standing> {
        self.folder.standing(card)
    }

    /// Trusts a card. `AlreadyExists` with both fingerprints if other keys of the partner are trusted, and are to stay.
    pub fn trust(&self, card: &Card, existing: Existing) -> Result<Standing> {
        self.folder.trust(card, existing)
    }

    /// All trusted cards, in order of party ids.
    pub fn partners(&self) -> Result<Vec<Card>> {
        self.folder.partners()
    }

    /// Ends the trust in a partner; `NotFound` if there was none.
    pub fn revoke(&self, partner: &PartyId) -> Result<()> {
        self.folder.revoke(partner)
    }

    /// Whether an agent or a job of the party runs, which goes on with the keys and cards that it read when it began.
    pub fn in_use(&self) -> Result<bool> {
        self.folder.is_attended()
    }

    /// A note for each partner in grants whose card is not trusted, so that no job of it can come.
    pub fn untrusted(&self, grants: &Grants) -> Result<Vec<String>> {
        let trusted = self.partners()?;
        let is_trusted = |id: &PartyId| trusted.iter().any(|card| card.party() == id);
        let mut notes = Vec::new();
        for (number, grant) in (1..).zip(grants.list()) {
            let missing = grant.partners.iter().filter(|id| !is_trusted(id) && *id != self.party());
            notes.extend(missing.map(|id| {
                format!(
                    "grant {number} (line {}) names party {id}, whose card is not trusted here",
                    grant.line
                )
            }));
        }
        Ok(notes)
    }
}
