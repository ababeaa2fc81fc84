//! A site whose tables, and what it knows of them, are in real PostgreSQL and MariaDB databases.

use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use tributary_services::Service;

#[cfg(feature = "ballista")]
use crate::cluster::Up;
use crate::site::{Site, example};

static POSTGRES: LazyLock<Service> = LazyLock::new(|| Service::start("postgres", &[]));
static MARIADB: LazyLock<Service> = LazyLock::new(|| Service::start("mariadb", &[]));

/// Engine, server, and how its script's values begin.
fn both() -> [(&'static str, &'static Service, &'static str); 2] {
    [("postgresql", &POSTGRES, "POSTGRES"), ("mysql", &MARIADB, "MARIADB")]
}

/// The sections of stores and metadata in both servers. Sites share the databases: a site's tables have a prefix of their own.
pub fn sections(site: &Site) -> String {
    let prefix: u32 = site
        .home()
        .to_string_lossy()
        .bytes()
        .fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let mut text = ["storage:\n".to_owned(), "storage_meta:\n".to_owned()];
    for (engine, service, words) in both() {
        let value = |key: &str| service.value(&format!("{words}_{key}"));
        site.write(&format!("{engine}.password"), &format!("{}\n", value("PASSWORD")));
        let server = format!(
            "    host: localhost\n    port: {}\n    user: {}\n    passwd: 'file:{engine}.password'\n    ca_file: {}/ca.pem\n",
            value("PORT"),
            value("USER"),
            value("CERTIFICATES")
        );
        text[0] += &format!("  {engine}:\n{server}    db: {}\n    prefix: e{prefix}_\n", value("DB"));
        text[1] += &format!("  {engine}:\n{server}    name: {}\n", value("DB"));
    }
    text.concat()
}

fn moved_to(engine: &str) -> Site {
    let site = Site::default();
    site.write("service_conf.yaml", &format!("default_engines: {{storage: {engine}}}\n{}", sections(&site)));
    site.upload("9999", "breast_guest", &["--label", "y"]);
    site.upload("10000", "breast_host", &[]);
    site
}

fn learned(site: &Site) -> Vec<Value> {
    site.ok(&["run", "--quiet", "--job-id", "one", &example("breast/job.yaml").display().to_string()]);
    let mut all = site.metrics("9999", "guest", "binning_0");
    all.push(site.model("9999", "guest", "binning_0"));
    all.push(site.model("10000", "host", "binning_0"));
    all
}

fn at<'a>(party: &'a str, name: &'a str) -> [&'a str; 6] {
    ["--party", party, "--namespace", "experiment", "--name", name]
}

fn download(site: &Site, party: &str, name: &str) -> String {
    site.ok(&[&["data", "download"], at(party, name).as_slice(), &["--output", "-"]].concat())
}

#[test]
fn jobs_on_tables_in_a_database_give_the_same() {
    let expected = learned(&Site::with_breast_tables());
    for (engine, ..) in both() {
        let site = moved_to(engine);
        assert_eq!(learned(&site), expected, "{engine}");
        for party in ["9999", "10000"] {
            let list = site.json(&["table", "list", "--party", party, "--json"]);
            assert!(list.as_array().unwrap().iter().all(|record| record["engine"] == engine), "{list}");
            assert!(!site.home().join("parties").join(party).join("tables").exists());
        }
    }
}

#[test]
fn a_table_goes_through_both_databases_and_comes_back_the_same() {
    let site = Site::default();
    site.write("service_conf.yaml", &sections(&site));
    site.upload("9999", "breast_guest", &["--label", "y"]);
    let rows = download(&site, "9999", "breast_guest");
    let query = |name| site.json(&[&["table", "query"], at("9999", name).as_slice(), &["--json"]].concat());
    let original = query("breast_guest");
    for (from, to, store) in [
        ("breast_guest", "a", "postgresql"),
        ("a", "b", "postgresql"),
        ("b", "c", "mysql"),
        ("c", "d", "mysql"),
        ("d", "e", "file"),
    ] {
        let (source, copy) = (format!("experiment/{from}"), format!("experiment/{to}"));
        site.ok(&["table", "copy", &source, &copy, "--store", store, "--party", "9999", "--quiet"]);
        let found = query(to);
        assert_eq!(found["engine"], store);
        for key in ["schema", "layout", "rows", "preview"] {
            assert_eq!(found[key], original[key], "{key} of {to}");
        }
        assert_eq!(download(&site, "9999", to), rows, "{to}");
        assert!(site.ok(&[&["table", "verify"], at("9999", to).as_slice()].concat()).contains("is complete"));
    }
    site.ok(&[&["table", "rename"], at("9999", "c").as_slice(), &["--to-name", "renamed"]].concat());
    assert_eq!(download(&site, "9999", "renamed"), rows);
    site.ok(&[&["table", "delete"], at("9999", "a").as_slice()].concat());
    site.fails(3, &[&["table", "verify"], at("9999", "a").as_slice()].concat());
    assert!(!site.ok(&["gc"]).contains("error"));
}

