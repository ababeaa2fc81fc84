//! Two sites that share nothing but a RabbitMQ broker, or have one each: jobs run as in one process, nothing is left, and errors speak of the broker.

use std::sync::LazyLock;

use serde_json::Value;
use tributary_services::Service;

use crate::apart::{GUEST, HOST, Pair, job};
use crate::site::{Site, wait_until};

static BROKERS: LazyLock<Service> = LazyLock::new(|| Service::start("rabbitmq", &[]));

/// One of both brokers, in a virtual host of its own.
struct Broker {
    letter: &'static str,
    vhost: &'static str,
}

impl Broker {
    fn new(letter: &'static str, vhost: &'static str) -> Self {
        let broker = Self { letter, vhost };
        broker.ctl(&["add_vhost", vhost]);
        broker.ctl(&["set_permissions", "-p", vhost, &BROKERS.value("RABBITMQ_USER"), ".*", ".*", ".*"]);
        broker
    }

    fn ctl(&self, arguments: &[&str]) -> String {
        let done = std::process::Command::new(BROKERS.value(&format!("RABBITMQ_{}_CTL", self.letter)))
            .args(arguments)
            .output();
        let done = done.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    fn port(&self) -> u16 {
        BROKERS.port(&format!("RABBITMQ_{}_PORT", self.letter))
    }

    /// Lines of a configuration.
    fn conf(&self, party: &str, mode: &str, more: &str) -> String {
        let mng_port = BROKERS.port(&format!("RABBITMQ_{}_HTTP_PORT", self.letter));
        let (user, password) = (BROKERS.value("RABBITMQ_USER"), BROKERS.value("RABBITMQ_PASSWORD"));
        format!(
            "party_id: '{party}'\ndefault_engines: {{federation: rabbitmq}}\nfederation: {{patience: 60, rabbitmq: {{mode: {mode}, host: 127.0.0.1, \
             port: {}, mng_port: {mng_port}, user: {user}, password: '{password}', vhost: {}, {more}}}}}\n",
            self.port(),
            self.vhost
        )
    }

    /// Queues but those of letters, which wait for sites that are away.
    fn queues(&self) -> Vec<String> {
        let listed = self.ctl(&["-q", "list_queues", "-p", self.vhost, "--no-table-headers", "name"]);
        listed.lines().filter(|name| !name.starts_with("tributary.letters.")).map(str::to_owned).collect()
    }
}

fn shared(vhost: &'static str, more: &str) -> (Broker, Pair) {
    let broker = Broker::new("A", vhost);
    let pair = Pair::configured(|party| {
        let site = Site::default();
        site.write("service_conf.yaml", &broker.conf(party, "client", more));
        site.ok(&["site", "init"]);
        site
    });
    (broker, pair.and_breast_tables())
}

#[test]
fn two_sites_that_share_a_broker_learn_what_they_learn_in_one_process() {
    let (broker, pair) = shared("e2e-shared", "");
    pair.runs_the_example();
    assert_eq!(broker.queues(), Vec::<String>::new());
    let status = pair.guest.json(&["federation", "status", "--json"]);
    let channels = status["channels"].as_array().unwrap();
    assert!(
        channels.iter().all(|channel| channel["purpose"] == "letters" && channel["wanted"] == true),
        "{status}"
    );
}

#[test]
fn two_sites_with_a_broker_each_learn_what_they_learn_in_one_process() {
    let brokers = [Broker::new("A", "e2e-joined"), Broker::new("B", "e2e-joined")];
    let pair = Pair::configured(|party| {
        let (own, other, partner) = if party == GUEST { (0, 1, HOST) } else { (1, 0, GUEST) };
        let site = Site::default();
        site.write("service_conf.yaml", &brokers[own].conf(party, "replication", ""));
        let route = format!("{partner}: {{host: 127.0.0.1, port: {}}}\n", brokers[other].port());
        site.write("rabbitmq_route_table.yaml", &route);
        site.ok(&["site", "init"]);
        site
    });
    let pair = pair.and_breast_tables();
    pair.runs_the_example();
    // A link between the brokers that begins after its channel has ended makes an empty queue again.
    wait_until("queues of an ended job are removed", || {
        pair.guest.ok(&["federation", "gc"]);
        pair.host.ok(&["federation", "gc"]);
        brokers.iter().all(|broker| broker.queues().is_empty())
    });
}

#[test]
fn what_two_killed_sites_leave_is_seen_by_its_job_and_goes_with_time() {
    let (broker, pair) = shared("e2e-killed", "expires: 30");
    let pair = pair.slow();
    let mut parts = [HOST, GUEST].map(|party| pair.part(party, &[&job()]).spawn().unwrap());
    wait_until("a task has begun", || !broker.queues().is_empty());
    for part in &mut parts {
        part.kill().unwrap();
        part.wait().unwrap();
    }
    wait_until("the status shows whose queues they are", || {
        let status = pair.guest.json(&["federation", "status", "--json"]);
        let is_of_job = |channel: &Value| {
            channel["purpose"]["session"]["job"].is_string() || channel["purpose"] == "letters"
        };
        let channels = status["channels"].as_array().unwrap();
        channels.iter().all(is_of_job) && channels.iter().any(|channel| channel["purpose"] != "letters")
    });
    wait_until("the broker removes what nobody uses", || broker.queues().is_empty());
}

#[test]
fn a_ping_says_what_is_wrong_with_the_broker() {
    let (broker, pair) = shared("e2e-ping", "away: 1");
    let wrong = |from: &str, to: &str| {
        let conf = broker.conf(GUEST, "client", "away: 1").replace(from, to);
        pair.guest.write("service_conf.yaml", &conf);
        pair.guest.fails(1, &["peer", "ping", HOST])
    };
    let said = wrong(&BROKERS.value("RABBITMQ_PASSWORD"), "hunter2");
    assert!(
        said.contains("login refused to user")
            && said.contains("at party 9999: ")
            && !said.contains("hunter2"),
        "{said}"
    );
    let said = wrong("vhost: e2e-ping", "vhost: nowhere");
    assert!(said.contains("no virtual host nowhere"), "{said}");
    let said = wrong(&format!("port: {}", broker.port()), "port: 1");
    assert!(said.contains("cannot be reached"), "{said}");
}

#[test]
fn a_transport_without_a_broker_says_so() {
    let site = Site::default();
    let said = site.ok(&["federation", "status", "--party", GUEST]);
    assert!(said.contains("uses memory, of which nothing outlives the processes of the sites"), "{said}");
    assert_eq!(
        site.json(&["federation", "gc", "--party", GUEST, "--json"])["channels"],
        serde_json::json!([])
    );
}
