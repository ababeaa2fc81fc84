//! What a site's configuration says about its Pulsar cluster. Keys and defaults are FATE's, where FATE has them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tributary_broker::{Login, Routes};
use tributary_core::settings::{Key, Kind, Secret, Section};
use tributary_core::{Error, Result, ResultExt, Shown};
use tributary_wire::MAX_FRAME_BYTES;

/// Keys of the section `federation.pulsar`, besides those of every transport.
pub const KEYS: &[Key] = &[
    Key::new("host", Kind::Text, "127.0.0.1", "Host of this site's Pulsar cluster: of a broker or a proxy."),
    Key::new("port", Kind::Int { least: 1, most: 65_535 }, "6650", "Port of its binary protocol."),
    Key::new(
        "mng_port",
        Kind::Int { least: 1, most: 65_535 },
        "8080",
        "Port of its REST interface, by which topics are made and removed.",
    ),
    Key::new("cluster", Kind::Text, "standalone", "Name of the cluster, as the cluster itself has it."),
    Key::new("tenant", Kind::Text, "fl-tenant", "Tenant, the same at all sites. Made if there is none."),
    Key::new(
        "namespace",
        Kind::Text,
        "tributary",
        "Namespace in it, the same at all sites. In mode `replication` the ids of both parties follow, so that each pair has its own. Made if there \
         is none.",
    ),
    Key::new(
        "topic_ttl",
        Kind::Int { least: 1, most: 525_600 },
        "120",
        "Minutes after which the cluster removes what a crash left: messages that nobody takes, then topics that nobody uses. Also how long \
         letters wait for a site that is away. Longer than federation.patience: else a message may go while a task still waits for it. Set in a \
         namespace when it is made.",
    ),
    Key::new(
        "mode",
        Kind::OneOf(&["client", "replication"]),
        "replication",
        "`client`: all sites use the same cluster. `replication`: each has its own, joined by geo-replication; other sites' clusters are in the \
         route table.",
    ),
    Key::new(
        "route_table",
        Kind::Path,
        "pulsar_route_table.yaml",
        "File with the clusters of other sites, as FATE has it; a relative path is under the home folder.",
    ),
    Key::new(
        "max_message_size",
        Kind::Bytes,
        "1MiB",
        "Longest message for the cluster, which itself has such a limit (`maxMessageSize`, 5 MiB by default). At least 64 KiB and 13 bytes.",
    ),
    Key::optional("user", Kind::Text, "User, where the cluster asks for a password."),
    Key::optional("password", Kind::Secret, "The user's password."),
    Key::optional("token", Kind::Secret, "Token, where the cluster asks for one."),
    Key::new(
        "tls",
        Kind::Bool,
        "false",
        "Whether the cluster is called with TLS (`pulsar+ssl`). Its certificate must be for `host`, and `port` is that for TLS.",
    ),
    Key::new("mng_tls", Kind::Bool, "false", "Whether the REST interface is called with TLS (`https`)."),
    Key::optional(
        "ca",
        Kind::Path,
        "PEM file of authorities that may have signed the cluster's certificate, besides the publicly known ones. A relative path is under the \
         home folder.",
    ),
    Key::new("away", Kind::Seconds, "60", "How long the cluster may be out of reach before a task fails."),
];

/// A site's cluster.
#[derive(Debug, Clone)]
pub struct Config {
    /// Host of a broker or a proxy.
    pub host: String,
    /// Port of the binary protocol.
    pub port: u16,
    /// Port of the REST interface.
    pub http_port: u16,
    /// Whether the first is encrypted.
    pub tls: bool,
    /// Whether the second is.
    pub http_tls: bool,
    /// File with the certificates (PEM) of authorities that may have signed the cluster's.
    pub ca: Option<PathBuf>,
    /// Who the site is there.
    pub login: Login,
    /// The cluster's own name.
    pub cluster: String,
    /// Tenant.
    pub tenant: String,
    /// Namespace, or how its name begins.
    pub namespace: String,
    /// Other sites' clusters; without them all use this one.
    pub routes: Option<Routes>,
    /// When the cluster removes what nobody takes.
    pub topic_ttl: Duration,
    /// Longest message.
    pub message_bytes: usize,
    /// How long the cluster may be out of reach.
    pub away: Duration,
}

/// Least of `max_message_size`: one frame, and its length.
pub(crate) const LEAST_MESSAGE_BYTES: usize = MAX_FRAME_BYTES + 4;

