//! The folder `site` of a party: its own keys, and a card for each partner that its operator trusts.
//!
//! ```text
//! site/keys                the party's own keys; secret
//! site/<party>.card        its own card, to give away
//! site/partners/<id>.card  a trusted partner
//! site/lock                held while one of them is changed
//! site/attending           held by the process that speaks with the partners
//! ```
//!
//! Everything is read from the disk when it is asked for: what an operator trusts or revokes counts from the next question on,
//! without a restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt};
use tributary_suggest::nearest;

use crate::address::Address;
use crate::card::{Card, MAX_CARD_BYTES};
use crate::identity::{Identity, MAX_BYTES};
use crate::private::{self, Attendance, Turn};

/// How the names of cards end.
const CARD: &str = "card";

/// Whether what is there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and another one is refused.
    Keep,
    /// It is replaced.
    Replace,
}

/// How a card stands to what is trusted already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// No card of this partner is trusted.
    New,
    /// This very card is trusted.
    Same,
    /// A card with the same keys and other addresses is trusted.
    Moved(Card),
    /// A card with other keys is trusted: the partner made new ones, or somebody else made this card.
    OtherKeys(Card),
}

/// A party's keys and partners on disk.
#[derive(Debug, Clone)]
pub struct SiteFolder {
    party: PartyId,
    folder: PathBuf,
}

impl SiteFolder {
    /// Of a party with this home folder. Nothing is made or read yet.
    pub fn of(home: &Path, party: &PartyId) -> Self {
        Self { party: party.clone(), folder: home.join("site") }
    }

    /// Whose it is.
    pub fn party(&self) -> &PartyId {
        &self.party
    }

    /// Where the party's own card is, for its operator to send.
    pub fn card_path(&self) -> PathBuf {
        self.folder.join(format!("{}.{CARD}", self.party))
    }

    /// Whether the party has keys here, readable or not.
    pub fn has_keys(&self) -> bool {
        self.keys_path().exists()
    }

    /// The party's keys. `NotFound` says how to make them.
    pub fn identity(&self) -> Result<Identity> {
        let path = self.keys_path();
        let Some(bytes) = private::read_secret(&path, MAX_BYTES)? else {
            let party = &self.party;
            let text = format!(
                "party {party} has no keys yet; make them with `tributary site init --party {party}`"
            );
            return Err(Error::new(ErrorKind::NotFound, text));
        };
        let identity = Identity::parse(&path.display().to_string(), &bytes)?;
        self.check(&path, identity.party())?;
        Ok(identity)
    }

    /// Makes keys and the card. `now`: time since 1970. `AlreadyExists` if there are keys and they are to stay: partners would
    /// no longer know this site.
    pub fn create(&self, addresses: &[Address], now: Duration, existing: Existing) -> Result<Identity> {
        let _turn = Turn::take(&self.folder)?;
        if existing == Existing::Keep && self.keys_path().exists() {
            let text = format!(
                "party {} has keys in {}; with others its partners would no longer know it. `tributary site card` shows its card, \
                 `tributary site rotate` makes new keys, `--force` does so even if the old ones are damaged",
                self.party,
                self.keys_path().display()
            );
            return Err(Error::new(ErrorKind::AlreadyExists, text));
        }
        self.store(Identity::make(&self.party, addresses, now)?)
    }

    /// Makes new keys for the same addresses. The old ones are kept nowhere.
    pub fn rotate(&self, now: Duration) -> Result<Identity> {
        let _turn = self.turn()?;
        let old = self.identity()?;
        self.store(Identity::make(&self.party, old.card().addresses(), now)?)
    }

    /// Keeps the keys and changes the addresses.
    pub fn move_to(&self, addresses: &[Address]) -> Result<Identity> {
        let _turn = self.turn()?;
        self.store(self.identity()?.at(addresses)?)
    }

    /// The party's own card. The file at [`SiteFolder::card_path`] is written anew if it is not this card, because a command was
    /// killed between its two files.
    pub fn card(&self) -> Result<Card> {
        let _turn = self.turn()?;
        let card = self.identity()?.card().clone();
        let (path, text) = (self.card_path(), card.to_string());
        match private::read(&path, MAX_CARD_BYTES)? {
            Some(there) if *there == text.as_bytes() => {}
            _ => private::write(&path, text.as_bytes())?,
        }
        Ok(card)
    }

    /// Takes the party's place among its partners for as long as the result lives. `Unavailable` if another process has it: partners would
    /// take the second one for the first that has started again, and end what it was doing.
    pub fn attend(&self) -> Result<Attendance> {
        self.identity()?;
        let held = Attendance::take(&self.folder.join("attending"))?;
        held.ok_or_else(|| {
            let text = format!(
                "another process of party {} speaks with its partners now, an agent or a job; wait for it, or stop it",
                self.party
            );
            Error::new(ErrorKind::Unavailable, text)
        })
    }

