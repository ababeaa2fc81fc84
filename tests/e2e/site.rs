//! The `tributary` binary, driven as a user does: a home folder of its own for each test, commands in, output and exit code out.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary, built with this test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tributary"))
}

/// The repository.
pub fn top() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("..").canonicalize().unwrap()
}

/// A file of the examples.
pub fn example(name: &str) -> PathBuf {
    top().join("examples").join(name)
}

/// A home folder and the parties' states in it.
pub struct Site {
    folder: tempfile::TempDir,
}

impl Default for Site {
    fn default() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
}

impl Site {
    /// The home folder.
    pub fn home(&self) -> &Path {
        self.folder.path()
    }

    /// The command with this home.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).env("TRIBUTARY_HOME", self.home()).current_dir(top()).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        check_punctuation(&text(&output.stderr));
        output
    }

    /// Runs a command that must succeed, and gives its standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let shown = format!("{arguments:?}\n{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{shown}");
        text(&output.stdout)
    }

    /// As [`Site::ok`], read as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).unwrap()
    }

    /// Runs a command that must end with `code`, and gives all it said.
    pub fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{shown}");
        shown
    }

    /// Uploads a file of the breast example.
    pub fn upload(&self, party: &str, name: &str, more: &[&str]) {
        let file = example("breast").join(name.trim_start_matches("breast_")).with_extension("csv");
        let file = file.display().to_string();
        let mut arguments =
            vec!["data", "upload", "--party", party, "--namespace", "experiment", "--name", name];
        arguments.extend(["--file", &file]);
        arguments.extend(more);
        self.ok(&arguments);
    }

    /// A site with the tables of the breast example.
    pub fn with_breast_tables() -> Self {
        let site = Self::default();
        site.upload("9999", "breast_guest", &["--label", "y"]);
        site.upload("10000", "breast_host", &[]);
        site
    }

    /// Writes a file into the home folder and gives its path.
    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.home().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// Metrics of a task of the latest job.
    pub fn metrics(&self, party: &str, role: &str, task: &str) -> Vec<Value> {
        let answer = self.json(&["output", "metric", "-p", party, "-r", role, "-tn", task]);
        answer["data"].as_array().unwrap().clone()
    }

    /// The model of a task of the latest job.
    pub fn model(&self, party: &str, role: &str, task: &str) -> Value {
        self.json(&["output", "model", "-p", party, "-r", role, "-tn", task])["data"]["output_model"].clone()
    }
}

/// How long a test waits for something that always comes, on however slow a machine.
pub const AT_LAST: Duration = Duration::from_secs(300);

/// Waits until something is true.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < AT_LAST, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Kills processes at moments that spread over the time that one takes, until that many were killed before they were done.
/// `after` gets the number of the process and whether it was killed. How long one takes is learned on the way, since
/// the machine has other work.
pub fn kill_at_moments(kills: u32, mut start: impl FnMut(u32) -> Child, mut after: impl FnMut(u32, bool)) {
    const MOMENTS: u32 = 10;
    let (mut takes, mut killed) = (Duration::from_millis(40), 0);
    for number in 1.. {
        let mut child = start(number);
        std::thread::sleep(takes * (number * 7 % MOMENTS + 1) / MOMENTS);
        child.kill().unwrap();
        let was_killed = !child.wait().unwrap().success();
        after(number, was_killed);
        match was_killed {
            true => takes += takes / 10,
            false => takes = takes * 3 / 4,
        }
        killed += u32::from(was_killed);
        if killed == kills {
            return;
        }
    }
}

/// Messages are put together from parts, none of which brings the marks of a sentence with it.
fn check_punctuation(said: &str) {
    for marks in
        [";;", ".;", "?;", ",;", ":;", ";.", ".,", ";:", ",:", "?:", ",,", " ;", " ,", ". :", ": :", "; ;"]
    {
        let at = said.find(marks);
        assert_eq!(at.map(|_| marks), None, "{said}");
    }
    let ends = said.lines().filter(|line| line.ends_with(';') || line.ends_with(','));
    assert_eq!(ends.count(), 0, "{said}");
}

/// What a command wrote.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