impl Config {
    /// Reads the section `federation.pulsar`, and the route table if there is to be one.
    pub fn from_section(section: &Section, home: &Path) -> Result<Self> {
        let name = |key: &str| checked(section.get(key)?).at(|| section.place(key));
        let port =
            |key: &str| -> Result<u16> { Ok(u16::try_from(section.get::<u64>(key)?).unwrap_or_default()) };
        let routes = match section.get("mode")? {
            "replication" => Some(routes(section, home)?),
            _ => None,
        };
        let message_bytes = usize::try_from(section.get::<u64>("max_message_size")?).unwrap_or(usize::MAX);
        if message_bytes < LEAST_MESSAGE_BYTES {
            let text = format!("{message_bytes} bytes, at least {LEAST_MESSAGE_BYTES} are needed");
            return Err(Error::invalid(text)).at(|| section.place("max_message_size"));
        }
        Ok(Self {
            host: section.get::<&str>("host")?.to_owned(),
            port: port("port")?,
            http_port: port("mng_port")?,
            tls: section.get("tls")?,
            http_tls: section.get("mng_tls")?,
            ca: section.find::<&Path>("ca")?.map(|path| home.join(path)),
            login: login(section)?,
            cluster: name("cluster")?,
            tenant: name("tenant")?,
            namespace: name("namespace")?,
            routes,
            topic_ttl: Duration::from_secs(60 * section.get::<u64>("topic_ttl")?),
            message_bytes,
            away: section.get("away")?,
        })
    }
}

fn routes(section: &Section, home: &Path) -> Result<Routes> {
    Routes::read(&section.path_under("route_table", home)?).at(|| {
        let place = section.place("route_table");
        format!("{place}; or set mode to client, if all sites use one cluster")
    })
}

fn login(section: &Section) -> Result<Login> {
    if let Some(token) = section.find::<&Secret>("token")? {
        return Ok(Login::Token(token.clone()));
    }
    match (section.find::<&str>("user")?, section.find::<&Secret>("password")?) {
        (Some(user), Some(password)) => {
            Ok(Login::Password { user: user.to_owned(), password: password.clone() })
        }
        (None, None) => Ok(Login::None),
        (Some(_), None) => Err(Error::invalid("a user without a password")).at(|| section.place("user")),
        (None, Some(_)) => Err(Error::invalid("a password without a user")).at(|| section.place("password")),
    }
}

/// Names that Pulsar takes.
fn checked(name: &str) -> Result<String> {
    let is_fine = |c: u8| c.is_ascii_alphanumeric() || b"-=:._".contains(&c);
    if name.is_empty() || !name.bytes().all(is_fine) {
        let shown = Shown::new(name);
        return Err(Error::invalid(format!("{shown:?}, expected letters, digits and any of - = : . _")));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use tributary_core::settings::{Origin, Value};

    use super::*;

    fn section(values: &[(&'static str, Value)]) -> Section {
        let mut section = Section::new("federation.pulsar", KEYS).unwrap();
        for (key, value) in values {
            section.set(key, value.clone(), Origin::Option("--test"));
        }
        section
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn secret(text: &str) -> Value {
        Value::Secret(Secret::new(text.into()))
    }

    #[test]
    fn what_cannot_work_is_refused_and_named() {
        let client = ("mode", text("client"));
        let cases = [
            (vec![], "route_table"),
            (vec![client.clone(), ("max_message_size", Value::Int(65_535))], "max_message_size"),
            (vec![client.clone(), ("tenant", text("a/b"))], "tenant"),
            (vec![client.clone(), ("user", text("u"))], "user"),
            (vec![client.clone(), ("password", secret("hunter2"))], "password"),
        ];
        for (values, key) in cases {
            let error = Config::from_section(&section(&values), Path::new("/nowhere")).unwrap_err().chain();
            assert!(error.contains(key) && !error.contains("hunter"), "{key}: {error}");
        }
        let values = [client, ("token", secret("t")), ("user", text("u")), ("password", secret("p"))];
        let config = Config::from_section(&section(&values), Path::new("/home")).unwrap();
        assert!(matches!(config.login, Login::Token(_)), "a token counts more");
        assert_eq!((config.topic_ttl, config.tenant.as_str()), (Duration::from_secs(7200), "fl-tenant"));
    }
}
