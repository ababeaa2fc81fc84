//! What a node is given, and what a site's configuration says about it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use tributary_core::settings::{Key, Kind, Section};
use tributary_core::{Error, ErrorKind, PartyId, Result};
use tributary_wire::KeyRing;

use crate::tls::{Fingerprint, Identity};

/// Keys of the section `federation.direct`, besides those of every transport. FATE calls it `osx` or `rollsite`.
pub const KEYS: &[Key] = &[
    Key::new(
        "host",
        Kind::Text,
        "127.0.0.1",
        "Address on which this site listens for other sites; `0.0.0.0` for all of this machine's.",
    ),
    Key::new(
        "port",
        Kind::Int { least: 1, most: 65_535 },
        "9370",
        "Port for it: the only one that other sites need.",
    ),
    Key::new(
        "listen",
        Kind::Bool,
        "true",
        "Whether it listens. A site that only calls out has `false`; what is for it comes over the lines that it opened.",
    ),
    Key::new(
        "tls",
        Kind::Bool,
        "true",
        "Whether lines are encrypted by TLS, with certificates that both sites know. Without it values are sealed all the same and sites \
         prove who they are; names of jobs and parties are readable then. The same at both ends of a line.",
    ),
    Key::optional("peers", Kind::Map(PEER_KEYS), "Where other sites are, by party id."),
    Key::optional(
        "route_table",
        Kind::Path,
        "FATE's route table (`route_table.json`): addresses of sites that `peers` does not give, and as `default` that of the exchange. A \
         relative path is under the home.",
    ),
    Key::optional(
        "exchange",
        Kind::Address,
        "Host and port of an exchange (`tributary exchange`), over which all sites are reached that have no address of their own here.",
    ),
    Key::new("exchange_id", Kind::Id, "exchange", "The id by which the exchange is registered here."),
    Key::new(
        "away",
        Kind::Seconds,
        "60",
        "How long a site may be out of reach while something is to be sent to it or expected of it. After that the task fails and names it.",
    ),
];

/// Keys of an entry of `peers`.
pub const PEER_KEYS: &[Key] = &[Key::optional(
    "address",
    Kind::Address,
    "Host and port where it listens. A site without one calls this site, or is behind the exchange.",
)];

/// Keys of the section `exchange`.
pub const EXCHANGE_KEYS: &[Key] = &[
    Key::new("host", Kind::Text, "0.0.0.0", "Address on which the exchange listens for sites."),
    Key::new("port", Kind::Int { least: 1, most: 65_535 }, "9370", "Port for it."),
    Key::new(
        "folder",
        Kind::Path,
        "held",
        "Folder for what waits for sites that are away, sealed as it came; a relative path is under the exchange's party folder.",
    ),
    Key::new(
        "held",
        Kind::Bytes,
        "1GiB",
        "Bytes that may wait for one site. What is more stays with its sender until that site is back.",
    ),
    Key::optional(
        "routes",
        Kind::Map(ROUTE_KEYS),
        "More about single sites, by party id. Sites whose cards are trusted need none.",
    ),
    Key::optional(
        "default",
        Kind::Id,
        "The other exchange to which everything goes that is for a party without a trusted card here.",
    ),
];

/// Keys of an entry of `routes`.
pub const ROUTE_KEYS: &[Key] = &[
    Key::optional(
        "address",
        Kind::Address,
        "Host and port where the exchange calls the site. One without calls the exchange.",
    ),
    Key::new(
        "exchange",
        Kind::Bool,
        "false",
        "Whether it is an exchange itself, and sends for parties behind it.",
    ),
];

/// A node: which site it is, and what it knows of others.
#[derive(Debug)]
pub struct Config {
    /// This site.
    pub own: PartyId,
    /// Its key, and those of other sites and of the exchange.
    pub keys: KeyRing,
    /// Its certificate; without one its lines are not encrypted by TLS.
    pub identity: Option<Identity>,
    /// Where it listens, if it does.
    pub listener: Option<TcpListener>,
    /// The other sites.
    pub peers: BTreeMap<PartyId, Place>,
    /// Over which sites without an address are reached.
    pub exchange: Option<(PartyId, Place)>,
    /// Times.
    pub options: Options,
}

/// Where a site is, and what it shows there.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Host and port; none for a site that calls.
    pub address: Option<String>,
    /// Its certificate. Required with TLS.
    pub certificate: Option<Fingerprint>,
}

/// Times of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How long a site may be out of reach.
    pub away: Duration,
    /// How often something is said on a line at least; after three times as long without a word it is dropped.
    pub quiet: Duration,
    /// How long the first words may take.
    pub greeting: Duration,
    /// The longest wait between two calls to a site that does not answer.
    pub backoff: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            away: Duration::from_secs(60),
            quiet: Duration::from_secs(10),
            greeting: Duration::from_secs(10),
            backoff: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// Reads the section of the transport.
    pub fn from_section(section: &Section) -> Result<Self> {
        Ok(Self::default().with_away(section.get("away")?))
    }

    /// With another time out of reach.
    #[must_use]
    pub fn with_away(mut self, away: Duration) -> Self {
        self.away = away;
        self
    }

    /// With another time between words.
    #[must_use]
    pub fn with_quiet(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    /// With another time for the first words.
    #[must_use]
    pub fn with_greeting(mut self, greeting: Duration) -> Self {
        self.greeting = greeting;
        self
    }
}

/// Takes the port of a site. `Unavailable` if another program has it.
pub fn listen(host: &str, port: u16) -> Result<TcpListener> {
    let bound = TcpListener::bind((host, port)).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => {
            let text = format!(
                "listen on {host}:{port}: another process has this port; stop it, or choose another port with the keys host and port"
            );
            Error::new(ErrorKind::Unavailable, text)
        }
        std::io::ErrorKind::AddrNotAvailable => {
            let text = format!(
                "listen on {host}:{port}: this machine has no address {host}; set the key host to one that it has, or to 0.0.0.0 for all"
            );
            Error::invalid(text)
        }
        _ => Error::from(e).at(format!("listen on {host}:{port}, as the keys host and port say")),
    })
}
