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

/// Like [`party`], but the party must already have tables or jobs: a request for a mistyped party must not create it. `NotFound`
/// names those that are known.
pub fn known_party(home: &Home, given: Option<&str>) -> Result<PartyId> {
    let id = party(home, given)?;
    if home.party(&id).is_dir() {
        return Ok(id);
    }
    let known: Vec<String> = home.parties()?.iter().map(PartyId::to_string).collect();
    let help = match &known[..] {
        [] => "none is known; upload a table for it first".to_owned(),
        known => format!("known: {}; upload a table for it first", known.join(", ")),
    };
    Err(Error::new(ErrorKind::NotFound, format!("no party {id} in {} ({help})", home.folder().display())))
}

/// Like [`known_party`], for what this site's own party may ask before it has anything: its limits, settings and jobs.
pub fn own_or_known_party(home: &Home, given: Option<&str>) -> Result<PartyId> {
    match given {
        Some(id) if PartyId::new(id)? != party(home, None)? => known_party(home, given),
        _ => party(home, None),
    }
}
