//! Two sites, each with its own home, keys, tables and process, and one port between them: jobs run as in one process, each site
//! decides for itself, and any process may be killed between any two steps.

use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::site::{Site, binary, example, text, top, wait_until};

pub const GUEST: &str = "9999";
pub const HOST: &str = "10000";

/// A bank and a retailer who trust each other.
pub struct Pair {
    /// Of the guest.
    pub guest: Site,
    /// Of the host.
    pub host: Site,
}

/// A port that nobody has, and that the system gives to no caller: no two tests get the same.
pub(crate) fn port() -> u16 {
    const PORTS: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = std::process::id() * 37 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (next % PORTS) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Pair {
    fn new() -> Self {
        Self::with("")
    }

    /// `more`: further lines of both configurations.
    fn with(more: &str) -> Self {
        Self::configured(|party| {
            let (site, port) = (Site::default(), port());
            let conf = format!(
                "party_id: '{party}'\ndefault_engines: {{federation: direct}}\nfederation: {{patience: 60, direct: {{port: {port}}}}}\n{more}"
            );
            site.write("service_conf.yaml", &conf);
            site.ok(&["site", "init", "--address", &format!("127.0.0.1:{port}")]);
            site
        })
    }

    /// Sites that have configurations and keys, and now trust each other.
    pub fn configured(site: impl Fn(&str) -> Site) -> Self {
        let (guest, host) = (site(GUEST), site(HOST));
        for (from, to) in [(&guest, &host), (&host, &guest)] {
            let card = to.write("partner.card", &from.ok(&["site", "card"]));
            to.ok(&["site", "trust", &card, "--yes"]);
        }
        Self { guest, host }
    }

    /// With the tables of the breast example.
    pub fn with_breast_tables() -> Self {
        Self::with_breast_tables_and("")
    }

    fn with_breast_tables_and(more: &str) -> Self {
        Self::with(more).and_breast_tables()
    }

    /// Both send slowly, so that a job lasts for seconds on any machine.
    pub fn slow(self) -> Self {
        for site in [&self.guest, &self.host] {
            let conf = std::fs::read_to_string(site.home().join("service_conf.yaml")).unwrap();
            let slow = conf.replace("federation: {patience", "federation: {most_rate: 20000, patience");
            assert_ne!(slow, conf);
            site.write("service_conf.yaml", &slow);
        }
        self
    }

    /// Both upload their table of the example.
    pub fn and_breast_tables(self) -> Self {
        self.guest.upload(GUEST, "breast_guest", &["--label", "y"]);
        self.host.upload(HOST, "breast_host", &[]);
        self
    }

    fn site(&self, party: &str) -> &Site {
        if party == GUEST { &self.guest } else { &self.host }
    }

    /// The command that runs a party's part.
    pub fn part(&self, party: &str, more: &[&str]) -> Command {
        let mut command = self.site(party).command(&[&["run", "--party", party], more].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs both parts to their ends: what the guest and the host said.
    fn run(&self, more: &[&str]) -> [Output; 2] {
        let host = self.part(HOST, more).spawn().unwrap();
        let guest = self.part(GUEST, more).spawn().unwrap();
        [guest.wait_with_output().unwrap(), host.wait_with_output().unwrap()]
    }

    /// Runs the example, and compares it with the results of one process.
    pub fn runs_the_example(&self) {
        both_ended_well(&self.run(&[&job()]));
        assert_results(self, &expected(), 1);
        self.is_clean();
    }

    fn jobs(&self, party: &str) -> Vec<Value> {
        let jobs = self.site(party).json(&["job", "list", "-p", party, "--json"]);
        jobs.as_array().unwrap().clone()
    }

    /// That nothing of a job is left but its records. Cores are back if the next job runs: it takes all there are.
    pub(crate) fn is_clean(&self) {
        for party in [GUEST, HOST] {
            let home = self.site(party).home().join("parties").join(party);
            let left: Vec<String> = files(&home)
                .into_iter()
                .filter(|name| name.ends_with(".new") || name.contains("/prepared_"))
                .collect();
            assert_eq!(left, Vec::<String>::new(), "{party}");
        }
    }
}

fn files(folder: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
    let of = |entry: std::fs::DirEntry| match entry.path().is_dir() {
        true => files(&entry.path()),
        false => vec![entry.path().display().to_string()],
    };
    entries.flat_map(of).collect()
}

pub fn job() -> String {
    example("breast/job.yaml").display().to_string()
}

pub(crate) fn both_ended_well(ends: &[Output; 2]) {
    for end in ends {
        assert_eq!(end.status.code(), Some(0), "{}{}", text(&end.stdout), text(&end.stderr));
    }
}

/// What a job computed, at a party.
fn results(site: &Site, party: &str, role: &str) -> Value {
    let model = site.model(party, role, "binning_0");
    let metrics = site.metrics(party, role, "binning_0");
    let tables = site.json(&["table", "list", "-p", party, "--json"]);
    serde_json::json!({"model": model, "metrics": metrics, "tables": tables})
}

/// The results of the example in one process.
pub(crate) fn expected() -> [Value; 2] {
    let site = Site::with_breast_tables();
    site.ok(&["run", "--quiet", &job()]);
    let of = |party: &str, role: &str| {
        let mut all = results(&site, party, role);
        all["tables"] = Value::Null;
        all
    };
    [of(GUEST, "guest"), of(HOST, "host")]
}

/// The results of the last of some jobs, and nothing else of any of them.
pub(crate) fn assert_results(pair: &Pair, expected: &[Value; 2], jobs: usize) {
    for (party, role, expected) in [(GUEST, "guest", &expected[0]), (HOST, "host", &expected[1])] {
        let got = results(pair.site(party), party, role);
        assert_eq!((&got["model"], &got["metrics"]), (&expected["model"], &expected["metrics"]), "{party}");
        let tables = got["tables"].as_array().unwrap().len();
        assert_eq!(tables, 1 + 2 * jobs, "one upload, and outputs of two tasks of each job");
        assert_eq!(pair.jobs(party)[0]["status"], "success");
        assert!(
            !pair.site(party).home().join("parties").join(other(party)).exists(),
            "a site has no records of the other"
        );
    }
}

fn other(party: &str) -> &'static str {
    if party == GUEST { HOST } else { GUEST }
}

#[test]
fn two_sites_get_the_results_of_one_process() {
    Pair::with_breast_tables().runs_the_example();
}

#[test]
fn the_demo_of_two_sites_shows_equal_results_over_a_line_and_through_an_exchange() {
    let output =
        Command::new("bash").arg(top().join("scripts/demo-sites.sh")).arg(binary()).output().unwrap();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    for way in ["over the direct line", "through the exchange"] {
        assert!(said.contains(&format!("equal: what both parties learned {way}")), "{said}");
    }
}

#[test]
fn each_site_sees_the_whole_job_and_its_own_tasks_in_full() {
    let pair = Pair::with_breast_tables();
    let [guest, host] = pair.run(&[&job()]);
    for (said, own, others) in [
        (text(&guest.stderr), "psi_0 guest_9999: masking 500 ids", "psi_0 host_10000: masking"),
        (text(&host.stderr), "psi_0 host_10000: masking 500 ids", "psi_0 guest_9999: masking"),
    ] {
        assert!(said.contains(own) && !said.contains(others), "{said}");
        for expected in
            ["binning_0 guest_9999: success", "binning_0 host_10000: success", "psi_0 waits for reader_0"]
        {
            assert!(said.contains(expected), "{expected} in {said}");
        }
    }
    assert!(text(&host.stdout).contains("done in"), "{}", text(&host.stdout));
}

#[test]
fn a_party_that_never_comes_is_named_within_the_patience() {
    let pair = Pair::new();
    for (party, site) in [(GUEST, &pair.guest), (HOST, &pair.host)] {
        let conf = std::fs::read_to_string(site.home().join("service_conf.yaml")).unwrap();
        site.write("service_conf.yaml", &conf.replace("patience: 60", "patience: 3"));
        let job = example("toy/job.yaml").display().to_string();
        let end = pair.part(party, &[&job]).output().unwrap();
        let said = text(&end.stderr);
        assert_eq!(end.status.code(), Some(5), "{said}");
        let missing = format!("party {}", other(party));
        assert!(said.contains(&missing) && said.contains("not yet there"), "{said}");
        assert_eq!(pair.jobs(party).len(), 0, "nothing is recorded");
    }
}

#[test]
fn sites_that_start_different_jobs_both_learn_it() {
    let pair = Pair::with_breast_tables();
    let text_of_job = std::fs::read_to_string(job()).unwrap();
    let different = pair.host.write("job.yaml", &text_of_job.replace("n_bins: 10", "n_bins: 9"));
    let host = pair.part(HOST, &[&different]).spawn().unwrap();
    let guest = pair.part(GUEST, &[&job()]).output().unwrap();
    let host = host.wait_with_output().unwrap();
    for (end, expected) in [
        (&guest, "party 10000 refuses the job: its operator started another job"),
        (&host, "party 9999 offered job"),
    ] {
        let said = text(&end.stderr);
        assert!(end.status.code() == Some(2) && said.contains(expected), "{:?} {said}", end.status);
    }
    assert_eq!(pair.jobs(GUEST).len() + pair.jobs(HOST).len(), 0);
}

#[test]
fn all_objections_of_all_sites_come_at_once_with_their_places() {
    let pair = Pair::new();
    let host = pair.part(HOST, &[&job()]).spawn().unwrap();
    let guest = pair.part(GUEST, &[&job()]).output().unwrap();
    let said = text(&guest.stderr);
    assert_eq!(guest.status.code(), Some(3), "{said}");
    for expected in [
        "job.yaml:18:24: dag.party_tasks.guest_9999.tasks.reader_0.parameters.name: party 9999 has no table experiment/breast_guest",
        "party 10000 has no table experiment/breast_host",
        "error: the job needs 2 things that are not there",
    ] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    let mut host = host;
    kill(Pid::from_raw(host.id() as i32), Signal::SIGINT).unwrap();
    host.wait().unwrap();
}

/// A job that takes a while.
fn long_job(pair: &Pair) -> [String; 2] {
    let toy = std::fs::read_to_string(example("toy/job.yaml")).unwrap();
    let long = toy.replace("data_num: 1000", "data_num: 60000000");
    [&pair.guest, &pair.host].map(|site| site.write("long.yaml", &long))
}

#[test]
fn ctrl_c_at_any_site_ends_the_job_at_every_site() {
    for stopped in [GUEST, HOST] {
        let pair = Pair::new();
        let [of_guest, of_host] = long_job(&pair);
        let guest = pair.part(GUEST, &[&of_guest]).spawn().unwrap();
        let host = pair.part(HOST, &[&of_host]).spawn().unwrap();
        let runs = |party: &str| pair.jobs(party).first().is_some_and(|job| job["status"] == "running");
        wait_until("the job begins", || runs(GUEST) && runs(HOST));
        let pid = if stopped == GUEST { guest.id() } else { host.id() };
        kill(Pid::from_raw(pid as i32), Signal::SIGINT).unwrap();
        for end in [guest.wait_with_output().unwrap(), host.wait_with_output().unwrap()] {
            assert_eq!(end.status.code(), Some(130), "{}{}", text(&end.stdout), text(&end.stderr));
        }
        for party in [GUEST, HOST] {
            assert_eq!(pair.jobs(party)[0]["status"], "canceled");
            let tables = pair.site(party).json(&["table", "list", "-p", party, "--json"]);
            assert_eq!(tables.as_array().unwrap().len(), 0, "a stopped job leaves no table");
        }
        pair.is_clean();
    }
}

/// An agent, which ends with the test.
struct Agent(Child);

impl Agent {
    fn start(pair: &Pair) -> Self {
        let mut command = pair.host.command(&["agent", "--party", HOST]);
        Self(command.stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Stops it, and gives what it said.
    fn stop(mut self) -> String {
        kill(Pid::from_raw(self.0.id() as i32), Signal::SIGINT).unwrap();
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut said).unwrap();
        self.0.wait().unwrap();
        said
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

const GRANTS: &str = "\
grants:
- partner: 9999
  components: [reader, psi, hetero_feature_binning]
  tables: [experiment/*]
  roles: [host]
";

#[test]
fn an_agent_takes_what_its_grants_allow_and_writes_every_offer_down() {
    let pair = Pair::with_breast_tables();
    let agent = Agent::start(&pair);
    let end = pair.part(GUEST, &[&job()]).output().unwrap();
    let said = text(&end.stderr);
    assert_eq!(end.status.code(), Some(2), "{said}");
    assert!(
        said.contains("party 10000 refuses the job: no grant covers a job that party 9999 offers"),
        "{said}"
    );

    pair.host.write("parties/10000/grants.yaml", GRANTS);
    for _ in 0..2 {
        let end = pair.part(GUEST, &[&job()]).output().unwrap();
        assert_eq!(end.status.code(), Some(0), "{}", text(&end.stderr));
    }
    let revoked = pair.host.command(&["site", "revoke", GUEST, "--party", HOST]).output().unwrap();
    let said = text(&revoked.stderr);
    assert!(revoked.status.success() && said.contains("stop it and start it again"), "{said}");
    let said = agent.stop();
    assert!(said.contains("refused") && said.contains("accepted") && said.contains("success"), "{said}");
    assert_eq!(pair.jobs(HOST).len(), 2);
    let audit = pair.host.ok(&["site", "audit", "--json"]);
    let outcomes: Vec<Value> =
        audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["outcome"].clone()).collect();
    assert_eq!(outcomes.iter().filter(|o| **o == "accepted").count(), 2, "{audit}");
    assert_eq!(outcomes.iter().filter(|o| **o == "refused").count(), 1, "{audit}");
    pair.is_clean();
}

#[test]
fn what_a_party_keeps_to_itself_works_and_never_leaves_its_site() {
    let pair = Pair::with_breast_tables();
    let own = "tasks:\n  binning_0:\n    parameters: {bin_col: [radius_error, texture_error]}\n";
    let own = pair.host.write("own.yaml", own);
    let host = pair.part(HOST, &[&job(), "--own", &own]).spawn().unwrap();
    let guest = pair.part(GUEST, &[&job()]).output().unwrap();
    both_ended_well(&[guest, host.wait_with_output().unwrap()]);
    let model = pair.host.model(HOST, "host", "binning_0").to_string();
    assert!(model.contains("texture_error") && !model.contains("perimeter_error"), "{model}");
    for file in files(pair.guest.home()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(13).any(|bytes| bytes == b"texture_error"), "{file}");
    }

    let wrong = pair.host.write("own.yaml", "tasks:\n  binning_1: {parameters: {n_bins: 5}}\n");
    let end = pair.part(HOST, &[&job(), "--own", &wrong]).output().unwrap();
    let said = text(&end.stderr);
    assert_eq!(end.status.code(), Some(2), "{said}");
    assert!(said.contains("own.yaml:2:3") && said.contains("binning_0"), "{said}");
}

#[test]
fn why_a_part_failed_is_known_at_its_own_site_and_not_at_the_other() {
    let pair = Pair::with_breast_tables();
    let own = "tasks:\n  binning_0:\n    parameters: {bin_col: [radius_eror]}\n";
    let own = pair.host.write("own.yaml", own);
    let host = pair.part(HOST, &[&job(), "--own", &own]).spawn().unwrap();
    let guest = pair.part(GUEST, &[&job()]).output().unwrap();
    let host = host.wait_with_output().unwrap();
    for (end, is_own) in [(&guest, false), (&host, true)] {
        let said = format!("{}{}", text(&end.stderr), text(&end.stdout));
        assert_eq!(end.status.code(), Some(2), "{said}");
        let causes: Vec<&str> = said.lines().filter(|line| line.trim_start().starts_with("cause")).collect();
        assert_eq!(causes.len(), 1, "{said}");
        assert_eq!(causes[0].contains("radius_eror"), is_own, "{}", causes[0]);
    }
    let shown = pair.host.ok(&["job", "show", "-p", HOST, "-j", pair.jobs(HOST)[0]["job"].as_str().unwrap()]);
    assert!(shown.contains("radius_eror"), "{shown}");
}

#[test]
fn a_full_disk_at_one_site_leaves_outputs_at_neither() {
    let pair = Pair::with_breast_tables();
    let text_of_job = std::fs::read_to_string(job()).unwrap();
    let named = text_of_job.replacen("\ndag:\n", "\ndag:\n  conf: {model_id: m, model_version: '1'}\n", 1);
    let jobs = [&pair.guest, &pair.host].map(|site| site.write("job.yaml", &named));
    let folder = pair.host.home().join("parties/10000/models/m/1/host/binning_0");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.join("output_model.json.new")).unwrap();
    let host = pair.part(HOST, &[&jobs[1]]).spawn().unwrap();
    let guest = pair.part(GUEST, &[&jobs[0]]).output().unwrap();
    let host = host.wait_with_output().unwrap();
    for end in [&guest, &host] {
        let said = format!("{}{}", text(&end.stderr), text(&end.stdout));
        assert!(end.status.code() == Some(1) && said.contains("binning_0 of host_10000"), "{said}");
    }
    for party in [GUEST, HOST] {
        assert_eq!(pair.jobs(party)[0]["status"], "failed");
        let tables = pair.site(party).json(&["table", "list", "-p", party, "--json"]);
        assert_eq!(tables.as_array().unwrap().len(), 2, "the upload, and what psi made");
    }
    pair.is_clean();
}

/// How many points a part passes from its start to its end.
fn points(site: &Site) -> usize {
    std::fs::read_to_string(site.home().join("points")).unwrap().lines().count()
}

#[test]
fn a_coordinator_that_is_killed_at_any_step_and_started_again_goes_on_with_the_same_results() {
    killed_at_every_step(GUEST);
}

#[test]
fn a_site_that_is_killed_at_any_step_and_started_again_goes_on_with_the_same_results() {
    killed_at_every_step(HOST);
}

/// Every step of a site is found by running once; then it is killed at each of its steps and started again.
fn killed_at_every_step(party: &str) {
    // The same columns are measured by many jobs.
    let pair = Pair::with_breast_tables_and("limits: {numbers: 1000000}\n");
    let (expected, job) = (expected(), job());
    let start = |party: &str, id: usize, at: Option<usize>| {
        let mut command = pair.part(party, &["--job-id", &format!("j{id}"), &job]);
        match at {
            Some(at) => command.env("TRIBUTARY_FAULT_AT", at.to_string()),
            None => command.env("TRIBUTARY_FAULT_LOG", pair.site(party).home().join("points")),
        };
        command.spawn().unwrap()
    };
    let ends = [start(HOST, 0, None), start(GUEST, 0, None)].map(|part| part.wait_with_output().unwrap());
    both_ended_well(&ends);
    let steps = points(pair.site(party));
    assert!(steps > 20, "{steps}");
    for at in 0..steps {
        let id = at + 1;
        let (mut killed, other) = (start(party, id, Some(at)), start(other(party), id, None));
        let status = killed.wait().unwrap();
        assert!(!status.success(), "{party} at {at}: {status}");
        let again = start(party, id, None).wait_with_output().unwrap();
        let other = other.wait_with_output().unwrap();
        let said = format!("{}{}", text(&again.stderr), text(&again.stdout));
        // Killed after the end was recorded, or before.
        let ended = again.status.code() == Some(4) && said.contains("has ended: success");
        assert!(ended || again.status.success(), "{party} at {at}: {said}");
        assert_eq!(
            other.status.code(),
            Some(0),
            "{party} at {at}: {}{}",
            text(&other.stderr),
            text(&other.stdout)
        );
        assert_results(&pair, &expected, 1 + id);
        pair.is_clean();
    }
}
