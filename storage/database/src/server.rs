//! A server, as a section of `service_conf.yaml` says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use tributary_core::settings::{Secret, Section};
use tributary_core::{Error, Result, ResultExt};

use crate::config::DatabaseKey;
use crate::product::Product;

/// A server and what it is told. See [`COMMON`](crate::COMMON).
#[derive(Debug, Clone)]
pub struct Server {
    /// Which one it is.
    pub product: Product,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database in it.
    pub database: String,
    /// Who logs in.
    pub user: String,
    /// And with what.
    pub password: Option<Secret>,
    /// How the line to it is protected.
    pub tls: Tls,
    /// More certificates that may have signed the server's.
    pub ca_file: Option<PathBuf>,
    /// Most connections at once.
    pub connections: usize,
    /// How long one is kept without use.
    pub idle: Duration,
    /// How long it is tried again.
    pub patience: Duration,
}

/// How the line to a server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// The certificate is checked, also for the server's name.
    VerifyFull,
    /// Encrypted; whoever answers is believed.
    Require,
    /// Encrypted if the server can.
    Prefer,
    /// Not at all.
    Off,
}

impl Tls {
    pub(crate) const WORDS: [&'static str; 4] = ["verify-full", "require", "prefer", "off"];

    fn of(word: &str) -> Option<Self> {
        let all = [Self::VerifyFull, Self::Require, Self::Prefer, Self::Off];
        all.into_iter().zip(Self::WORDS).find(|(_, known)| *known == word).map(|(tls, _)| tls)
    }
}

impl Server {
    /// Whether the section names a host.
    pub fn is_given(section: &Section) -> Result<bool> {
        Ok(section.find::<&str>("host")?.is_some())
    }

    /// Reads a section; a relative path is under the party's `home`. `InvalidInput` with the key that is wrong.
    pub fn from_section(
        product: Product,
        section: &Section,
        database: DatabaseKey,
        home: &Path,
    ) -> Result<Self> {
        let ca_file = section.find::<&Path>("ca_file")?.map(|path| home.join(path));
        if let Some(file) = &ca_file {
            std::fs::File::open(file)
                .at(|| format!("read certificates of {}", file.display()))
                .at(|| section.place("ca_file"))?;
        }
        let tls = match (section.find::<&str>("tls")?, &ca_file) {
            (Some(word), _) => {
                Tls::of(word).ok_or_else(|| Error::bug(format!("tls {word:?} is declared")))?
            }
            (None, Some(_)) => Tls::VerifyFull,
            (None, None) => Tls::Prefer,
        };
        Ok(Self {
            product,
            host: text(section, "host")?,
            port: section.get("port")?,
            database: text(section, database.key())?,
            user: text(section, "user")?,
            password: section.find::<&Secret>("passwd")?.cloned(),
            tls,
            ca_file,
            connections: section.get("max_connections")?,
            idle: section.get("stale_timeout")?,
            patience: section.get("patience")?,
        })
    }

    /// For people: `postgresql://host:5432/database`.
    pub fn address(&self) -> String {
        format!("{}://{}:{}/{}", self.product.name(), self.host, self.port, self.database)
    }

    /// Whatever the environment says for other programs, what the section says counts.
    pub(crate) fn postgres(&self) -> PgConnectOptions {
        let tls = match self.tls {
            Tls::VerifyFull => PgSslMode::VerifyFull,
            Tls::Require => PgSslMode::Require,
            Tls::Prefer => PgSslMode::Prefer,
            Tls::Off => PgSslMode::Disable,
        };
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .username(&self.user)
            .password(self.password.as_ref().map_or("", Secret::expose))
            .database(&self.database)
            .ssl_mode(tls)
            .application_name("tributary");
        if let Some(file) = &self.ca_file {
            options = options.ssl_root_cert(file);
        }
        options.disable_statement_logging()
    }

    pub(crate) fn mysql(&self) -> MySqlConnectOptions {
        let tls = match self.tls {
            Tls::VerifyFull => MySqlSslMode::VerifyIdentity,
            Tls::Require => MySqlSslMode::Required,
            Tls::Prefer => MySqlSslMode::Preferred,
            Tls::Off => MySqlSslMode::Disabled,
        };
        let mut options = MySqlConnectOptions::new()
            .host(&self.host)
            .port(self.port)
            .username(&self.user)
            .database(&self.database)
            .ssl_mode(tls);
        if let Some(password) = &self.password {
            options = options.password(password.expose());
        }
        if let Some(file) = &self.ca_file {
            options = options.ssl_ca(file);
        }
        options.disable_statement_logging()
    }
}

fn text(section: &Section, key: &str) -> Result<String> {
    match section.get::<&str>(key)? {
        "" => Err(section.problem(key, "expected a name")),
        text => Ok(text.to_owned()),
    }
}
