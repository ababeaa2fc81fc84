//! `site audit`.

use tributary_core::{PartyId, Result};
use tributary_runtime::Home;
use tributary_service::site::{Consent, Entry, Line, Outcome};

use crate::render;

/// Offers in the order of the log. Damaged lines are notes, so that JSON stays JSON.
pub(super) fn run(home: &Home, party: &PartyId, partner: Option<&str>, json: bool) -> Result<()> {
    let partner = partner.map(PartyId::new).transpose()?;
    let (log, mut rows) = (home.audit(party), Vec::new());
    for line in log.read()? {
        let entry = match line? {
            Line::Entry(entry) => entry,
            Line::Damaged(number) => {
                render::note(format!("note: line {number} of {} is damaged", log.path().display()));
                continue;
            }
        };
        if partner.as_ref().is_some_and(|partner| *partner != entry.partner) {
            continue;
        }
        match json {
            true => render::json_line(&entry)?,
            false => rows.push(row(&entry)),
        }
    }
    match (json, rows.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => render::line(format!("party {party} got no offer of a job yet")),
        (false, false) => render::table(&["time", "partner", "job", "outcome", "by", "reasons"], &rows),
    }
}

fn row(entry: &Entry) -> Vec<String> {
    let outcome = match entry.outcome {
        Outcome::Accepted => "accepted",
        Outcome::Refused => "refused",
    };
    let by = match entry.by {
        None => String::new(),
        Some(Consent::Operator) => "operator".into(),
        Some(Consent::Grant(number)) => format!("grant {number}"),
    };
    let (partner, job) = (entry.partner.to_string(), entry.job.to_string());
    vec![entry.time.clone(), partner, job, outcome.into(), by, entry.reasons.join("; ")]
}
