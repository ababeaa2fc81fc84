//! `service_conf.yaml`: what it may say, what is in force, and the page that lists every key.

use std::collections::BTreeMap;

use crate::site::{Site, top};

/// The sections of the page by their headings.
fn sections(page: &str) -> BTreeMap<&str, &str> {
    page.split("\n## ").map(|section| section.split_once('\n').unwrap()).collect()
}

#[test]
fn the_reference_page_lists_the_keys_of_every_engine() {
    let path = top().join("docs/service_conf.md");
    let printed = Site::default().ok(&["config", "reference"]);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        if !cfg!(feature = "ballista") {
            panic!("the page is written by `cargo xtask reference`");
        }
        std::fs::write(&path, &printed).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    let (printed, committed) = (sections(&printed), sections(&committed));
    assert!(printed.keys().eq(committed.keys()), "{:?}, run `cargo xtask reference`", printed.keys());
    let missing: Vec<&str> = printed
        .iter()
        .filter(|(_, text)| text.contains("Not in this binary"))
        .map(|(name, _)| *name)
        .collect();
    let expected: &[&str] =
        if cfg!(feature = "ballista") { &[] } else { &["cluster", "computing.eggroll", "computing.spark"] };
    assert_eq!(missing, expected);
    for (name, text) in printed.iter().filter(|(name, _)| !missing.contains(name)) {
        assert_eq!(Some(text), committed.get(name), "{name} differs, run `cargo xtask reference`");
    }
    assert!(!committed.values().any(|text| text.contains("Not in this binary")));
}

#[test]
fn show_lists_every_key_with_its_value_and_who_set_it() {
    let site = Site::default();
    site.write("service_conf.yaml", "party_id: 9998\ncomputing:\n  standalone: {cores: 3, memory: 2GiB}\n");
    site.write("parties/9998/service_conf.yaml", "federation: {patience: 60}\n");
    let shown = site.ok(&["config", "show"]);
    let line = |key: &str| {
        let found = shown.lines().find(|line| line.split_whitespace().next() == Some(key));
        found.unwrap_or_else(|| panic!("{key} in {shown}")).split_whitespace().skip(1).collect::<Vec<_>>()
    };
    assert_eq!(line("computing.standalone.cores")[0], "3");
    assert!(line("computing.standalone.cores")[1].ends_with("/service_conf.yaml:3:16"), "{shown}");
    assert_eq!(line("computing.standalone.memory")[0], "2147483648");
    assert!(line("federation.patience")[1].ends_with("/parties/9998/service_conf.yaml:1:14"), "{shown}");
    assert_eq!(line("storage_meta.sqlite.path"), ["meta.db", "default"]);
    assert_eq!(line("default_engines.storage_meta"), ["sqlite", "default"]);

    let json = site.json(&["config", "show", "--json"]);
    assert_eq!(json["computing.standalone.cores"]["value"], 3);
    assert_eq!(json["storage.file.path"]["value"], "tables");
    assert_eq!(json["storage.file.path"]["set_by"], "default");
    assert_eq!(json.as_object().unwrap().len(), shown.lines().count() - 2);
}

#[test]
fn all_mistakes_of_a_file_are_reported_at_once() {
    let site = Site::default();
    let wrong = "default_engines: {storage_meta: sqlte}\nstorage_meta:\n  sqlite: {pth: x}\nfederation: {memory: {spill_limit: 1GB}}\n";
    site.write("service_conf.yaml", wrong);
    let message = site.fails(2, &["config", "show"]);
    for expected in [
        "service_conf.yaml:1:19: default_engines.storage_meta: unknown engine \"sqlte\" (did you mean \"sqlite\"?)",
        "service_conf.yaml:3:12: storage_meta.sqlite.pth: unknown key (did you mean \"path\"?)",
        "service_conf.yaml:4:23: federation.memory.spill_limit: expected bytes such as 512MiB or 4GiB, got \"1GB\"",
    ] {
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn what_a_party_knows_of_its_tables_is_where_its_configuration_says() {
    let site = Site::default();
    site.write("parties/9999/service_conf.yaml", "storage_meta: {sqlite: {path: known/tables.db}}\n");
    site.upload("9999", "breast_guest", &["--label", "y"]);
    let home = site.home().join("parties/9999");
    assert!(home.join("known/tables.db").is_file() && !home.join("meta.db").exists());
    assert!(site.ok(&["table", "list", "--party", "9999"]).contains("breast_guest"));
}

#[test]
#[cfg(not(feature = "ballista"))]
fn an_engine_that_is_not_in_the_binary_is_known() {
    let site = Site::default();
    let cluster = "computing: {spark: {cores: 64, anything: 1}}\ncluster: {scheduler: \"a:1\"}\n";
    site.write("service_conf.yaml", cluster);
    let output = site.run(&["config", "show"]);
    let note = crate::site::text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{note}");
    assert!(note.contains("computing.spark") && note.contains("not in this binary"), "{note}");
    site.write("service_conf.yaml", &format!("default_engines: {{computing: spark}}\n{cluster}"));
    let message = site.fails(2, &["explain", &crate::site::example("toy/job.yaml").display().to_string()]);
    assert!(message.contains("service_conf.yaml:1:19: default_engines.computing: engine spark"), "{message}");
    assert!(message.contains("--features ballista"), "{message}");
}

#[test]
fn engine_of_a_command_is_read_like_one_of_a_file() {
    let message = Site::default().fails(2, &["bench", "tune", "--engine", "standalon"]);
    assert!(
        message.contains("--engine: unknown engine \"standalon\" (did you mean \"standalone\"?)"),
        "{message}"
    );
}

/// Whoever took what FATE encrypted for a password would be refused by the database, and not know why.
#[test]
fn a_password_that_fate_encrypted_is_refused_with_what_to_write_in_its_place() {
    let site = Site::default();
    let fates = |key: &str| {
        format!(
            "database:\n  engine: mysql\n  decrypt_key: {key}\n  mysql: {{host: db.site, user: fate, name: fate_flow, passwd: hunter2}}\n"
        )
    };
    for empty in ["", "''"] {
        site.write("service_conf.yaml", &fates(empty));
        site.ok(&["config", "show"]);
    }
    site.write("service_conf.yaml", &fates("key_0"));
    let refused = site.fails(2, &["config", "show"]);
    assert!(refused.contains("database.decrypt_key: passwords that FATE encrypts are not read"), "{refused}");
    assert!(refused.contains("file:PATH") && !refused.contains("hunter2"), "{refused}");
}
