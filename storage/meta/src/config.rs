//! The engine's section of a site's configuration: `storage_meta.sqlite`.

use std::path::{Path, PathBuf};

use tributary_core::Result;
use tributary_core::settings::{Key, Kind, Section};

/// The keys of the section.
pub const KEYS: &[Key] = &[Key::new(
    "path",
    Kind::Path,
    "meta.db",
    "File of the database; a relative path is under the party's home.",
)];

/// The section, read.
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
