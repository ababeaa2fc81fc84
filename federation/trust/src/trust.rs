//! What a running process needs of its site folder, read at one moment.

use std::collections::BTreeMap;

use tributary_core::{Error, ErrorKind, PartyId, Result};
use tributary_wire::KeyRing;

use crate::card::Card;
use crate::folder::SiteFolder;
use crate::identity::Identity;

/// A site's own keys and the cards that it trusts.
#[derive(Debug, Clone)]
pub struct Trust {
    identity: Identity,
    partners: BTreeMap<PartyId, Card>,
}

impl Trust {
    /// Reads both. `NotFound` if the party has no keys yet.
    pub fn read(folder: &SiteFolder) -> Result<Self> {
        let partners = folder.partners()?.into_iter().map(|card| (card.party().clone(), card)).collect();
        Ok(Self { identity: folder.identity()?, partners })
    }

    /// The site's own keys.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The trusted cards.
    pub fn partners(&self) -> impl Iterator<Item = &Card> {
        self.partners.values()
    }

    /// The trusted card of a partner; `Denied` if there is none.
    pub fn partner(&self, id: &PartyId) -> Result<&Card> {
        self.partners.get(id).ok_or_else(|| {
            let own = self.identity.party();
            let text = format!("party {own} trusts no card of party {id}; see `tributary site trust --help`");
            Error::new(ErrorKind::Denied, text)
        })
    }

    /// The partner that shows this certificate (DER) on a line; `None` for a stranger.
    pub fn bearer(&self, certificate: &[u8]) -> Option<&Card> {
        self.partners.values().find(|card| card.certificate().der() == certificate)
    }

    /// The keys for the wire: of all partners, and the site's own, since it may have several roles in a job.
    pub fn ring(&self) -> Result<KeyRing> {
        let own = KeyRing::new(self.identity.secret_key().clone());
        let own = own.with(self.identity.party().clone(), *self.identity.card().key())?;
        self.partners.values().try_fold(own, |ring, card| ring.with(card.party().clone(), *card.key()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::folder::Existing;

    #[test]
    fn partners_are_found_by_id_and_by_certificate_and_strangers_are_not() {
        let home = tempfile::tempdir().unwrap();
        let site = |party: &str| {
            let site = SiteFolder::of(&home.path().join(party), &party.parse().unwrap());
            site.create(&[], Duration::from_secs(1_795_348_800), Existing::Keep).unwrap();
            site
        };
        let (bank, shop, stranger) = (site("9999"), site("10000"), site("1"));
        let card = shop.identity().unwrap().card().clone();
        bank.trust(&card, Existing::Keep).unwrap();
        let trust = Trust::read(&bank).unwrap();
        assert_eq!(trust.partner(card.party()).unwrap(), &card);
        assert_eq!(trust.bearer(card.certificate().der()).unwrap(), &card);
        let stranger = stranger.identity().unwrap().card().clone();
        assert!(trust.bearer(stranger.certificate().der()).is_none());
        assert_eq!(trust.partner(stranger.party()).unwrap_err().kind(), ErrorKind::Denied);
        let ring = trust.ring().unwrap();
        assert_eq!(ring.of(&"9999".parse().unwrap()).unwrap(), ring.own_public());
        assert!(ring.channel_key(card.party()).is_ok() && ring.of(stranger.party()).is_err());
    }
}