/// Two homes, as two servers of a site, see the same tables.
#[test]
fn servers_share_what_they_know_of_tables() {
    for (engine, ..) in both() {
        let (one, other) = (Site::default(), Site::default());
        let conf =
            format!("default_engines: {{storage: {engine}, storage_meta: {engine}}}\n{}", sections(&one));
        one.write("service_conf.yaml", &conf);
        sections(&other);
        other.write("service_conf.yaml", &conf);
        let party = format!("shared.{}", std::process::id());
        // A server knows the parties that have a folder there.
        for server in [&one, &other] {
            server.write(&format!("parties/{party}/service_conf.yaml"), "{}");
        }
        one.upload(&party, "breast_guest", &["--label", "y"]);
        assert_eq!(download(&other, &party, "breast_guest"), download(&one, &party, "breast_guest"));
        other.ok(&[&["table", "delete"], at(&party, "breast_guest").as_slice()].concat());
        let gone = one.fails(3, &[&["table", "query"], at(&party, "breast_guest").as_slice()].concat());
        assert!(gone.contains("has no table"), "{gone}");
        assert!(!one.home().join("parties").join(&party).join("meta.db").exists());
    }
}

#[test]
fn a_table_of_fates_is_bound_and_used_where_it_is() {
    let site = Site::default();
    let conf = format!("default_engines: {{storage: mysql}}\n{}", sections(&site));
    site.write("service_conf.yaml", &conf);
    let value = |key: &str| MARIADB.value(&format!("MARIADB_{key}"));
    let table = "CREATE TABLE customers (id VARCHAR(100) PRIMARY KEY, y INT NOT NULL, x0 DOUBLE, x1 VARCHAR(255)); \
                 INSERT INTO customers SELECT CONCAT('id', seq), seq % 2, seq / 7e0, 'text' FROM seq_1_to_500";
    let (port, password) = (value("PORT"), value("PASSWORD"));
    let mut said = Command::new("mariadb");
    said.args([
        "--no-defaults",
        "--host=127.0.0.1",
        "--port",
        &port,
        "--user",
        &value("USER"),
        "--execute",
        table,
    ]);
    assert!(said.arg(format!("--password={password}")).arg(value("DB")).status().unwrap().success());

    let bind = ["--table", "customers", "--id", "id", "--label", "y", "--partitions", "3"];
    let bound = site.ok(&[&["table", "bind"], at("9999", "customers").as_slice(), &bind].concat());
    assert!(bound.contains("500 rows"), "{bound}");
    assert_eq!(download(&site, "9999", "customers").lines().count(), 501);
    assert!(site.ok(&[&["table", "preview"], at("9999", "customers").as_slice()].concat()).contains("text"));
    let unknown =
        [&["table", "bind"], at("9999", "u").as_slice(), &["--table", "custmers", "--id", "id"]].concat();
    assert!(site.fails(3, &unknown).contains("no table or view"));
}

#[test]
fn passwords_are_shown_nowhere() {
    for (engine, service, words) in both() {
        let site = moved_to(engine);
        let secret = service.value(&format!("{words}_PASSWORD"));
        let shown = site.ok(&["config", "show"]);
        assert!(shown.contains(&format!("storage.{engine}.passwd")) && !shown.contains(&secret), "{shown}");
        let conf = format!("default_engines: {{storage: {engine}}}\n{}", sections(&site));
        site.write("service_conf.yaml", &conf.replace("user: tributary", "user: hunter2"));
        let denied = site.fails(1, &[&["table", "verify"], at("9999", "breast_guest").as_slice()].concat());
        assert!(denied.contains("check user and passwd") && !denied.contains(&secret), "{denied}");
    }
}

/// The executors find the database, and the password, in their own configuration.
#[cfg(feature = "ballista")]
#[test]
fn executors_of_a_cluster_read_and_write_the_database_themselves() {
    let expected = learned(&Site::with_breast_tables());
    for (engine, ..) in both() {
        let site = moved_to(engine);
        let up = Up::start(&site);
        let cluster = up
            .configuration()
            .replace("{computing: spark}", &format!("{{computing: spark, storage: {engine}}}"));
        site.write("service_conf.yaml", &format!("{cluster}{}", sections(&site)));
        assert_eq!(learned(&site), expected, "{engine}");
        up.end();
    }
}
