//! Where the brokers of partners are: FATE's route tables (`rabbitmq_route_table.yaml`, `pulsar_route_table.yaml`), one reader for both.
//!
//! FATE's files name no login, because each site makes a user with a known password there; a login in them is ours.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use tributary_core::settings::Secret;
use tributary_core::{Error, PartyId, Result, ResultExt};
use tributary_document::{Collector, Item, Keys, Limits, parse};

/// The name of the entry that serves parties without one.
const DEFAULT: &str = "default";

/// The broker of a partner. What is not given is left to the engine.
#[derive(Debug, Clone, Default)]
pub struct Route {
    /// Where it is, as this site's broker reaches it; as it stands in a URI, so an IPv6 address is in brackets.
    pub host: String,
    /// Its port without TLS.
    pub port: Option<u16>,
    /// Its port with TLS (`sslPort`).
    pub tls_port: Option<u16>,
    /// Host and port of a proxy in front of it.
    pub proxy: Option<String>,
    /// Whether to call it with TLS.
    pub tls: Option<bool>,
    /// Who logs in there.
    pub user: Option<String>,
    /// The password, or a token.
    pub password: Option<Secret>,
    /// RabbitMQ's virtual host there.
    pub vhost: Option<String>,
    /// Pulsar's name of that cluster.
    pub cluster: Option<String>,
}

/// A route table.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    path: PathBuf,
    parties: BTreeMap<PartyId, Route>,
    default: Option<Domain>,
}

/// Where parties are that have no entry: `<party>.<domain>`.
#[derive(Debug, Clone)]
struct Domain {
    domain: String,
    port: Option<u16>,
    tls_port: Option<u16>,
    proxy: Option<String>,
}

impl Routes {
    /// Reads a file. `NotFound` if there is none, `InvalidInput` because of [`Problems`](tributary_document::Problems).
    pub fn read(path: &Path) -> Result<Self> {
        let at = || format!("read the route table {}", path.display());
        let mut routes = Self::parse(&path.display().to_string(), &fs::read(path).at(at)?).at(at)?;
        path.clone_into(&mut routes.path);
        Ok(routes)
    }

    fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        let report = Collector::new(file).hiding_values();
        let node = parse(bytes, &Limits::default(), &report);
        let mut routes = Self::default();
        if let Some(mut node) = node {
            for (name, item) in Item::root(&node, &report).shown().entries() {
                match name {
                    DEFAULT => routes.default = item.map(domain),
                    name => match PartyId::new(name) {
                        Ok(party) => drop(item.map(route).map(|route| routes.parties.insert(party, route))),
                        Err(error) => item.problem(error.to_string()),
                    },
                }
            }
            node.wipe();
        }
        let wrong = |e| Error::invalid("the route table has mistakes").because(e);
        report.finish(Some(routes)).map_err(wrong)
    }

    /// Where a party's broker is. `NotFound` says in which file to enter it.
    pub fn of(&self, party: &PartyId) -> Result<Route> {
        let by_domain = || {
            let Domain { domain, port, tls_port, proxy } = self.default.clone()?;
            // An id may hold what no host does.
            let host = in_uri(&format!("{party}.{domain}"))?;
            Some(Route { host, port, tls_port, proxy, ..Route::default() })
        };
        self.parties.get(party).cloned().or_else(by_domain).ok_or_else(|| {
            let text = format!(
                "the route table {} has no entry for party {party}; enter host and port of its broker",
                self.path.display()
            );
            Error::new(tributary_core::ErrorKind::NotFound, text)
        })
    }
}

fn route(keys: &mut Keys<'_>) -> Option<Route> {
    let text = |item: Item<'_>| item.shown().text().filter(|text| !text.is_empty()).map(str::to_owned);
    // Every key is asked for before one that is missing ends this: else the others would count as unknown.
    let host = host(&keys.required("host"));
    let route = Route {
        host: String::new(),
        port: port(&keys.take("port")),
        tls_port: port(&keys.take("sslPort")),
        proxy: text(keys.take("proxy")),
        tls: keys.take("tls").shown().bool(),
        user: text(keys.take("user")),
        password: keys.take("password").text().map(|text| Secret::new(text.to_owned())),
        vhost: text(keys.take("vhost")),
        cluster: keys.take("cluster").shown().id(),
    };
    Some(Route { host: host?, ..route })
}