    /// Whether a process has the party's place among its partners. It goes on with the keys and cards that it read when it began.
    pub fn is_attended(&self) -> Result<bool> {
        Ok(Attendance::take(&self.folder.join("attending"))?.is_none())
    }

    /// All trusted partners, in order of their ids.
    pub fn partners(&self) -> Result<Vec<Card>> {
        let folder = self.partners_path();
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.at(|| format!("list {}", folder.display()))?,
        };
        let mut cards = Vec::new();
        for entry in entries {
            let path = entry.at(|| format!("list {}", folder.display()))?.path();
            if path.extension().is_none_or(|end| end != CARD) {
                continue;
            }
            // A partner that is revoked at this moment is no partner.
            if let Some(card) = read_card(&path)? {
                self.check_name(&path, &card)?;
                cards.push(card);
            }
        }
        cards.sort_by(|a, b| a.party().cmp(b.party()));
        Ok(cards)
    }

    /// The trusted card of a partner. `Denied` if there is none, with what to do.
    pub fn partner(&self, id: &PartyId) -> Result<Card> {
        let path = self.partner_path(id);
        let Some(card) = read_card(&path)? else {
            let party = &self.party;
            let text = format!(
                "party {party} trusts no card of party {id}; ask its operator for it, compare fingerprints by telephone, and run \
                 `tributary site trust {id}.card --party {party}`"
            );
            return Err(Error::new(ErrorKind::Denied, text));
        };
        self.check_name(&path, &card)?;
        Ok(card)
    }

    /// How a card stands to what is trusted already. `InvalidInput` for the party's own card, and for one whose key is that of
    /// another partner: each site makes a key of its own.
    pub fn standing(&self, card: &Card) -> Result<Standing> {
        if card.party() == &self.party {
            let text = format!(
                "this is a card of party {} itself; its partners need it, and it needs theirs",
                self.party
            );
            return Err(Error::invalid(text));
        }
        let identity = self.identity()?;
        let own = identity.card();
        let trusted = self.partners()?;
        let known = trusted.iter().filter(|known| known.party() != card.party());
        if let Some(other) = known.chain([own]).find(|other| other.key() == card.key()) {
            let text = format!(
                "the card of party {} has the key of party {}; each site makes a key of its own, with `tributary site init`",
                card.party(),
                other.party()
            );
            return Err(Error::invalid(text));
        }
        Ok(match trusted.into_iter().find(|known| known.party() == card.party()) {
            None => Standing::New,
            Some(known) if known == *card => Standing::Same,
            Some(known) if known.has_keys_of(card) => Standing::Moved(known),
            Some(known) => Standing::OtherKeys(known),
        })
    }

    /// Trusts a card, and says how it stood before. `AlreadyExists` with both fingerprints if another key of the partner is
    /// trusted and is to stay.
    pub fn trust(&self, card: &Card, existing: Existing) -> Result<Standing> {
        let _turn = self.turn()?;
        let standing = self.standing(card)?;
        match &standing {
            Standing::Same => return Ok(standing),
            Standing::OtherKeys(known) if existing == Existing::Keep => {
                return Err(Error::new(ErrorKind::AlreadyExists, changed(known, card)));
            }
            Standing::New | Standing::Moved(_) | Standing::OtherKeys(_) => {}
        }
        private::write(&self.partner_path(card.party()), card.to_string().as_bytes())?;
        Ok(standing)
    }

    /// Ends the trust in a partner. `NotFound` suggests the nearest. A damaged card is removed as well.
    pub fn revoke(&self, id: &PartyId) -> Result<()> {
        let _turn = self.turn()?;
        if private::remove(&self.partner_path(id))? {
            return Ok(());
        }
        let known = self.partners()?;
        let near = nearest(id.as_str(), known.iter().map(|card| card.party().as_str()));
        let help =
            near.map_or("see `tributary site list`".to_owned(), |near| format!("did you mean {near}?"));
        let text = format!("party {} trusts no card of party {id}; {help}", self.party);
        Err(Error::new(ErrorKind::NotFound, text))
    }

    /// A turn to change what is there already: a request for a mistyped party makes no folder.
    fn turn(&self) -> Result<Turn> {
        if !self.folder.is_dir() {
            self.identity()?;
        }
        Turn::take(&self.folder)
    }

    /// Under a turn.
    fn store(&self, identity: Identity) -> Result<Identity> {
        private::write(&self.keys_path(), identity.to_text().as_bytes())?;
        private::write(&self.card_path(), identity.card().to_string().as_bytes())?;
        Ok(identity)
    }

    fn keys_path(&self) -> PathBuf {
        self.folder.join("keys")
    }

    fn partners_path(&self) -> PathBuf {
        self.folder.join("partners")
    }

    fn partner_path(&self, id: &PartyId) -> PathBuf {
        self.partners_path().join(format!("{id}.{CARD}"))
    }

    /// A home that was copied for another party would speak with its keys.
    fn check(&self, path: &Path, found: &PartyId) -> Result<()> {
        if *found == self.party {
            return Ok(());
        }
        let text = format!(
            "{} holds the keys of party {found}, not of party {}; move it back, or make keys with `tributary site init --force`",
            path.display(),
            self.party
        );
        Err(Error::new(ErrorKind::Corrupt, text))
    }

    fn check_name(&self, path: &Path, card: &Card) -> Result<()> {
        if *path == self.partner_path(card.party()) {
            return Ok(());
        }
        let text = format!(
            "{} holds the card of party {}; remove it, and use `tributary site trust`",
            path.display(),
            card.party()
        );
        Err(Error::new(ErrorKind::Corrupt, text))
    }
}

