//! The engines' sections of a site's configuration: `storage_meta.sqlite`, `storage_meta.postgresql`, `storage_meta.mysql`.

use std::path::{Path, PathBuf};

use tributary_core::Result;
use tributary_core::settings::{Key, Kind, Section};
pub use tributary_database::COMMON;
use tributary_database::{DatabaseKey, Product, Server, keys};

/// The keys of the section of SQLite.
pub const KEYS: &[Key] = &[Key::new(
    "path",
    Kind::Path,
    "meta.db",
    "File of the database; a relative path is under the party's home.",
)];

const HOST: &str =
    "Host of the server. All servers of a site may share one database, and so may several parties.";

/// Those of PostgreSQL, besides [`COMMON`](tributary_database::COMMON).
pub const POSTGRESQL_KEYS: &[Key] = &keys(Product::PostgreSql, DatabaseKey::Name, HOST);

/// Those of MySQL.
pub const MYSQL_KEYS: &[Key] = &keys(Product::MySql, DatabaseKey::Name, HOST);

/// The section of SQLite, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// File of the database.
    pub path: PathBuf,
}

impl Config {
    /// Reads the section; a relative path is under `home`.
    pub fn from_section(section: &Section, home: &Path) -> Result<Self> {
        Ok(Self { path: section.path_under("path", home)? })
    }
}

/// The section of a server, read; a relative path is under `home`.
pub fn server(product: Product, section: &Section, home: &Path) -> Result<Server> {
    Server::from_section(product, section, DatabaseKey::Name, home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_home_is_where_it_always_was() {
        let section = Section::new("storage_meta.sqlite", KEYS).unwrap();
        let config = Config::from_section(&section, Path::new("/home/site/parties/9999")).unwrap();
        assert_eq!(config.path, Path::new("/home/site/parties/9999/meta.db"));
    }
}
