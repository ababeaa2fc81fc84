//! What a site's configuration says to this engine: the section `computing.standalone`.

use std::fs;
use std::path::{Path, PathBuf};

use tributary_core::error::Result;
use tributary_core::settings::{Key, Kind, Section};
use tributary_system::disk::free_bytes;

/// Memory that is taken for the machine's where the system does not say.
const UNKNOWN_MEMORY_BYTES: u64 = 4 << 30;

/// The keys of the section.
pub const KEYS: &[Key] = &[
    Key::new(
        "cores",
        Kind::Int { least: 0, most: 4096 },
        "0",
        "Cores that this site gives to jobs; 0 is all of the machine's.",
    ),
    Key::new(
        "memory",
        Kind::Bytes,
        "0",
        "Memory that the tables of one task may take; 0 is half of the machine's, shared by the parties of a process. \
         Rows beyond it go to disk; parameters of kernels (keys, models) do not, and a task that has no room for them fails and \
         says so.",
    ),
    Key::new(
        "spill_folder",
        Kind::Path,
        "spill",
        "Folder for rows that a task's memory has no room for: on a fast local disk, if there is one. They lie there in files \
         without a name, readable by their owner only, that are gone when they are not needed or when the process ends. A \
         relative path is under the home folder.",
    ),
    Key::new(
        "spill_limit",
        Kind::Bytes,
        "0",
        "Bytes that all tasks of a party in one process may take in that folder; 0 is half of what is free on its disk when the \
         process starts, shared by the parties of a process. A task that needs more fails and says so.",
    ),
];

/// The section, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Cores for jobs.
    pub cores: u32,
    /// Memory of one task's tables; none for a share of the machine's.
    pub memory_bytes: Option<u64>,
    /// Where rows go that a task's memory has no room for.
    pub spill_folder: PathBuf,
    /// Bytes that they may take there; none for a share of what is free.
    pub spill_limit_bytes: Option<u64>,
}

impl Config {
    /// Reads the section. Relative paths are under `home`; 0 cores are those of this machine.
    pub fn from_section(section: &Section, home: &Path) -> Result<Self> {
        let machine = || std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let unless_0 = |number: u64| Some(number).filter(|number| *number > 0);
        Ok(Self {
            cores: match section.get("cores")? {
                0 => machine(),
                cores => cores,
            },
            memory_bytes: unless_0(section.get("memory")?),
            spill_folder: section.path_under("spill_folder", home)?,
            spill_limit_bytes: unless_0(section.get("spill_limit")?),
        })
    }

    /// Bytes that rows of one party's tasks may take on disk where so many parties share this process.
    pub fn disk_bytes(&self, parties: usize) -> u64 {
        // A folder that cannot be asked cannot be written to either: the first row that goes there says why.
        let free = || free_bytes(&self.spill_folder).unwrap_or(0);
        self.spill_limit_bytes.unwrap_or_else(|| free() / 2 / parties.max(1) as u64)
    }

    /// What one task may hold where so many parties share this process.
    pub fn task_memory_bytes(&self, parties: usize) -> u64 {
        let machine = || machine_memory_bytes().unwrap_or(UNKNOWN_MEMORY_BYTES);
        self.memory_bytes.unwrap_or_else(|| machine() / 2 / parties.max(1) as u64)
    }
}

/// Total memory of the machine, as Linux reports it.
fn machine_memory_bytes() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use tributary_core::settings::{Origin, Value};

    use super::*;

    fn section(values: &[(&'static str, u64)]) -> Section {
        let mut section = Section::new("computing.standalone", KEYS).unwrap();
        for (name, number) in values {
            section.set(name, Value::Int(*number), Origin::Default);
        }
        section
    }

    #[test]
    fn by_default_the_machine_is_shared_and_rows_spill_under_the_home_folder() {
        let config = Config::from_section(&section(&[]), Path::new("/home/site")).unwrap();
        assert!(config.cores >= 1);
        assert_eq!(config.spill_folder, Path::new("/home/site/spill"));
        assert_eq!(config.spill_limit_bytes, None);
        assert_eq!(config.memory_bytes, None);
        assert_eq!(config.task_memory_bytes(2), config.task_memory_bytes(1) / 2);
    }

    #[test]
    fn by_default_rows_on_disk_have_a_limit_that_parties_share() {
        let home = tempfile::tempdir().unwrap();
        let config = Config::from_section(&section(&[]), home.path()).unwrap();
        let free = free_bytes(home.path()).unwrap();
        let (one, four) = (config.disk_bytes(1), config.disk_bytes(4));
        // Others write to the disk meanwhile.
        assert!(one > 0 && one < free / 4 * 3, "{one} of {free}");
        assert!(four > 0 && four < one, "{four} and {one}");
    }

    #[test]
    fn what_is_given_counts_however_many_share_the_process() {
        let given = section(&[("cores", 3), ("memory", 1 << 20), ("spill_limit", 5)]);
        let config = Config::from_section(&given, Path::new("/home/site")).unwrap();
        assert_eq!((config.cores, config.disk_bytes(1), config.disk_bytes(7)), (3, 5, 5));
        assert_eq!((config.task_memory_bytes(1), config.task_memory_bytes(7)), (1 << 20, 1 << 20));
    }
}
