//! What a site's configuration says to every transport over this wire: keys in the section of each, as in
//! `federation.memory`, beside those of the transport itself.

use std::path::Path;

use tributary_core::Result;
use tributary_core::settings::{Key, Kind, Section};

use crate::limits::Limits;
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

/// Keys of the section `federation`, which hold for every transport.
pub const LIMIT_KEYS: &[Key] = &[
    Key::new(
        "least_rate",
        Kind::Int { least: 1, most: 1 << 40 },
        "16384",
        "Bytes a second that must come on average from a party while a task waits for a value of it: the patience above starts \
         again when as many bytes have come as this rate gives in it, and not with every byte. So a party cannot hold a task \
         by sending little at a time.",
    ),
    Key::new(
        "table_rows",
        Kind::Int { least: 1, most: 1 << 48 },
        "1000000000",
        "Most rows of a table that another party may send. A longer one is refused when it is announced, before any row has come.",
    ),
    Key::new(
        "table_bytes",
        Kind::Bytes,
        "256GiB",
        "Most bytes of a table that another party may send: checked when it is announced, by the least that its columns take, and \
         while it comes.",
    ),
    Key::optional(
        "most_rate",
        Kind::Int { least: 1024, most: 1 << 40 },
        "Bytes a second that this site sends, to all parties together; without it as many as go. Partners wait for values, so one far \
         below their `least_rate` ends their patience.",
    ),
];

impl Limits {
    /// Reads the section `federation`.
    pub fn from_section(section: &Section) -> Result<Self> {
        Ok(Self::default()
            .with_least_rate(section.get("least_rate")?)
            .with_table_rows(section.get("table_rows")?)
            .with_table_bytes(section.get("table_bytes")?))
    }
}

impl Options {
    /// Reads the section `federation` and that of a transport below it; a relative path is under `home`.
    pub fn from_sections(federation: &Section, transport: &Section, home: &Path) -> Result<Self> {
        Ok(Self::default()
            .with_memory_bytes(transport.get("memory")?)
            .with_disk_bytes(transport.get("spill_limit")?)
            .with_folder(transport.path_under("spill_folder", home)?)
            .with_limits(Limits::from_section(federation)?)
            .with_most_rate(federation.find("most_rate")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_the_keys_are_those_of_the_options() {
        let section = Section::new("federation.memory", KEYS).unwrap();
        let limits = Section::new("federation", LIMIT_KEYS).unwrap();
        let read = Options::from_sections(&limits, &section, Path::new("/home/site")).unwrap();
        let default = Options::default();
        assert_eq!((read.memory_bytes, read.disk_bytes), (default.memory_bytes, default.disk_bytes));
        assert_eq!((read.limits, read.most_rate), (default.limits, default.most_rate));
        assert_eq!(read.folder.as_deref(), Some(Path::new("/home/site/spill")));
    }
}
