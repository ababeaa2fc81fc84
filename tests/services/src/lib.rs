//! Real servers for tests: started by their scripts under `scripts/services`, once for a test binary, and stopped when its process ends, however that
//! ends.
//!
//! No destructor does that: a test binary ends without dropping what is static, and may be killed. A shell waits for the other end of a pipe that this
//! process holds, and stops the server once the process is gone.
//!
//! ```no_run
//! use std::sync::LazyLock;
//! use tributary_services::Service;
//!
//! static BROKERS: LazyLock<Service> = LazyLock::new(|| Service::start("rabbitmq", &[("RABBITMQ_BROKERS", "a")]));
//! let port = BROKERS.value("RABBITMQ_A_PORT");
//! ```

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a server that is missing fails the test, with the reason"
)]

mod cable;

pub use cable::{Cable, Faults};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

/// A server, or several of one kind.
#[derive(Debug)]
pub struct Service {
    script: PathBuf,
    folder: PathBuf,
    settings: Vec<(String, String)>,
    _end: ChildStdin,
}

/// The folder of the scripts, above the package whose tests run: what was compiled may have outlived the clone that it was compiled in.
fn scripts() -> PathBuf {
    let here = || std::env::current_dir().unwrap();
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(here, PathBuf::from);
    let scripts =
        package.ancestors().map(|above| above.join("scripts/services")).find(|folder| folder.is_dir());
    scripts.unwrap_or_else(|| panic!("there is no scripts/services above {}", package.display()))
}

impl Service {
    /// Starts `scripts/services/NAME.sh` in a new folder, with these variables. Panics with what the script said if it cannot.
    pub fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        let script = scripts().join(format!("{name}.sh"));
        let folder = tempfile::Builder::new().prefix("tributary-").tempdir().unwrap().keep();
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let service = Self { _end: stop_at_the_end(&script, &folder), script, folder, settings };
        service.start_again();
        service
    }

    /// Starts what has died. What runs goes on.
    pub fn start_again(&self) {
        let settings = self.settings.iter().map(|(key, value)| (key, value));
        let done = Command::new(&self.script).arg("start").arg(&self.folder).envs(settings).output();
        let done = done.unwrap_or_else(|e| panic!("{}: {e}", self.script.display()));
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{}: {said}", self.script.display());
    }

    /// Its folder, with logs below `log`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the script says: ports, users, passwords, process ids. Read anew each time, since a restart changes some.
    pub fn value(&self, key: &str) -> String {
        self.values()
            .remove(key)
            .unwrap_or_else(|| panic!("{} has no {key}", self.folder.join("env").display()))
    }

    /// The same as a port.
    pub fn port(&self, key: &str) -> u16 {
        let value = self.value(key);
        value.parse().unwrap_or_else(|_| panic!("{key} is {value}, expected a port"))
    }

    fn values(&self) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(self.folder.join("env")).unwrap();
        let line = |line: &str| {
            let (key, value) = line.strip_prefix("export ")?.split_once('=')?;
            Some((key.to_owned(), value.trim_matches('\'').to_owned()))
        };
        text.lines().filter_map(line).collect()
    }
}

/// A shell of its own session, so that Ctrl-C reaches it only through the end of this process.
fn stop_at_the_end(script: &Path, folder: &Path) -> ChildStdin {
    let wait = r#"read -r; "$1" stop "$2"; rm -rf "$2""#;
    let mut shell = Command::new("setsid");
    shell.args(["bash", "-c", wait, "_"]).arg(script).arg(folder);
    let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    shell.unwrap().stdin.unwrap()
}
