//! A site on its RabbitMQ broker.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tributary_core::federation::Broker;
use tributary_core::{PartyId, Result};
use tributary_rabbitmq::config::Notices;
use tributary_rabbitmq::{Config, Inspector, Rabbit};

use crate::choice::{Joining, Networks};
use crate::wired;

/// The networks of all parties in this process, each with connections of its own.
pub(crate) fn networks(parties: &BTreeMap<PartyId, Joining<'_>>, home: &Path) -> Result<Networks> {
    wired::networks(parties, home, |party, joining, trust| {
        let queue = Rabbit::new(config(party, joining, home)?)?;
        Ok((Arc::new(queue), wired::keys(trust, |_| true)?))
    })
}

/// The broker of a party, for its operator.
pub(crate) fn broker(party: &PartyId, joining: &Joining<'_>, home: &Path) -> Result<Arc<dyn Broker>> {
    Ok(Arc::new(Inspector::new(config(party, joining, home)?)?))
}

fn config(party: &PartyId, joining: &Joining<'_>, home: &Path) -> Result<Config> {
    Config::from_section(party, joining.section, home, Notices::to(wired::notice))
}
