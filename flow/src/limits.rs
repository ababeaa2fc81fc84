//! Whether a job asks a site to release more than its own limits allow, as far as parameters show that: before anything
//! runs, everything at once, each with its place in the file.

use std::collections::BTreeSet;

use tributary_component::Ask;
use tributary_component::release::refused;
use tributary_core::{ErrorKind, Result, Site};
use tributary_document::Problem;

use crate::agent::Objection;
use crate::spec::{ArtifactRef, Asking, JobSpec};

/// Compares what a job asks of a site with its limits: objections that name place, party, limit and value.
pub(crate) async fn compare(spec: &JobSpec, site: &Site) -> Result<Vec<Objection>> {
    let mut objections = Vec::new();
    for asking in spec.needs.asks.iter().filter(|asking| asking.party.id == site.id) {
        let ask = own(spec, site, asking).await?;
        if let Some(refusal) = refused(&site.limits, &asking.party, &ask) {
            let (file, help) = (&spec.needs.file, Some(refusal.help));
            let problem = Problem::new(file, asking.at, &asking.path, refusal.message, help);
            objections.push(Objection { kind: ErrorKind::Denied, problem });
        }
    }
    Ok(objections)
}

/// What is asked of this party. Columns may be named once for all parties: its own are those of the tables that the job takes from
/// it. The task finds the others, such as columns with anonymous names.
async fn own(spec: &JobSpec, site: &Site, asking: &Asking) -> Result<Ask> {
    let Ask::Cuts(named) = &asking.ask else { return Ok(asking.ask.clone()) };
    let mut known = BTreeSet::new();
    for need in spec.needs.list.iter().filter(|need| need.party == asking.party) {
        let ArtifactRef::Table(table) = &need.source else { continue };
        if let Some((_, record)) = site.meta.get(table).await? {
            known.extend(record.schema.fields().iter().map(|field| field.name.clone()));
        }
    }
    Ok(Ask::Cuts(named.iter().filter(|name| known.contains(*name)).cloned().collect()))
}
