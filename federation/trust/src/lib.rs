//! Who a site is, and whom it knows: its keys, the card that it gives to others, and the cards of others that its operator
//! trusts.
//!
//! Nothing is trusted on first use. Two operators exchange cards in any way (mail will do), read each other the fingerprints by
//! telephone, and each tells its own site to trust the other's card. From then on a site knows its partner by two pinned keys:
//! the X25519 key that the [wire](tributary_wire) seals frames with, and the certificate that the line between them shows. There
//! is no authority that could be asked, or fooled, in between.
//!
//! [`SiteFolder`] is what is on disk, [`Card`] the text that travels, [`Trust`] what a running process needs of both. Whether a
//! certificate has expired is not asked here but by the line that it protects, at the time of each connection.
//!
//! ```
//! use std::time::Duration;
//! use tributary_trust::{Card, Existing, SiteFolder, Trust};
//! # fn main() -> tributary_core::Result<()> {
//! # let home = tempfile::tempdir().unwrap();
//! let now = Duration::from_secs(1_795_348_800);
//! let bank = SiteFolder::of(&home.path().join("9999"), &"9999".parse()?);
//! let shop = SiteFolder::of(&home.path().join("10000"), &"10000".parse()?);
//! bank.create(&["bank.example:9370".parse()?], now, Existing::Keep)?;
//! let text = shop.create(&[], now, Existing::Keep)?.card().to_string();
//!
//! let card = Card::parse("10000.card", text.as_bytes())?;
//! println!("read this to the operator of {}: {}", card.party(), card.fingerprint());
//! bank.trust(&card, Existing::Keep)?;
//!
//! let trust = Trust::read(&bank)?;
//! assert_eq!(trust.ring()?.of(card.party())?, card.key());
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod address;
mod card;
mod certificate;
mod fingerprint;
mod folder;
mod identity;
mod lines;
mod private;
mod trust;

pub use address::Address;
pub use card::{Card, MAX_ADDRESSES, MAX_CARD_BYTES};
pub use certificate::{Certificate, TLS_NAME};
pub use fingerprint::Fingerprint;
pub use folder::{Existing, SiteFolder, Standing};
pub use identity::Identity;
pub use private::Attendance;
pub use trust::Trust;
