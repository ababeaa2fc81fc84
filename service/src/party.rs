//! The party whose tables and jobs a request is about.

use tributary_core::{Error, ErrorKind, PartyId, Result};
use tributary_runtime::Home;

/// The given party, or this site's own.
pub fn party(home: &Home, given: Option<&str>) -> Result<PartyId> {
    match given {
        Some(id) => PartyId::new(id),
        None => home.settings()?.party_id(),
    }
}

/// Like [`party`], but the party must already have tables or jobs: a request for a mistyped party must not create it.
pub fn known_party(home: &Home, given: Option<&str>) -> Result<PartyId> {
    let id = party(home, given)?;
    if home.party(&id).is_dir() {
        return Ok(id);
    }
    Err(Error::new(
        ErrorKind::NotFound,
        format!("no party {id} in {}; upload a table for it first", home.folder().display()),
    ))
}
