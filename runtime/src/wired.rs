//! What all transports between sites share: a site's keys and trusted partners, and the wire over whatever queue the transport has.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tributary_core::federation::{Federation, FederationSpec, Network, Post};
use tributary_core::{PartyId, Result, ResultExt};
use tributary_trust::{Attendance, SiteFolder, Trust};
use tributary_wire::{KeyRing, Options, Queue, Wire};

use crate::choice::{Joining, Networks};
use crate::engines::FEDERATION;

/// The networks of all parties in this process: `queue` makes the transport of one, and the keys of those that it meets.
pub(crate) fn networks(
    parties: &BTreeMap<PartyId, Joining<'_>>,
    home: &Path,
    queue: impl Fn(&PartyId, &Joining<'_>, &Trust) -> Result<(Arc<dyn Queue>, KeyRing)>,
) -> Result<Networks> {
    let network = |(party, joining): (&PartyId, &Joining<'_>)| -> Result<Arc<dyn Network>> {
        let folder = SiteFolder::of(joining.folder, party);
        let (attendance, trust) = (folder.attend()?, Trust::read(&folder)?);
        let options = options(joining, home)?;
        let (queue, keys) = queue(party, joining, &trust)?;
        let wire = Wire::new(queue, keys, options)?;
        Ok(Arc::new(Attending { wire, _attendance: attendance }))
    };
    let named = |(party, joining)| {
        Ok((PartyId::clone(party), network((party, joining)).at(|| format!("party {party}"))?))
    };
    parties.iter().map(named).collect()
}

fn options(joining: &Joining<'_>, home: &Path) -> Result<Options> {
    let options = Options::from_sections(joining.settings.section(FEDERATION)?, joining.section, home)?;
    if let Some(folder) = &options.folder {
        fs::create_dir_all(folder).at(|| format!("create {}", folder.display()))?;
    }
    Ok(options)
}

/// A site's own key, and those of the trusted partners that take part in jobs.
pub(crate) fn keys(trust: &Trust, takes_part: impl Fn(&PartyId) -> bool) -> Result<KeyRing> {
    let own = trust.identity();
    let ring = KeyRing::new(own.secret_key().clone()).with(own.party().clone(), *own.card().key())?;
    let mut partners = trust.partners().filter(|card| takes_part(card.party()));
    partners.try_fold(ring, |ring, card| ring.with(card.party().clone(), *card.key()))
}

/// Says to the operator, on standard error, what a transport has to say while work goes on.
#[cfg(feature = "rabbitmq")]
pub(crate) fn notice(text: &str) {
    eprintln!("note: {text}");
}

/// The network of the only process of its site.
#[derive(Debug)]
struct Attending {
    wire: Wire,
    _attendance: Attendance,
}

#[async_trait]
impl Network for Attending {
    fn name(&self) -> &'static str {
        self.wire.name()
    }

    async fn join(&self, spec: FederationSpec) -> Result<Arc<dyn Federation>> {
        self.wire.join(spec).await
    }

    async fn post(&self, own: &PartyId) -> Result<Arc<dyn Post>> {
        self.wire.post(own).await
    }
}
