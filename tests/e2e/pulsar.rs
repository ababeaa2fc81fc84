//! Two sites that share nothing but a Pulsar cluster, or have one each: jobs run as in one process, nothing is left, and errors speak of the
//! cluster.

use std::process::Command;
use std::sync::LazyLock;

use tributary_services::Service;

use crate::apart::{GUEST, HOST, Pair, job};
use crate::site::{Site, text, wait_until};

static CLUSTERS: LazyLock<Service> = LazyLock::new(|| Service::start("pulsar", &[]));

/// Lines of a configuration for a cluster (`A` or `B`), in a tenant of its own.
fn conf(cluster: &str, tenant: &str, party: &str, more: &str) -> String {
    let port = |kind: &str| CLUSTERS.port(&format!("PULSAR_{cluster}_{kind}"));
    format!(
        "party_id: '{party}'\ndefault_engines: {{federation: pulsar}}\nfederation: {{patience: 120, pulsar: {{host: 127.0.0.1, port: {}, \
         mng_port: {}, cluster: {}, tenant: {tenant}, token: '{}', {more}}}}}\n",
        port("PORT"),
        port("HTTP_PORT"),
        cluster.to_lowercase(),
        CLUSTERS.value("PULSAR_TOKEN")
    )
}

/// Sites that use one cluster.
fn shared(tenant: &str, more: &str) -> Pair {
    let pair = Pair::configured(|party| {
        let site = Site::default();
        site.write("service_conf.yaml", &conf("A", tenant, party, &format!("mode: client, {more}")));
        site.ok(&["site", "init"]);
        site
    });
    pair.and_breast_tables()
}

/// Topics of a namespace but those of letters, which wait for sites that are away.
fn topics(cluster: &str, namespace: &str) -> Vec<String> {
    let port = CLUSTERS.port(&format!("PULSAR_{cluster}_HTTP_PORT"));
    let token = format!("Authorization: Bearer {}", CLUSTERS.value("PULSAR_TOKEN"));
    let url = format!("http://127.0.0.1:{port}/admin/v2/persistent/{namespace}");
    let listed = Command::new("curl").args(["-sS", "-m", "20", "-H", &token, &url]).output().unwrap();
    let listed = text(&listed.stdout);
    // Before the first job there is no such namespace.
    let names: Vec<String> = serde_json::from_str(&listed).unwrap_or_default();
    names.into_iter().filter(|name| !name.contains("/tributary.letters.")).collect()
}

#[test]
fn two_sites_that_share_a_cluster_learn_what_they_learn_in_one_process() {
    let pair = shared("e2e-shared", "");
    pair.runs_the_example();
    assert_eq!(topics("A", "e2e-shared/tributary"), Vec::<String>::new());
}

#[test]
fn two_sites_with_a_cluster_each_learn_what_they_learn_in_one_process() {
    let pair = Pair::configured(|party| {
        let (own, other, partner) = if party == GUEST { ("A", "B", HOST) } else { ("B", "A", GUEST) };
        let site = Site::default();
        site.write("service_conf.yaml", &conf(own, "e2e-joined", party, "mode: replication"));
        let port = CLUSTERS.port(&format!("PULSAR_{other}_PORT"));
        site.write("pulsar_route_table.yaml", &format!("{partner}: {{host: 127.0.0.1, port: {port}}}\n"));
        site.ok(&["site", "init"]);
        site
    });
    pair.and_breast_tables().runs_the_example();
    for cluster in ["A", "B"] {
        wait_until("topics of an ended job are removed", || {
            topics(cluster, "e2e-joined/tributary.10000.9999").is_empty()
        });
    }
}

#[test]
fn what_two_killed_sites_leave_goes_with_time() {
    let pair = shared("e2e-killed", "topic_ttl: 1").slow();
    let left = || topics("A", "e2e-killed/tributary");
    let mut parts = [HOST, GUEST].map(|party| pair.part(party, &[&job()]).spawn().unwrap());
    wait_until("a task has begun", || !left().is_empty());
    for part in &mut parts {
        part.kill().unwrap();
        part.wait().unwrap();
    }
    wait_until("the cluster removes what nobody uses", || left().is_empty());
}

#[test]
fn a_ping_says_what_is_wrong_with_the_cluster() {
    let pair = shared("e2e-ping", "away: 1");
    let wrong = |from: &str, to: &str| {
        let conf = conf("A", "e2e-ping", GUEST, "mode: client, away: 1").replace(from, to);
        pair.guest.write("service_conf.yaml", &conf);
        pair.guest.fails(1, &["peer", "ping", HOST])
    };
    let said = wrong(&CLUSTERS.value("PULSAR_TOKEN"), "hunter2");
    assert!(said.contains("login refused") && !said.contains("hunter2"), "{said}");
    let said = wrong("cluster: a", "cluster: z");
    assert!(said.contains("see federation.pulsar.cluster"), "{said}");
    let said = wrong(&format!(" port: {}", CLUSTERS.port("PULSAR_A_PORT")), " port: 1");
    assert!(said.contains("host, port and tls"), "{said}");
}
