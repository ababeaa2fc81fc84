//! What a site that runs unattended accepts, refuses, tells its partner and writes down.

use std::process::{Child, Output, Stdio};

use serde_json::Value;

use crate::site::{Site, example, text, wait_until};
use crate::sites::{own_address, two_on_a_line};

/// A guest that offers jobs, and a host whose agent decides.
struct Sites {
    guest: Site,
    host: Site,
    agent: Child,
}

impl Sites {
    fn new() -> Self {
        let (guest, host) = two_on_a_line(&own_address(), 300);
        guest.upload("9999", "breast_guest", &["--label", "y"]);
        host.upload("10000", "breast_host", &[]);
        let said = std::fs::File::create(host.home().join("agent.log")).unwrap();
        let agent = host.command(&["agent", "--party", "10000"]).stderr(Stdio::from(said)).spawn().unwrap();
        Self { guest, host, agent }
    }

    /// A grant of everything that the example needs, and more.
    fn grant(&self, more: &str) {
        let grant = "partner: 9999, components: [reader, psi, hetero_feature_binning], tables: [experiment], roles: [host]";
        self.host.write("parties/10000/grants.yaml", &format!("grants:\n- {{{grant}{more}}}\n"));
    }

    fn offer(&self, job: &str) -> Output {
        self.guest.run(&["run", "--party", "9999", "--quiet", job])
    }

    /// Offers a job that is refused, and gives what the guest is told.
    fn refused(&self, job: &str) -> String {
        let output = self.offer(job);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!output.status.success(), "{said}");
        said
    }

    fn audit(&self) -> Vec<Value> {
        let lines = self.host.ok(&["site", "audit", "--json"]);
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until the agent has said something: it answers first.
    fn agent_says(&self, expected: &str) {
        let log = self.host.home().join("agent.log");
        wait_until(expected, || std::fs::read_to_string(&log).unwrap().contains(expected));
    }
}

impl Drop for Sites {
    fn drop(&mut self) {
        drop(self.agent.kill());
        drop(self.agent.wait());
    }
}

fn job() -> String {
    example("breast/job.yaml").display().to_string()
}

#[test]
fn a_refusal_tells_the_partner_its_own_words_and_the_operator_what_to_change() {
    let sites = Sites::new();
    sites.grant(", most_rows: 499");
    let told = sites.refused(&job());
    assert!(
        told.contains("party 10000 refuses the job: table experiment/breast_host is not granted at its size"),
        "{told}"
    );
    assert!(!told.contains("499") && !told.contains("500") && !told.contains("most_rows"), "{told}");

    // A table of a granted namespace that is not there: its partner learns no other name.
    sites.grant("");
    let other = std::fs::read_to_string(job()).unwrap().replace("breast_host", "breast_hots");
    let told = sites.refused(&sites.guest.write("other.yaml", &other));
    assert!(told.contains("party 10000 has no table experiment/breast_hots"), "{told}");
    assert!(!told.contains("breast_host\""), "{told}");

    // A mistake in the file is the operator's.
    sites.grant(", most_row: 1");
    let told = sites.refused(&job());
    assert!(told.contains("it cannot decide now") && !told.contains("most_row"), "{told}");

    let audit = sites.audit();
    assert_eq!(
        audit.iter().map(|entry| entry["outcome"].as_str().unwrap()).collect::<Vec<_>>(),
        ["refused"; 3]
    );
    let card = sites.host.json(&["site", "list", "--json"])["partners"][0]["fingerprint"].clone();
    assert!(audit.iter().all(|entry| entry["key"] == card && entry["partner"] == "9999"), "{audit:?}");
    assert_eq!(audit[0]["reasons"][0], "table experiment/breast_host is not granted at its size");
    for expected in [
        "raise `most_rows` of grant 1 (line 2), now 499; the table has 500 rows",
        "did you mean \"experiment/breast_host\"?",
        "most_row: unknown key (did you mean \"most_rows\"?)",
    ] {
        sites.agent_says(expected);
    }
}

#[test]
fn a_grant_asks_for_more_common_rows_than_the_site_does() {
    let sites = Sites::new();
    sites.grant(", least_common_rows: 100000");
    let told = sites.refused(&job());
    assert!(told.contains("psi_0"), "{told}");
    sites.grant(", least_common_rows: 100");
    let output = sites.offer(&job());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let audit = sites.audit();
    assert!(
        audit.iter().all(|entry| entry["outcome"] == "accepted" && entry["by"]["grant"] == 1),
        "{audit:?}"
    );
    assert_eq!(audit.len(), 2);
}
