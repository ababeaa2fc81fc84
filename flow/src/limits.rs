//! Whether a job asks any party to release more than its own limits allow, as far as parameters show that: before anything
//! runs, everything at once, each with its place in the file.

use std::collections::BTreeMap;

use tributary_component::release::refused;
use tributary_core::{Error, ErrorKind, PartyId, Result, Site};
use tributary_document::Collector;

use crate::place::site;
use crate::spec::JobSpec;

/// Compares what a job asks with the limits of every party. `Denied` because of [`Problems`](tributary_document::Problems) that
/// name file, line, column, party, limit and value.
pub(crate) fn check(spec: &JobSpec, sites: &BTreeMap<PartyId, Site>) -> Result<()> {
    let report = Collector::new(&spec.needs.file);
    for asking in &spec.needs.asks {
        let site = site(sites, &asking.party.id)?;
        if let Some(refusal) = refused(&site.limits, &asking.party, &asking.ask) {
            report.add(asking.at, &asking.path, refusal.message, Some(refusal.help));
        }
    }
    report.finish(Some(())).map_err(|problems| {
        let message = match problems.list().len() {
            1 => "the job asks a party to release more than its limits allow".to_string(),
            count => format!("the job asks parties {count} times to release more than their limits allow"),
        };
        Error::new(ErrorKind::Denied, message).because(problems)
    })
}