fn domain(keys: &mut Keys<'_>) -> Option<Domain> {
    let text = |item: Item<'_>| item.shown().text().filter(|text| !text.is_empty()).map(str::to_owned);
    let (port, tls_port) = (port(&keys.take("brokerPort")), port(&keys.take("brokerSslPort")));
    let (proxy, item) = (text(keys.take("proxy")), keys.take("domain"));
    // FATE's own example has the entry without a domain.
    text(item.clone())?;
    Some(Domain { domain: host(&item)?, port, tls_port, proxy })
}

/// A host that can stand in a URI. A problem does not repeat it: somebody may have written a login before it.
fn host(item: &Item<'_>) -> Option<String> {
    let host = in_uri(item.clone().shown().text()?);
    if host.is_none() {
        item.problem("expected a host: letters, digits and any of . - _, or an IPv6 address");
    }
    host
}

fn in_uri(host: &str) -> Option<String> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if bare.parse::<Ipv6Addr>().is_ok() {
        return Some(format!("[{bare}]"));
    }
    let is_fine = |c: u8| c.is_ascii_alphanumeric() || b".-_".contains(&c);
    (!host.is_empty() && host.bytes().all(is_fine)).then(|| host.to_owned())
}

fn port(item: &Item<'_>) -> Option<u16> {
    item.clone().shown().int_in(1..=u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Routes> {
        Routes::parse("routes.yaml", text.as_bytes())
    }

    fn id(text: &str) -> PartyId {
        text.parse().unwrap()
    }

    #[test]
    fn the_tables_of_fate_are_read() {
        let rabbit =
            read("9999:\n  host: 192.168.0.1\n  port: 5672\n'10000': {host: b.example, port: 5673}\n")
                .unwrap();
        assert_eq!(
            (rabbit.of(&id("9999")).unwrap().host, rabbit.of(&id("10000")).unwrap().port),
            ("192.168.0.1".into(), Some(5673))
        );
        assert!(rabbit.of(&id("3")).unwrap_err().to_string().contains("no entry for party 3"));
        let pulsar = "9999: {host: h, port: 6650, sslPort: 6651, proxy: ''}\n\
                      default: {proxy: 'proxy.fate.org:443', domain: fate.org, brokerPort: 6650, brokerSslPort: 6651}\n";
        let pulsar = read(pulsar).unwrap();
        let (known, other) = (pulsar.of(&id("9999")).unwrap(), pulsar.of(&id("7")).unwrap());
        assert_eq!((known.tls_port, known.proxy), (Some(6651), None));
        assert_eq!((other.host.as_str(), other.tls_port), ("7.fate.org", Some(6651)));
        assert_eq!(other.proxy.as_deref(), Some("proxy.fate.org:443"));
    }

    #[test]
    fn a_host_can_stand_in_a_uri() {
        let routes = read("1: {host: '::1'}\n2: {host: '[fe80::1]'}\n3: {host: a_b-c.example}\n").unwrap();
        let hosts = ["1", "2", "3"].map(|party| routes.of(&id(party)).unwrap().host);
        assert_eq!(hosts, ["[::1]", "[fe80::1]", "a_b-c.example"]);
        for host in ["u:hunter2@h", "h/hunter2", "h:5672", "h hunter2", "[h]", "::1%eth0", ""] {
            let error = read(&format!("9:\n  host: '{host}'\n")).unwrap_err().chain();
            assert!(error.contains("routes.yaml:2:"), "{host}: {error}");
            assert!(error.contains("9.host: expected a host"), "{host}: {error}");
            assert!(!error.contains("hunter"), "{error}");
        }
        let error = read("default: {domain: 'fate.org/x'}").unwrap_err().chain();
        assert!(error.contains("default.domain: expected a host"), "{error}");
    }

    #[test]
    fn mistakes_have_positions_and_a_password_is_never_shown() {
        let wrong = "9999: {port: 70000}\n'a b': {host: x}\n1: {host: x, hots: y}\n2: {host: x, password: [hunter2]}\n";
        let error = read(wrong).unwrap_err().chain();
        for expected in [
            "routes.yaml:1:1: 9999.host: required",
            "9999.port: expected an integer from 1 to 65535, got 70000",
            "routes.yaml:2:1: ",
            "1.hots: unknown key (did you mean \"host\"?)",
            "2.password: expected text",
        ] {
            assert!(error.contains(expected), "{expected}: {error}");
        }
        let routes = read("1: {host: x, user: u, password: hunter2}").unwrap();
        assert!(!error.contains("hunter") && !format!("{routes:?}").contains("hunter"));
    }
}
