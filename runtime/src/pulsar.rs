//! A site's queue at its Pulsar cluster: all partners whose cards it trusts are met there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tributary_core::federation::Broker;
use tributary_core::{PartyId, Result};
use tributary_pulsar::{Config, Operator, Pulsar};

use crate::choice::{Joining, Networks};
use crate::wired;

pub(crate) fn networks(parties: &BTreeMap<PartyId, Joining<'_>>, home: &Path) -> Result<Networks> {
    wired::networks(parties, home, |party, joining, trust| {
        let queue = Pulsar::new(party.clone(), Config::from_section(joining.section, home)?)?;
        Ok((Arc::new(queue), wired::keys(trust, |_| true)?))
    })
}

pub(crate) fn broker(party: &PartyId, joining: &Joining<'_>, home: &Path) -> Result<Arc<dyn Broker>> {
    Ok(Arc::new(Operator::new(party.clone(), Config::from_section(joining.section, home)?)?))
}
