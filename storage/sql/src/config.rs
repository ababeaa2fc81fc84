//! The sections `storage.postgresql` and `storage.mysql`.

use std::path::Path;

use tributary_core::Result;
use tributary_core::settings::{Key, Kind, Section};
use tributary_database::{DatabaseKey, Product, Server, keys};

const HOST: &str = "Host of the server. A party whose configuration names one has this store, also if its new tables go to another.";

const PREFIX: Key = Key::new(
    "prefix",
    Kind::Text,
    "tributary_",
    "What the names of our own tables in the database begin with: at most 20 small letters, digits and `_`. Parties may share them.",
);

const fn with_prefix([host, port, database]: [Key; 3]) -> [Key; 4] {
    [host, port, database, PREFIX]
}

/// The keys of PostgreSQL, besides [`COMMON`](crate::COMMON).
pub const POSTGRESQL_KEYS: &[Key] = &with_prefix(keys(Product::PostgreSql, DatabaseKey::Db, HOST));

/// Those of MySQL: FATE's names for the address of a table.
pub const MYSQL_KEYS: &[Key] = &with_prefix(keys(Product::MySql, DatabaseKey::Db, HOST));

/// The section, read.
#[derive(Debug, Clone)]
pub struct Config {
    /// The server.
    pub server: Server,
    /// Whose tables they are.
    pub party: String,
    /// What names of SQL tables begin with.
    pub prefix: String,
}

impl Config {
    /// Whether the section names a server.
    pub fn is_given(section: &Section) -> Result<bool> {
        Server::is_given(section)
    }

    /// Reads the section for a party; a relative path is under its `home`.
    pub fn from_section(product: Product, section: &Section, party: &str, home: &Path) -> Result<Self> {
        let server = Server::from_section(product, section, DatabaseKey::Db, home)?;
        let prefix: &str = section.get("prefix")?;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if prefix.is_empty() || prefix.len() > 20 || !prefix.bytes().all(fits) {
            return Err(section.problem("prefix", "expected 1 to 20 small letters, digits or _"));
        }
        Ok(Self { server, party: party.to_owned(), prefix: prefix.to_owned() })
    }

    /// What the addresses of its tables begin with.
    pub(crate) fn base(&self) -> String {
        format!("{}://{}/{}", self.server.product.name(), self.server.database, self.party)
    }
}
