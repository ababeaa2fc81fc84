//! Whose tables and jobs are meant.

use tributary_core::{Error, ErrorKind, PartyId, Result};
use tributary_runtime::Home;

/// The party meant: the one given, or this site's own.
pub fn party(home: &Home, given: Option<&str>) -> Result<PartyId> {
    match given {
        Some(id) => PartyId::new(id),
        None => home.settings()?.party_id(),
    }
}

/// As [`party`], which must have tables or jobs already: looking at a mistyped one must not make it.
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
