//! What a site's configuration says about its broker: FATE's keys, and those that FATE has not.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tributary_broker::{Endpoint, Login, Routes};
use tributary_core::settings::{Key, Kind, Secret, Section};
use tributary_core::{PartyId, Result, ResultExt};

/// Keys of the section `federation.rabbitmq`, besides those of every transport.
pub const KEYS: &[Key] = &[
    Key::new("host", Kind::Text, "127.0.0.1", "Host of the broker that this site uses."),
    Key::new(
        "port",
        PORT,
        "5672",
        "Port of it: of AMQP, or with `tls` of AMQPS, which brokers have at 5671.",
    ),
    Key::new(
        "mng_port",
        PORT,
        "12345",
        "Port of the broker's management interface; RabbitMQ's own default is 15672. Used with `mode: replication`, by `tributary federation`, \
         and to find out what is wrong.",
    ),
    Key::new(
        "user",
        Kind::Text,
        "fate",
        "Who logs in there: may configure, write and read queues that begin with `tributary.`.",
    ),
    Key::new("password", Kind::Secret, "fate", "The user's password."),
    Key::new(
        "login",
        Kind::OneOf(&["password", "certificate"]),
        "password",
        "How this site logs in over AMQPS: as `user` with `password`, or as whoever its certificate names (mechanism EXTERNAL, by the plugin \
         rabbitmq_auth_mechanism_ssl). The management interface asks for the password either way.",
    ),
    Key::new("vhost", Kind::Text, "/", "The virtual host in which the queues are."),
    Key::new(
        "mode",
        Kind::OneOf(&["replication", "client"]),
        "replication",
        "`client`: all sites use one broker. `replication`: each site has a broker of its own, and each broker fetches from the others what is for its \
         site. That needs the plugins rabbitmq_management and rabbitmq_federation, and a user who may set policies.",
    ),
    Key::new(
        "route_table",
        Kind::Path,
        "rabbitmq_route_table.yaml",
        "File that says where the partners' brokers are, with `mode: replication`: for each party id `host` and `port`, and where they differ from this \
         site's own `user`, `password`, `vhost` and `tls`. A relative path is under the home folder.",
    ),
    Key::new(
        "max_message_size",
        Kind::Bytes,
        "1MiB",
        "Most bytes of a message. Shorter pieces are packed up to it.",
    ),
    Key::new(
        "tls",
        Kind::Bool,
        "false",
        "Whether the broker is called with TLS. Its certificate must be for `host`.",
    ),
    Key::optional(
        "ca",
        Kind::Path,
        "PEM file of authorities that may have signed the broker's certificate, besides those of the system; for AMQPS and the management interface. \
         A relative path is under the home folder, also of the two files below.",
    ),
    Key::optional(
        "certificate",
        Kind::Path,
        "PEM file of this site's certificate, and those of authorities between it and one that the broker knows. Shown to the broker, and to the \
         management interface, wherever they are called with TLS and ask for one.",
    ),
    Key::optional("key", Kind::Path, "PEM file of its key."),
    Key::new("mng_tls", Kind::Bool, "false", "Whether the management interface is called with TLS."),
    Key::new(
        "queue_type",
        Kind::OneOf(&["classic", "quorum"]),
        "classic",
        "Type of the queues that this site makes. `quorum` survives the loss of a machine of the broker's cluster, and is slower.",
    ),
    Key::new(
        "expires",
        Kind::Seconds,
        "86400",
        "After how long the broker removes a queue that nobody uses, with what is in it: what a crash left, and letters that a partner has not fetched. \
         More than federation.patience.",
    ),
    Key::new(
        "away",
        Kind::Seconds,
        "60",
        "How long the broker may be out of reach while something is to be sent or received. After that the task fails.",
    ),
    Key::new(
        "write_policies",
        Kind::Bool,
        "true",
        "Whether this site writes upstreams and policies itself, with `mode: replication`. With `false` the broker's operator has done so; docs/rabbitmq.md \
         says how.",
    ),
    Key::new(
        "link_ca",
        Kind::Text,
        "/etc/ssl/certs/ca-certificates.crt",
        "PEM file of the authorities that may have signed the certificates of partners' brokers, with `mode: replication` where the link has TLS. This site's \
         *broker* reads it: it is a path on the broker's machine. Empty: the certificates are not checked.",
    ),
];

/// A piece of a value has this many bytes at most, and is not cut.
const LEAST_MESSAGE_BYTES: usize = 128 << 10;
const PORT: Kind = Kind::Int { least: 1, most: 65_535 };

/// Says something to the operator while work goes on: the broker is full, has come back.
#[derive(Clone)]
pub struct Notices(Arc<dyn Fn(&str) + Send + Sync>);

