//! What a site's configuration says to every transport over this wire: keys in the section of each, as in
//! `federation.memory`, beside those of the transport itself.

use std::path::Path;

use tributary_core::Result;
use tributary_core::settings::{Key, Kind, Section};

use crate::network::Options;

/// Keys that the section of every transport has.
pub const KEYS: &[Key] = &[
    Key::new(
        "memory",
        Kind::Bytes,
        "256MiB",
        "Memory that values of all peers may take in one session before a task pulls them. Those beyond it go to disk, sealed \
         as they came.",
    ),
    Key::new(
        "spill_folder",
        Kind::Path,
        "spill",
        "Folder for these; a relative path is under the home folder.",
    ),
    Key::new(
        "spill_limit",
        Kind::Bytes,
        "64GiB",
        "Bytes that they may take in that folder. A task whose peers send more fails.",
    ),
];

impl Options {
    /// Reads the section of a transport; a relative path is under `home`.
    pub fn from_section(section: &Section, home: &Path) -> Result<Self> {
        let options = Self::default()
            .with_memory_bytes(section.get("memory")?)
            .with_disk_bytes(section.get("spill_limit")?);
        Ok(options.with_folder(home.join(section.get::<&Path>("spill_folder")?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_the_keys_are_those_of_the_options() {
        let section = Section::new("federation.memory", KEYS).unwrap();
        let read = Options::from_section(&section, Path::new("/home/site")).unwrap();
        let default = Options::default();
        assert_eq!((read.memory_bytes, read.disk_bytes), (default.memory_bytes, default.disk_bytes));
        assert_eq!(read.folder.as_deref(), Some(Path::new("/home/site/spill")));
    }
}
