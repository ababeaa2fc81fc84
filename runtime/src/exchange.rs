//! An exchange: the keys of a party of its own, the sites whose cards that party trusts, and the section `exchange`.

use std::collections::{BTreeMap, BTreeSet};

use tributary_core::settings::Section;
use tributary_core::{PartyId, Result, ResultExt};
use tributary_direct::config::Options;
use tributary_direct::exchange::Config;
use tributary_direct::{Exchange, Fingerprint, Identity, Place, listen};
use tributary_trust::{SiteFolder, Trust};

use crate::engines::EXCHANGE;
use crate::home::Home;

impl Home {
    /// Begins to serve as the exchange of this id, and returns where it listens. Must be called within a tokio runtime. `NotFound` says how
    /// to make its keys.
    pub fn exchange(&self, party: &PartyId) -> Result<(Exchange, String)> {
        let settings = self.party_settings(party)?;
        let section = settings.section(EXCHANGE)?;
        let folder = self.party(party);
        let trust = Trust::read(&SiteFolder::of(&folder, party))?;
        let (host, port): (&str, u64) = (section.get("host")?, section.get("port")?);
        let listener = listen(host, u16::try_from(port).unwrap_or_default()).at(|| section.place("port"))?;
        let own = trust.identity();
        let identity =
            Identity::new(own.card().certificate().der().to_vec(), own.private_key().to_vec().into());
        let routes = routes(section)?;
        let sites = trust.partners().map(|card| {
            let address = routes.get(card.party()).and_then(|route| route.address.clone());
            let certificate = Some(Fingerprint::of(card.certificate().der()));
            (card.party().clone(), Place { address, certificate })
        });
        let default = section.find::<&str>("default")?.map(PartyId::new).transpose();
        let config = Config {
            own: party.clone(),
            keys: trust.ring()?,
            identity: Some(identity),
            listener: Some(listener),
            sites: sites.collect(),
            exchanges: routes
                .iter()
                .filter(|(_, route)| route.is_exchange)
                .map(|(id, _)| id.clone())
                .collect(),
            default: default.at(|| section.place("default"))?,
            folder: Some(folder.join(section.get::<&std::path::Path>("folder")?)),
            held_bytes: section.get("held")?,
            options: Options::default(),
        };
        Ok((Exchange::start(with_default(config))?, format!("{host}:{port}")))
    }
}

struct Route {
    address: Option<String>,
    is_exchange: bool,
}

fn routes(section: &Section) -> Result<BTreeMap<PartyId, Route>> {
    let route = |(name, entry): (&str, &Section)| {
        let address = entry.find::<&str>("address")?.map(str::to_owned);
        Ok((
            PartyId::new(name).at(|| section.place("routes"))?,
            Route { address, is_exchange: entry.get("exchange")? },
        ))
    };
    section.entries("routes")?.map(route).collect()
}

/// The default is an exchange, whatever its route says.
fn with_default(mut config: Config) -> Config {
    let default: BTreeSet<PartyId> = config.default.iter().cloned().collect();
    config.exchanges.extend(default);
    config
}
