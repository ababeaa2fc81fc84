//! The store's section of a site's configuration: `storage.file`.

use std::path::{Path, PathBuf};

use tributary_core::Result;
use tributary_core::settings::{Key, Kind, Section};

/// The keys of the section.
pub const KEYS: &[Key] = &[Key::new(
    "path",
    Kind::Path,
    "tables",
    "Folder of the tables; a relative path is under the party's home.",
)];

/// The section, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Folder of the tables.
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
    use tributary_core::settings::{Origin, Value};

    use super::*;

    #[test]
    fn a_relative_path_is_under_the_home_and_an_absolute_one_as_it_is() {
        for (given, expected) in [("tables", "/home/site/tables"), ("/srv/tables", "/srv/tables")] {
            let mut section = Section::new("storage.file", KEYS).unwrap();
            section.set("path", Value::Path(given.into()), Origin::Default);
            let config = Config::from_section(&section, Path::new("/home/site")).unwrap();
            assert_eq!(config.path, Path::new(expected));
        }
    }
}
