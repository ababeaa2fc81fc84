//! FATE's route table: where its proxies look for other sites.
//!
//! Only addresses are taken from it. What it says about services behind a proxy, about permissions and about encryption means
//! nothing here: there is one port, and keys say who may use it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tributary_core::{Error, PartyId, Result, ResultExt};
use tributary_document::{Collector, Item, Limits, parse};

/// Longest file.
const MOST_BYTES: u64 = 16 << 20;
/// The entry for all sites without one of their own, and within each site's the one for all services.
const DEFAULT: &str = "default";

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RouteTable {
    /// Host and port by site.
    pub addresses: BTreeMap<PartyId, String>,
    /// Where everything else goes.
    pub default: Option<String>,
}

impl RouteTable {
    /// Reads a file. `InvalidInput` lists everything that is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        if fs::metadata(path).at(|| format!("read {name}"))?.len() > MOST_BYTES {
            return Err(Error::invalid(format!(
                "{name} is longer than {MOST_BYTES} bytes; is it a route table?"
            )));
        }
        Self::parse(&name, &fs::read(path).at(|| format!("read {name}"))?)
    }

    fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        let report = Collector::new(file);
        let table = parse(bytes, &Limits::default(), &report).map(|node| {
            let root = Item::root(&node, &report);
            let mut table = Self::default();
            match root.entries().into_iter().find(|(name, _)| *name == "route_table") {
                Some((_, sites)) => sites.entries().iter().for_each(|(name, site)| table.add(name, site)),
                None => root.problem("expected the key route_table with an entry for each site, got none"),
            }
            table
        });
        report.finish(table).map_err(|problems| Error::invalid(problems.to_string()))
    }

    fn add(&mut self, name: &str, site: &Item<'_>) {
        let Some((_, services)) = site.entries().into_iter().find(|(service, _)| *service == DEFAULT) else {
            return; // this site's own entry names services behind its proxy
        };
        let Some(address) = services.list().first().and_then(address) else { return };
        match PartyId::new(name) {
            _ if name == DEFAULT => self.default = Some(address),
            Ok(party) => drop(self.addresses.insert(party, address)),
            Err(error) => site.problem(error.to_string()),
        }
    }
}

/// The address that an entry names; problems if it names none.
fn address(item: &Item<'_>) -> Option<String> {
    let entries = item.entries();
    let value = |wanted: &str| entries.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    let Some(host) = value("ip").or_else(|| value("host")).filter(|host| host.is_given()) else {
        item.problem("expected ip and port, got no ip");
        return None;
    };
    let Some(port) = value("port").filter(|port| port.is_given()) else {
        item.problem("expected ip and port, got no port");
        return None;
    };
    let (host, port) = (host.text()?, port.int_in(1..=65_535_u16)?);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Some(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_sites_and_of_the_exchange_are_taken() {
        let text = br#"{
  "route_table": {
    "9999": {"fateflow": [{"port": 9360, "ip": "127.0.0.1"}]},
    "10000": {"default": [{"port": 9370, "ip": "192.168.0.2", "useSSL": true}, {"port": 1, "ip": "b"}]},
    "10001": {"default": [{"port": "9371", "ip": "fe80::1"}]},
    "default": {"default": [{"port": 9380, "ip": "exchange.example"}]}
  },
  "permission": {"default_allow": true}
}"#;
        let table = RouteTable::parse("route_table.json", text).unwrap();
        let site = |id: &str, address: &str| (id.parse().unwrap(), address.to_owned());
        let expected = [site("10000", "192.168.0.2:9370"), site("10001", "[fe80::1]:9371")];
        assert_eq!(table.addresses, expected.into());
        assert_eq!(table.default.as_deref(), Some("exchange.example:9380"));
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let text = b"route_table:\n  10000: {default: [{ip: a}]}\n  a/b: {default: [{ip: a, port: 1}]}\n  1: {default: [{ip: a, port: 70000}]}\n";
        let told = RouteTable::parse("t.json", text).unwrap_err().to_string();
        for expected in ["t.json:2:", "got no port", "t.json:3:", "party id \"a/b\"", "t.json:4:", "70000"] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        assert!(RouteTable::parse("t.json", b"{}").is_err());
        assert_eq!(RouteTable::parse("t.json", b"route_table: {}").unwrap(), RouteTable::default());
    }
}
