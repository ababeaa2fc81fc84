//! Whether a job asks a site to release more than its own limits allow, as far as parameters show that: before anything
//! runs, everything at once, each with its place in the file.

use tributary_component::release::refused;
use tributary_core::{ErrorKind, Site};
use tributary_document::Problem;

use crate::agent::Objection;
use crate::spec::JobSpec;

/// Compares what a job asks of a site with its limits: objections that name place, party, limit and value.
pub(crate) fn compare(spec: &JobSpec, site: &Site) -> Vec<Objection> {
    let of_site = spec.needs.asks.iter().filter(|asking| asking.party.id == site.id);
    let refused = of_site.filter_map(|asking| {
        let refusal = refused(&site.limits, &asking.party, &asking.ask)?;
        let (file, help) = (&spec.needs.file, Some(refusal.help));
        let problem = Problem::new(file, asking.at, &asking.path, refusal.message, help);
        Some(Objection { kind: ErrorKind::Denied, problem })
    });
    refused.collect()
}
