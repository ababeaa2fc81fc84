//! What a new user stumbles over is answered with what to do: the file, the key, the party, the command.

use crate::site::Site;

const DIRECT: &str = "default_engines: {federation: direct}\nfederation: {direct: {listen: false}}";
const JOB: &str = "schema_version: 2.2.0\ndag:\n  parties: [{role: guest, party_id: ['9999']}, {role: host, party_id: ['10000']}]\n  \
                   stage: default\n  tasks: {toy_0: {component_ref: toy_example, parameters: {data_num: 100, partition: 2}}}\n";

fn says(site: &Site, code: i32, arguments: &[&str], expected: &str) {
    let shown = site.fails(code, arguments);
    assert!(shown.contains(expected), "{arguments:?}: expected {expected} in {shown}");
}

#[test]
fn a_path_that_cannot_be_read_is_named() {
    let site = Site::default();
    let missing = "none.yaml: there is no such file or folder";
    site.ok(&["site", "init", "--party", "9999"]);
    says(&site, 3, &["run", "none.yaml"], missing);
    says(&site, 1, &["run", "."], "read job .: it is a folder, not a file");
    says(&site, 3, &["site", "trust", "none.yaml", "--yes"], missing);
    says(&site, 3, &["bench", "tune", "--compare", "none.yaml", "none.yaml"], missing);
    let card = site.write("damaged.card", "no card");
    says(&site, 2, &["site", "trust", &card], "damaged.card:1: expected");
    std::fs::create_dir(site.home().join("service_conf.yaml")).unwrap();
    says(&site, 1, &["config", "show"], "service_conf.yaml: it is a folder, not a file");
}

#[test]
fn a_site_whose_partners_are_elsewhere_runs_and_explains_its_own_part() {
    let site = Site::default();
    site.write("service_conf.yaml", DIRECT);
    let job = site.write("job.yaml", JOB);
    for with_keys in [false, true] {
        for command in ["run", "explain"] {
            says(&site, 2, &[command, &job], "add --party 9999");
        }
        if !with_keys {
            site.ok(&["site", "init", "--party", "9999"]);
        }
    }
    let shown = site.ok(&["explain", &job, "--party", "9999"]);
    assert!(shown.contains("guest_9999") && !shown.contains("host_10000"), "{shown}");
    says(&site, 2, &["explain", &job, "--party", "1"], "party 1 has no part in the job");
    says(&site, 1, &["run", &job, "--party", "9999"], "tributary site trust 10000.card --party 9999");
    says(&site, 3, &["agent", "--party", "9999"], "party 9999 trusts no partner yet");
    assert!(!site.fails(3, &["agent", "--party", "9999"]).contains("waits for offers"));
    says(&site, 2, &["peer", "ping", "9999", "--party", "9999"], "party 9999 is this site");
}

#[test]
fn an_address_without_a_port_is_refused_with_its_place() {
    let site = Site::default();
    site.write("service_conf.yaml", "federation: {direct: {peers: {'10000': {address: shop}}}}");
    says(&site, 2, &["config", "show"], "service_conf.yaml:1:");
    says(
        &site,
        2,
        &["config", "show"],
        "address: expected HOST:PORT, such as bank.example:9370, got \"shop\"",
    );
}

#[test]
fn what_a_party_does_not_have_is_said_with_the_party_and_the_nearest_name() {
    let site = Site::with_breast_tables();
    let named =
        |command: &'static str| ["table", command, "-p", "9999", "-ns", "experiment", "-n", "breast_gest"];
    let rename = [&named("rename")[..], &["--to-name", "b"]].concat();
    for command in [&named("delete")[..], &named("verify")[..], &rename[..]] {
        says(&site, 3, command, "party 9999 has no table experiment/breast_gest (did you mean");
    }
    says(&site, 3, &["job", "list", "-p", "4711"], "no party 4711");
    says(&site, 3, &["config", "show", "-p", "4711"], "no party 4711");
    says(&site, 3, &["job", "show", "-j", "123"], "party 9999 has no job 123");
    let query = ["table", "query", "-p", "9999", "-ns", "experiment", "-n", "breast_guest"];
    let shown = site.ok(&query);
    assert!(
        shown.contains("partition") && shown.contains("float64") && !shown.contains("Float64"),
        "{shown}"
    );
    assert!(!shown.contains("Loose("), "{shown}");
}