impl Notices {
    /// Says it to this.
    pub fn to(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    pub(crate) fn say(&self, text: &str) {
        (self.0)(text);
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notices(…)")
    }
}

/// A site and its broker.
#[derive(Debug, Clone)]
pub struct Config {
    /// This site.
    pub own: PartyId,
    /// The broker's host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// The virtual host.
    pub vhost: String,
    /// How it is called with TLS, if it is.
    pub tls: Option<Tls>,
    /// Whether it takes the site for whoever its certificate names, instead of `user`.
    pub by_certificate: bool,
    /// The management interface.
    pub management: Endpoint,
    /// Whether partners use the same broker.
    pub mode: Mode,
    /// Type of queues.
    pub queue_type: QueueType,
    /// After how long without use a queue is removed by the broker.
    pub expires: Duration,
    /// How long the broker may be out of reach.
    pub away: Duration,
    /// Most bytes of a message.
    pub message_bytes: usize,
    /// Where to say that the broker is full.
    pub notices: Notices,
}

/// PEM files.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Authorities besides those of the system.
    pub ca: Option<PathBuf>,
    /// This site's certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Whether partners use the same broker.
#[derive(Debug, Clone)]
pub enum Mode {
    /// They do.
    Client,
    /// Each site has a broker of its own.
    Replication {
        /// Where those of partners are.
        routes: Routes,
        /// Whether upstreams and policies are written here.
        writes: bool,
        /// PEM file, on the machine of this site's broker, of the authorities that sign certificates of partners' brokers. `None`: they are not
        /// checked.
        ca: Option<String>,
    },
}

/// Types of queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueType {
    /// On one machine.
    Classic,
    /// On several machines of a cluster.
    Quorum,
}

impl QueueType {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }
}

impl Config {
    /// Reads the section of the transport; relative paths are under `home`. `InvalidInput` and `NotFound` name the key.
    pub fn from_section(own: &PartyId, section: &Section, home: &Path, notices: Notices) -> Result<Self> {
        let (host, user): (&str, &str) = (section.get("host")?, section.get("user")?);
        let (password, away) = (section.get::<&Secret>("password")?.clone(), section.get("away")?);
        let path = |key: &str| -> Result<Option<PathBuf>> {
            Ok(section.find::<&Path>(key)?.map(|path| home.join(path)))
        };
        let ca = path("ca")?;
        let identity = match (path("certificate")?, path("key")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(section.problem("certificate", "without key; give both or neither"));
            }
            (None, Some(_)) => {
                return Err(section.problem("key", "without certificate; give both or neither"));
            }
        };
        let message_bytes = section.get("max_message_size")?;
        if message_bytes < LEAST_MESSAGE_BYTES {
            return Err(section.problem(
                "max_message_size",
                format!("expected {LEAST_MESSAGE_BYTES} bytes or more, got {message_bytes}"),
            ));
        }
        let scheme = if section.get("mng_tls")? { "https" } else { "http" };
        let mode = match section.get::<&str>("mode")? {
            "client" => Mode::Client,
            _ => {
                let path = section.path_under("route_table", home)?;
                let routes = Routes::read(&path).at(|| section.place("route_table"))?;
                let ca = Some(section.get::<&str>("link_ca")?.to_owned()).filter(|ca| !ca.is_empty());
                Mode::Replication { routes, writes: section.get("write_policies")?, ca }
            }
        };
        Ok(Self {
            own: own.clone(),
            host: host.into(),
            port: section.get("port")?,
            user: user.into(),
            password: password.clone(),
            vhost: section.get::<&str>("vhost")?.into(),
            tls: section.get::<bool>("tls")?.then_some(Tls { ca: ca.clone(), identity: identity.clone() }),
            by_certificate: by_certificate(section, identity.is_some())?,
            management: Endpoint {
                service: "RabbitMQ's management interface",
                url: format!("{scheme}://{host}:{}", section.get::<u16>("mng_port")?),
                login: Login::Password { user: user.into(), password },
                ca,
                identity,
                patience: away,
                settings: format!("{} and mng_port", section.full_name("host")),
            },
            mode,
            queue_type: match section.get::<&str>("queue_type")? {
                "quorum" => QueueType::Quorum,
                _ => QueueType::Classic,
            },
            expires: section.get("expires")?,
            away,
            message_bytes,
            notices,
        })
    }

    /// The broker as errors name it.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

fn by_certificate(section: &Section, has_certificate: bool) -> Result<bool> {
    let asks = section.get::<&str>("login")? == "certificate";
    if asks && !(has_certificate && section.get("tls")?) {
        return Err(section.problem("login", "certificate, without tls, certificate and key; give all three"));
    }
    Ok(asks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_fate_are_read_and_what_is_missing_is_named() {
        let section = Section::new("federation.rabbitmq", KEYS).unwrap();
        let read = |section: &Section| {
            Config::from_section(
                &"9999".parse().unwrap(),
                section,
                Path::new("/nowhere"),
                Notices::to(|_| ()),
            )
        };
        let error = read(&section).unwrap_err().to_string();
        assert!(
            error.contains("route_table") && error.contains("/nowhere/rabbitmq_route_table.yaml"),
            "{error}"
        );
        let mut client = section.clone();
        let set = |section: &mut Section, name, kind: Kind, text| {
            section.set(name, kind.parse(text).unwrap(), tributary_core::settings::Origin::Default);
        };
        set(&mut client, "mode", Kind::Text, "client");
        let config = read(&client).unwrap();
        assert_eq!((config.place().as_str(), config.message_bytes), ("127.0.0.1:5672", 1 << 20));
        assert_eq!(config.management.url, "http://127.0.0.1:12345");
        assert!(!format!("{config:?}").contains("\"fate\", password: fate"));
        set(&mut client, "certificate", Kind::Path, "own.pem");
        assert!(read(&client).unwrap_err().to_string().contains("without key"));
        set(&mut client, "key", Kind::Path, "own.key");
        set(&mut client, "login", Kind::Text, "certificate");
        let error = read(&client).unwrap_err().to_string();
        assert!(error.contains("federation.rabbitmq.login") && error.contains("without tls"), "{error}");
        set(&mut client, "tls", Kind::Bool, "true");
        assert!(read(&client).unwrap().by_certificate);
    }
}
