//! A site's node on direct lines: its keys, the partners whose cards it trusts, and where its configuration says they are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tributary_core::settings::Section;
use tributary_core::{PartyId, Result, ResultExt};
use tributary_direct::config::{Options as Times, Place};
use tributary_direct::{Config, Fingerprint, Identity, Node, listen};
use tributary_trust::{Card, Trust};
use tributary_wire::KeyRing;

use crate::choice::{Joining, Networks};
use crate::routes::RouteTable;
use crate::wired;

/// The networks of all parties in this process, each with a node of its own.
pub(crate) fn networks(parties: &BTreeMap<PartyId, Joining<'_>>, home: &Path) -> Result<Networks> {
    wired::networks(parties, home, |party, joining, trust| {
        let node = Node::start(config(party, joining.section, home, trust)?)?;
        Ok((Arc::new(node), partners(joining.section, trust)?))
    })
}

/// The keys of those that take part in jobs: an exchange only relays.
fn partners(section: &Section, trust: &Trust) -> Result<KeyRing> {
    let exchange: &str = section.get("exchange_id")?;
    wired::keys(trust, |partner| partner.as_str() != exchange)
}

fn config(party: &PartyId, section: &Section, home: &Path, trust: &Trust) -> Result<Config> {
    let exchange_id: &str = section.get("exchange_id")?;
    let exchange_id = PartyId::new(exchange_id).at(|| section.place("exchange_id"))?;
    let own = trust.identity();
    let identity = Identity::new(own.card().certificate().der().to_vec(), own.private_key().to_vec().into());
    let tls: bool = section.get("tls")?;
    let listens: bool = section.get("listen")?;
    let listener = match listens {
        true => {
            let (host, port): (&str, u64) = (section.get("host")?, section.get("port")?);
            let port = u16::try_from(port).unwrap_or_default();
            Some(listen(host, port).at(|| section.place("port"))?)
        }
        false => None,
    };
    let routes = Routes::of(section, home)?;
    let mut peers = BTreeMap::new();
    for card in trust.partners().filter(|card| *card.party() != exchange_id) {
        peers.insert(card.party().clone(), place(card, routes.address(card.party())));
    }
    let exchange = match routes.exchange() {
        Some((address, said)) => {
            let card = trust.partner(&exchange_id).at(|| said)?;
            Some((exchange_id, place(card, Some(address))))
        }
        None => None,
    };
    Ok(Config {
        own: party.clone(),
        keys: trust.ring()?,
        identity: tls.then_some(identity),
        listener,
        peers,
        exchange,
        options: Times::default().with_away(section.get("away")?),
    })
}

/// Where a site's configuration says that a partner is; empty if it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    /// The address that is called instead of those on the partner's card.
    pub address: Option<String>,
    /// The exchange over which partners without an address are reached.
    pub exchange: Option<String>,
    /// Whether a broker is between both, so that neither calls the other.
    pub by_broker: bool,
}

/// What the section of this transport says about a partner.
pub(crate) fn way(section: &Section, home: &Path, party: &PartyId) -> Result<Way> {
    let routes = Routes::of(section, home)?;
    let exchange = routes.exchange().map(|(address, _)| address);
    Ok(Way { address: routes.address(party), exchange, by_broker: false })
}

/// Where this site's configuration says that others are. It counts more than their cards.
struct Routes<'a> {
    section: &'a Section,
    peers: BTreeMap<String, Option<String>>,
    table: RouteTable,
}

impl<'a> Routes<'a> {
    fn of(section: &'a Section, home: &Path) -> Result<Self> {
        let table = match section.find::<&Path>("route_table")? {
            Some(path) => RouteTable::read(&home.join(path)).at(|| section.place("route_table"))?,
            None => RouteTable::default(),
        };
        let address = |(name, entry): (&str, &Section)| {
            Ok((name.to_owned(), entry.find::<&str>("address")?.map(str::to_owned)))
        };
        let peers = section.entries("peers")?.map(address).collect::<Result<_>>()?;
        Ok(Self { section, peers, table })
    }

    /// The address of a site.
    fn address(&self, party: &PartyId) -> Option<String> {
        match self.peers.get(party.as_str()) {
            Some(address) => address.clone(),
            None => self.table.addresses.get(party).cloned(),
        }
    }

    /// The address of the exchange, and what says so.
    fn exchange(&self) -> Option<(String, String)> {
        match self.section.find::<&str>("exchange").ok().flatten() {
            Some(address) => Some((address.to_owned(), self.section.place("exchange").to_string())),
            None => self
                .table
                .default
                .clone()
                .map(|address| (address, format!("{}: default", self.section.place("route_table")))),
        }
    }
}

fn place(card: &Card, configured: Option<String>) -> Place {
    let of_card = || card.addresses().first().map(|address| address.to_string());
    let certificate = Some(Fingerprint::of(card.certificate().der()));
    Place { address: configured.or_else(of_card), certificate }
}