fn read_card(path: &Path) -> Result<Option<Card>> {
    let bytes = private::read(path, MAX_CARD_BYTES)?;
    bytes.map(|bytes| Card::parse(&path.display().to_string(), &bytes)).transpose()
}

fn changed(known: &Card, card: &Card) -> String {
    format!(
        "another key of party {} is trusted. Trusted is {}, this card is {}. Ask its operator by telephone whether they made new keys \
         (`tributary site rotate`); if so, trust this card with --replace. If not, somebody else made it",
        card.party(),
        known.fingerprint(),
        card.fingerprint()
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_795_348_800);

    fn id(text: &str) -> PartyId {
        text.parse().unwrap()
    }

    /// Folders of two parties with keys.
    fn sites() -> (tempfile::TempDir, SiteFolder, SiteFolder) {
        let home = tempfile::tempdir().unwrap();
        let [bank, shop] = ["9999", "10000"].map(|party| {
            let site = SiteFolder::of(&home.path().join("parties").join(party), &id(party));
            site.create(&["host:1".parse().unwrap()], NOW, Existing::Keep).unwrap();
            site
        });
        (home, bank, shop)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn keys_are_made_once_and_private() {
        let (_home, bank, shop) = sites();
        let made = bank.identity().unwrap();
        let error = bank.create(&[], NOW, Existing::Keep).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(bank.identity().unwrap().card(), made.card(), "they are left");

        bank.trust(shop.identity().unwrap().card(), Existing::Keep).unwrap();
        for folder in [&bank.folder, &bank.partners_path(), &bank.folder.parent().unwrap().to_owned()] {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
        let files =
            [bank.keys_path(), bank.card_path(), bank.partner_path(&id("10000")), bank.folder.join("lock")];
        files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{}", file.display()));

        fs::set_permissions(bank.keys_path(), fs::Permissions::from_mode(0o640)).unwrap();
        let error = bank.identity().unwrap_err();
        assert!(error.kind() == ErrorKind::Denied && error.to_string().contains("mode 640"), "{error}");
    }

    #[test]
    fn a_site_without_keys_says_how_to_make_them() {
        let home = tempfile::tempdir().unwrap();
        let site = SiteFolder::of(home.path(), &id("9999"));
        let errors = [site.identity().unwrap_err(), site.rotate(NOW).unwrap_err(), site.card().unwrap_err()];
        for error in errors.into_iter().chain([site.revoke(&id("1")).unwrap_err()]) {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.to_string().contains("tributary site init --party 9999"), "{error}");
        }
        assert!(site.partners().unwrap().is_empty());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "nothing is made");
    }

    #[test]
    fn new_keys_share_nothing_with_the_old_ones() {
        let (_home, bank, _) = sites();
        let old = bank.identity().unwrap();
        let new = bank.rotate(NOW).unwrap();
        assert_ne!(new.secret_key().reveal(), old.secret_key().reveal());
        assert_ne!(new.private_key(), old.private_key());
        assert_ne!(new.card().certificate(), old.card().certificate());
        assert_eq!(new.card().addresses(), old.card().addresses());
        assert_eq!(bank.identity().unwrap().card(), new.card());
        let written = fs::read(bank.card_path()).unwrap();
        assert_eq!(Card::parse("card", &written).unwrap(), *new.card());
        let hex = data_encoding::HEXLOWER.encode(old.secret_key().reveal());
        for entry in fs::read_dir(&bank.folder).unwrap() {
            let path = entry.unwrap().path();
            assert!(!fs::read_to_string(&path).unwrap_or_default().contains(&hex), "{}", path.display());
        }
    }

    #[test]
    fn one_process_speaks_with_partners_at_a_time() {
        let (_home, bank, shop) = sites();
        let held = bank.attend().unwrap();
        let error = bank.attend().unwrap_err();
        assert!(
            error.kind() == ErrorKind::Unavailable && error.to_string().contains("party 9999"),
            "{error}"
        );
        shop.attend().unwrap();
        drop(held);
        bank.attend().unwrap();
    }

    #[test]
    fn a_card_of_older_keys_is_written_anew() {
        let (_home, bank, _) = sites();
        let old = fs::read(bank.card_path()).unwrap();
        let new = bank.rotate(NOW).unwrap();
        fs::write(bank.card_path(), &old).unwrap();
        assert_eq!(bank.card().unwrap(), *new.card());
        assert_eq!(fs::read_to_string(bank.card_path()).unwrap(), new.card().to_string());
    }

    #[test]
    fn an_unknown_key_is_added_and_a_changed_one_refused_with_both_fingerprints() {
        let (_home, bank, shop) = sites();
        let old = shop.identity().unwrap().card().clone();
        assert_eq!(bank.partner(&id("10000")).unwrap_err().kind(), ErrorKind::Denied);
        assert_eq!(bank.trust(&old, Existing::Keep).unwrap(), Standing::New);
        assert_eq!(bank.trust(&old, Existing::Keep).unwrap(), Standing::Same);

        let moved = shop.move_to(&["elsewhere:2".parse().unwrap()]).unwrap().card().clone();
        assert_eq!(bank.trust(&moved, Existing::Keep).unwrap(), Standing::Moved(old));

        let new = shop.rotate(NOW).unwrap().card().clone();
        let error = bank.trust(&new, Existing::Keep).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        for fingerprint in [moved.fingerprint(), new.fingerprint()] {
            assert!(error.to_string().contains(&fingerprint.to_string()), "{error}");
        }
        assert_eq!(bank.partner(&id("10000")).unwrap(), moved, "the refused card changed nothing");
        assert_eq!(bank.trust(&new, Existing::Replace).unwrap(), Standing::OtherKeys(moved));
        assert_eq!(bank.partners().unwrap(), [new]);
    }

    #[test]
    fn a_site_does_not_trust_itself_nor_two_partners_with_one_key() {
        let (home, bank, shop) = sites();
        let own = bank.identity().unwrap();
        let error = bank.trust(own.card(), Existing::Replace).unwrap_err();
        assert!(error.to_string().contains("of party 9999 itself"), "{error}");

        let third = SiteFolder::of(&home.path().join("third"), &id("1"));
        let third = third.create(&[], NOW, Existing::Keep).unwrap();
        let shop = shop.identity().unwrap().card().clone();
        bank.trust(&shop, Existing::Keep).unwrap();
        for key in [own.card().key(), shop.key()] {
            let stolen = Card::new(id("1"), Vec::new(), *key, third.card().certificate().clone()).unwrap();
            let error = bank.trust(&stolen, Existing::Replace).unwrap_err();
            assert!(error.to_string().contains("has the key of party"), "{error}");
        }
    }

    #[test]
    fn a_revoked_partner_is_unknown_and_may_come_back() {
        let (_home, bank, shop) = sites();
        let card = shop.identity().unwrap().card().clone();
        bank.trust(&card, Existing::Keep).unwrap();
        let error = bank.revoke(&id("1000")).unwrap_err();
        assert!(error.to_string().contains("did you mean 10000?"), "{error}");
        bank.revoke(&id("10000")).unwrap();
        assert!(bank.partners().unwrap().is_empty());
        assert_eq!(bank.revoke(&id("10000")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(bank.trust(&card, Existing::Keep).unwrap(), Standing::New);
    }

    #[test]
    fn files_under_another_name_and_damaged_ones_are_refused_and_named() {
        let (_home, bank, shop) = sites();
        let card = shop.identity().unwrap().card().clone();
        bank.trust(&card, Existing::Keep).unwrap();
        fs::write(bank.partners_path().join("10000.card.new"), "a killed writer's").unwrap();
        assert_eq!(bank.partners().unwrap().len(), 1);
        fs::copy(bank.partner_path(&id("10000")), bank.partner_path(&id("1"))).unwrap();
        assert!(bank.partner(&id("1")).unwrap_err().to_string().contains("holds the card of party 10000"));
        fs::write(bank.partner_path(&id("1")), "no card").unwrap();
        assert!(bank.partners().unwrap_err().to_string().contains("1.card:1: expected"));
        bank.revoke(&id("1")).unwrap();
        fs::copy(shop.keys_path(), bank.keys_path()).unwrap();
        assert!(bank.identity().unwrap_err().to_string().contains("holds the keys of party 10000"));
        bank.create(&[], NOW, Existing::Replace).unwrap();
        assert_eq!(bank.identity().unwrap().party(), &id("9999"));
    }
}
