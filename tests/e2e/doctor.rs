//! `doctor`: what works is said to work, and of what does not, what to change.

use serde_json::Value;
use tributary_services::Service;

use crate::distant::{HDFS, sections};
use crate::site::{Site, text};

/// The findings about a part: what, and its state.
fn findings(diagnosis: &Value, part: &str) -> Vec<(String, String)> {
    let parts = diagnosis["parts"].as_array().unwrap();
    let part =
        parts.iter().find(|found| found["part"] == part).unwrap_or_else(|| panic!("no {part}: {diagnosis}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    part["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| (text(&found["what"]), text(&found["state"])))
        .collect()
}

/// What is shown where something is wrong.
fn wrong(site: &Site) -> String {
    let output = site.run(&["doctor", "--party", "9999"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    text(&output.stdout).to_owned()
}

#[test]
fn every_engine_of_a_fresh_party_is_found_to_work() {
    let site = Site::with_breast_tables();
    let shown = site.ok(&["doctor", "--party", "9999"]);
    for part in
        ["home", "configuration", "storage.file", "storage_meta.sqlite", "computing.standalone", "federation"]
    {
        assert!(shown.lines().any(|line| line == part), "{part}: {shown}");
    }
    assert!(shown.contains("✔") && !shown.contains("✘"), "{shown}");
    let diagnosis = site.json(&["doctor", "--party", "9999", "--json"]);
    let store = findings(&diagnosis, "storage.file");
    for what in [
        "writes",
        "reads",
        "looks at files",
        "clock",
        "conditions",
        "throughput",
        "removes",
        "free space",
        "permissions",
    ] {
        assert!(store.contains(&(what.into(), "good".into())), "{what}: {store:?}");
    }
    assert!(findings(&diagnosis, "storage_meta.sqlite").contains(&("conditions".into(), "good".into())));
    assert!(findings(&diagnosis, "computing.standalone").contains(&("computation".into(), "good".into())));
    let tables = site.json(&["table", "list", "--party", "9999", "--json"]);
    assert_eq!(tables.as_array().unwrap().len(), 1, "nothing is left of it: {tables}");
}

#[test]
fn a_store_that_refuses_a_key_is_named_and_hides_no_other() {
    let s3 = Service::start("s3", &[]);
    let site = Site::with_breast_tables();
    let conf = |key: &str| {
        format!(
            "storage: {{s3: {{bucket: {}, endpoint: '{}', access_key_id: {}, secret_access_key: {key}}}}}\n",
            s3.value("S3_BUCKET"),
            s3.value("S3_ENDPOINT"),
            s3.value("S3_ACCESS_KEY"),
        )
    };
    site.write("service_conf.yaml", &conf(&s3.value("S3_SECRET_KEY")));
    let diagnosis = site.json(&["doctor", "--party", "9999", "--json"]);
    let store = findings(&diagnosis, "storage.s3");
    for what in ["writes", "reads", "conditions", "throughput", "removes"] {
        assert!(store.contains(&(what.into(), "good".into())), "{what}: {store:?}");
    }
    site.write("service_conf.yaml", &conf("hunter2"));
    let shown = wrong(&site);
    assert!(shown.contains("✘") && shown.contains("the server refuses the credentials"), "{shown}");
    assert!(shown.contains("at party 9999: give this user what is missing there"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("computation"), "the others are examined: {shown}");
    site.write("service_conf.yaml", "storage: {s3: {bucket: [1]}}\n");
    let shown = wrong(&site);
    assert!(shown.contains("✘ ") && shown.contains("bucket"), "{shown}");
}

/// Every store that a party may have, beside each other.
#[test]
fn distant_stores_and_databases_are_found_to_work() {
    let site = Site::default();
    site.write(
        "service_conf.yaml",
        &format!(
            "{}{}",
            sections(&site, &[&HDFS]),
            crate::databases::sections(&site).replacen("storage:\n", "", 1)
        ),
    );
    let diagnosis = site.json(&["doctor", "--party", "9999", "--json"]);
    let good = |part: &str, expected: &[&str]| {
        let found = findings(&diagnosis, part);
        for what in expected {
            assert!(found.contains(&((*what).into(), "good".into())), "{part}: {what}: {found:?}");
        }
    };
    let tables = ["writes", "reads", "conditions", "throughput", "removes", "clock"];
    for engine in ["postgresql", "mysql"] {
        good(&format!("storage.{engine}"), &tables);
        good(&format!("storage.{engine}"), &["server", "protection of the line", "size"]);
    }
    good("storage.hdfs", &tables);
    good("storage.hdfs", &["free space", "permissions"]);
    let conf = crate::databases::sections(&site).replace("user: tributary", "user: hunter2");
    site.write("service_conf.yaml", &conf);
    let shown = wrong(&site);
    assert!(shown.contains("✘     server") && shown.contains("check user and passwd"), "{shown}");
    assert!(shown.contains("computation"), "the others are examined: {shown}");
}
