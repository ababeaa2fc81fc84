//! What a configuration file becomes: with the engines of this binary, and with one that is declared here and nowhere else.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tributary_core::federation::Network;
use tributary_core::settings::{Key, Kind, Secret};
use tributary_core::{ErrorKind, PartyId, Result};

use crate::choice::{Choice, Comes, Contract, Engine, Joining, Known, Open, Transport};
use crate::engines::{ENGINES, PARTS};
use crate::settings::Settings;

const PEER: &[Key] = &[
    Key::required("address", Kind::Text, "Host and port."),
    Key::optional("password", Kind::Secret, "Shown to it."),
    Key::new("weight", Kind::Int { least: 1, most: 9 }, "1", "How often it is chosen."),
];

const KEYS: &[Key] = &[
    Key::required("address", Kind::Text, "Host and port."),
    Key::new("user", Kind::Id, "fate", "Who we are there."),
    Key::optional("password", Kind::Secret, "Shown to it."),
    Key::new("port", Kind::Int { least: 1, most: 65_535 }, "5672", "Port."),
    Key::new("most", Kind::Bytes, "1MiB", "Longest message."),
    Key::new("ttl", Kind::Seconds, "30", "Life of a message."),
    Key::new("tls", Kind::Bool, "true", "Whether to encrypt."),
    Key::new("mode", Kind::OneOf(&["stream", "queue"]), "stream", "How."),
    Key::new("folder", Kind::Path, "broker", "Where."),
    Key::optional("peers", Kind::Map(PEER), "Sites, by party."),
];

/// One entry each: an engine with every kind of key, and one whose feature is off.
static FAKE: Known = Known {
    choices: &[
        Choice {
            contract: Contract::Federation,
            name: "broker",
            aliases: &["rabbit"],
            description: "an engine of this test",
            engine: Comes::Always(Engine {
                keys: &[KEYS],
                open: Open::Federation(Transport { networks: broker, broker: None }),
            }),
        },
        Choice {
            contract: Contract::Federation,
            name: "ghost",
            aliases: &[],
            description: "an engine of another binary",
            engine: Comes::With("ghost", None),
        },
    ],
    parts: PARTS,
};

fn broker(parties: &BTreeMap<PartyId, Joining<'_>>, _: &Path) -> Result<BTreeMap<PartyId, Arc<dyn Network>>> {
    for Joining { section, .. } in parties.values() {
        if section.get::<u16>("port")? == 13 {
            return Err(section.problem("port", "expected another than 13"));
        }
        section.get::<&str>("address")?;
    }
    tributary_memory::networks(&parties.keys().cloned().collect::<Vec<_>>())
}

fn read(known: &'static Known, text: &str) -> Result<Settings> {
    let mut settings = Settings::new(known)?;
    settings.overlay("conf.yaml", text.as_bytes()).map(|()| settings)
}

fn open(text: &str) -> Result<usize> {
    let settings = read(&FAKE, text)?;
    match settings.chosen(Contract::Federation)? {
        ("broker", Open::Federation(open), section) => {
            let joining = Joining { section, settings: &settings, folder: Path::new("/nowhere") };
            (open.networks)(&BTreeMap::from([("9999".parse()?, joining)]), Path::new("/nowhere"))
                .map(|made| made.len())
        }
        other => panic!("{other:?}"),
    }
}

/// Everything a user could see of settings.
fn shown(settings: &Settings) -> String {
    let list = settings.list().into_iter().map(|(name, setting)| {
        format!(
            "{name} {} {}\n",
            setting.value.as_ref().map_or_else(String::new, ToString::to_string),
            setting.origin
        )
    });
    list.chain([format!("{settings:?}")]).collect()
}

#[test]
fn given_keys_override_defaults_and_the_rest_stays() {
    let text = "party_id: 10000\nfederation:\n  patience: 60\n  memory: {memory: 2GiB}\n";
    let settings = read(&ENGINES, text).unwrap();
    assert_eq!(settings.party_id().unwrap().as_str(), "10000");
    assert_eq!(settings.patience().unwrap(), Duration::from_secs(60));
    let memory = settings.section("federation.memory").unwrap();
    assert_eq!(memory.get::<u64>("memory").unwrap(), 2 << 30);
    assert_eq!(memory.get::<u64>("spill_limit").unwrap(), 64 << 30);
    assert_eq!(memory.place("memory"), "conf.yaml:4:12: federation.memory.memory");
}

#[test]
fn every_kind_is_read() {
    let text = "federation:\n  broker:\n    address: \"a:1\"\n    user: 77\n    password: \"hunter2\"\n    port: 1\n    most: 2MiB\n    ttl: 5\n    tls: false\n    mode: queue\n    folder: /srv\n    peers: {10000: {address: \"b:2\", password: hunter3}}\n";
    let settings = read(&FAKE, text).unwrap();
    let section = settings.section("federation.broker").unwrap();
    assert_eq!(section.get::<&str>("user").unwrap(), "77");
    assert_eq!(section.get::<&Secret>("password").unwrap().expose(), "hunter2");
    assert_eq!(section.get::<u16>("port").unwrap(), 1);
    assert_eq!(section.get::<usize>("most").unwrap(), 2 << 20);
    assert_eq!(section.get::<Duration>("ttl").unwrap(), Duration::from_secs(5));
    assert!(!section.get::<bool>("tls").unwrap());
    assert_eq!(section.get::<&str>("mode").unwrap(), "queue");
    assert_eq!(section.get::<&Path>("folder").unwrap(), Path::new("/srv"));
    let (name, peer) = section.entries("peers").unwrap().next().unwrap();
    assert_eq!(
        (name, peer.get::<&str>("address").unwrap(), peer.get::<u32>("weight").unwrap()),
        ("10000", "b:2", 1)
    );
    assert_eq!(peer.get::<&Secret>("password").unwrap().expose(), "hunter3");
    let list = shown(&settings);
    assert!(list.contains("federation.broker.peers.10000.address b:2 conf.yaml:12:21"), "{list}");
    assert!(list.contains("federation.broker.password (set) conf.yaml:5:5"), "{list}");
    assert!(!list.contains("hunter"), "{list}");
}

#[test]
fn all_mistakes_are_reported_with_places_and_suggestions_and_nothing_is_taken() {
    let text = "partyid: 1\nfederation:\n  broker:\n    prot: 2\n    port: 70000\n    most: much\n    ttl: 1.5\n    tls: 1\n    mode: streem\n    folder: \"\"\n    user: [a]\n    address: 5\n    password: 1234567\n    peers:\n      10000: {adress: \"b:2\", password: [hunter2], weight: 10}\n      9999: hunter3\n      8888:\ndefault_engines:\n  federation: brocker\n  storage_mta: x\nnoise: {a: 1}\n";
    let mut settings = Settings::new(&FAKE).unwrap();
    let message = settings.overlay("conf.yaml", text.as_bytes()).unwrap_err().to_string();
    let expected = [
        "conf.yaml:1:1: partyid: unknown key (did you mean \"party_id\"?)",
        "conf.yaml:4:5: federation.broker.prot: unknown key (did you mean \"port\"?)",
        "conf.yaml:5:5: federation.broker.port: expected an integer from 1 to 65535, got 70000",
        "conf.yaml:6:5: federation.broker.most: expected bytes such as 512MiB or 4GiB, got \"much\"",
        "conf.yaml:7:5: federation.broker.ttl: expected seconds, an integer from 1 to 31536000, got 1.5",
        "conf.yaml:8:5: federation.broker.tls: expected true or false, got 1",
        "conf.yaml:9:5: federation.broker.mode: expected one of stream, queue, got \"streem\" (did you mean \"stream\"?)",
        "conf.yaml:10:5: federation.broker.folder: expected a path, got \"\"",
        "conf.yaml:11:5: federation.broker.user: expected text, got a list",
        "conf.yaml:12:5: federation.broker.address: expected text, got 5 (put it in quotes)",
        "conf.yaml:13:5: federation.broker.password: expected text, got a number (put it in quotes)",
        "conf.yaml:15:7: federation.broker.peers.10000: address is required, but not given",
        "conf.yaml:15:15: federation.broker.peers.10000.adress: unknown key (did you mean \"address\"?)",
        "conf.yaml:15:30: federation.broker.peers.10000.password: expected text, got a list",
        "conf.yaml:15:51: federation.broker.peers.10000.weight: expected an integer from 1 to 9, got 10",
        "conf.yaml:16:7: federation.broker.peers.9999: expected a map, got text",
        "conf.yaml:16:7: federation.broker.peers.9999: address is required, but not given",
        "conf.yaml:17:7: federation.broker.peers.8888: address is required, but not given",
        "conf.yaml:19:3: default_engines.federation: unknown engine \"brocker\" (did you mean \"broker\"?)",
        "conf.yaml:20:3: default_engines.storage_mta: unknown key (did you mean \"storage_meta\"?)",
        "conf.yaml:21:1: noise: unknown key",
    ];
    for (found, expected) in message.lines().zip(expected) {
        assert!(found.starts_with(expected), "found    {found}\nexpected {expected}");
    }
    assert_eq!(message.lines().count(), expected.len(), "{message}");
    assert_eq!(shown(&settings), shown(&Settings::new(&FAKE).unwrap()));
}

#[test]
fn later_files_win_key_by_key_and_entry_by_entry() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, peers: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("federation: {{broker: {{{peers}}}}}\n")).unwrap();
        path
    };
    let site = file("site.yaml", "port: 7, ttl: 8, peers: {a: {address: a1, weight: 2}, b: {address: b1}}");
    let party = file("party.yaml", "port: 9, peers: {a: {address: a2}, c: {address: c2}}");
    let settings = Settings::new(&FAKE).unwrap();
    let settings = settings.with_file(&site).and_then(|s| s.with_file(&party)).unwrap();
    let settings = settings.with_file(&folder.path().join("absent.yaml")).unwrap();
    let section = settings.section("federation.broker").unwrap();
    assert_eq!(
        (section.get::<u64>("port").unwrap(), section.get::<Duration>("ttl").unwrap().as_secs()),
        (9, 8)
    );
    let peers: Vec<(&str, &str, u64)> = section
        .entries("peers")
        .unwrap()
        .map(|(name, peer)| (name, peer.get("address").unwrap(), peer.get("weight").unwrap()))
        .collect();
    assert_eq!(peers, [("a", "a2", 1), ("b", "b1", 1), ("c", "c2", 1)]);
}

#[test]
fn an_entry_of_the_table_is_all_that_an_engine_takes() {
    let chosen = "default_engines: {federation: rabbit}\n";
    assert_eq!(open(&format!("{chosen}federation: {{broker: {{address: x}}}}")).unwrap(), 1);
    let error = open(chosen).unwrap_err().to_string();
    assert_eq!(error, "federation.broker.address (not set): required here; set it in service_conf.yaml");
    let error = open(&format!("{chosen}federation: {{broker: {{port: 13}}}}")).unwrap_err().to_string();
    assert_eq!(error, "conf.yaml:2:23: federation.broker.port: expected another than 13");

    let page = crate::reference::page(&FAKE);
    for expected in [
        "## federation.broker\n\nAn engine of this test.\n",
        "### federation.broker.most\n\nLongest message.\n\n- Type: bytes such as 512MiB or 4GiB\n- Default: `1MiB`\n",
        "### federation.broker.peers.<name>.weight\n",
        "## federation.ghost\n\nAn engine of another binary. Comes with feature `ghost`.\n\nNot in this binary: build it with",
        "| broker, rabbit | an engine of this test | every build |",
    ] {
        assert!(page.contains(expected), "{expected}\nin\n{page}");
    }
}

#[test]
fn an_engine_of_another_binary_is_known_by_name() {
    let settings = read(&FAKE, "federation:\n  ghost: {what: ever, it: [takes]}\n").unwrap();
    let note = "conf.yaml: passed over, because their engines are not in this binary: federation.ghost";
    assert_eq!(settings.notes(), [note]);
    let error = read(&FAKE, "default_engines: {federation: ghost}").unwrap_err().to_string();
    assert!(
        error.contains("engine ghost is not in this binary (build it with `make build-all`, or `cargo build"),
        "{error}"
    );
    assert!(error.contains("--features ghost"), "{error}");
    // The default may be one of another binary: that counts when it is used.
    let error = Settings::new(&FAKE).unwrap().chosen(Contract::Federation).unwrap_err();
    assert!(error.to_string().starts_with("default_engines.federation (default): unknown engine"), "{error}");
}

#[test]
fn an_option_names_an_engine_like_a_file() {
    let mut settings = Settings::new(&FAKE).unwrap();
    let error = settings.choose(Contract::Federation, "ghost", "--engine").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().starts_with("--engine: engine ghost is not in this binary"), "{error}");
    settings.choose(Contract::Federation, "rabbit", "--engine").unwrap();
    assert_eq!(settings.chosen(Contract::Federation).unwrap().0, "broker");
    let list = shown(&settings);
    assert!(list.contains("default_engines.federation rabbit --engine"), "{list}");
}

#[test]
#[cfg(not(feature = "standalone"))]
fn a_default_that_is_not_built_in_says_which_feature_builds_it() {
    let error = Settings::new(&ENGINES).unwrap().chosen(Contract::Computing).unwrap_err().to_string();
    assert!(error.contains("engine standalone is not in this binary"), "{error}");
    assert!(error.contains("--features standalone"), "{error}");
}

#[test]
fn a_file_of_comments_says_nothing() {
    let default = shown(&Settings::new(&ENGINES).unwrap());
    for text in ["", "\n\n", "# all defaults\n  # really\n", "party_id:\n"] {
        assert_eq!(shown(&read(&ENGINES, text).unwrap()), default, "{text:?}");
    }
}

#[test]
fn every_engine_of_this_binary_has_its_contract_its_defaults_and_a_name_of_its_own() {
    Settings::new(&ENGINES).unwrap();
    for choice in ENGINES.choices {
        let contract = choice.engine.built_in().map(|engine| match engine.open {
            Open::Computing(_) => Contract::Computing,
            Open::Storage(_) => Contract::Storage,
            Open::StorageMeta(_) => Contract::StorageMeta,
            Open::Federation(_) => Contract::Federation,
        });
        assert!(contract.is_none_or(|contract| contract == choice.contract), "{}", choice.name);
    }
    for contract in Contract::ALL {
        let names = ENGINES.of(contract).flat_map(|c| [c.name].into_iter().chain(c.aliases.iter().copied()));
        let names: Vec<&str> = names.collect();
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), distinct.len(), "{names:?}");
    }
}

#[test]
fn names_of_fate_are_engines() {
    for (contract, name) in [
        (Contract::Computing, "standalone"),
        (Contract::Computing, "spark"),
        (Contract::Computing, "eggroll"),
        (Contract::Storage, "standalone"),
        (Contract::Storage, "file"),
        (Contract::Federation, "standalone"),
    ] {
        let found = ENGINES.choose(contract, name);
        assert!(found.err().is_none_or(|none| none.kind == ErrorKind::Unsupported), "{name}");
    }
}

/// Ways to write a text where it may or may not be expected.
fn written(secret: &str) -> Vec<String> {
    [
        "{}",
        "'{}'",
        "\"{}\"",
        "[{}]",
        "[[{}], 1]",
        "{k: {}}",
        "!{} x",
        "!!int {}",
        "00{}",
        "|\n          {}\n",
        "*{}",
        "&a {}",
        "{}: {}",
    ]
    .map(|form| form.replace("{}", secret))
    .to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_secret_is_in_no_message_and_no_listing(tail in "[ -~]{0,12}", number in 1_000_000_000u64..) {
        for secret in [format!("hunter2{tail}"), number.to_string()] {
            let mark = if secret.starts_with("hunter2") { "hunter2" } else { &secret };
            for value in written(&secret) {
                for place in ["    password: {}\n", "    peers: {}\n", "    peers:\n      a: {}\n", "    peers:\n      a:\n        password: {}\n        weight: x\n"] {
                    let text = format!("federation:\n  broker:\n{}    port: 0\n", place.replace("{}", &value));
                    let wrong = read(&FAKE, &text);
                    let seen = wrong.as_ref().map_or_else(|e| format!("{e} {e:?}"), shown);
                    // Names of entries and keys are shown: a secret in the place of one cannot be known as such.
                    let is_name = place.contains("peers: {}") || value.contains(": ") || value.contains('{') || tail.contains(':');
                    prop_assert!(is_name || !seen.contains(mark), "{text}\n{seen}");
                    let right = read(&FAKE, &text.replace("    port: 0\n", "").replace("        weight: x\n", ""));
                    let seen = right.as_ref().map_or_else(|e| format!("{e} {e:?}"), shown);
                    prop_assert!(is_name || !seen.contains(mark), "{text}\n{seen}");
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..400, cut in 0usize..400) {
        let mut text = b"party_id: 1\ndefault_engines: {federation: broker}\nfederation:\n  broker:\n    peers: {a: {address: x}}\n    password: 'x'\n".to_vec();
        let at = at % text.len();
        text.splice(at..(at + cut).min(text.len()), bytes);
        let mut settings = Settings::new(&FAKE).unwrap();
        if settings.overlay("conf.yaml", &text).is_err() {
            prop_assert_eq!(shown(&settings), shown(&Settings::new(&FAKE).unwrap()));
        }
    }
}

#[test]
fn keys_of_fate_without_a_meaning_are_passed_over_in_one_note() {
    let read = |text: &str| {
        let mut settings = Settings::new(&ENGINES).unwrap();
        settings.overlay("service_conf.yaml", text.as_bytes()).map(|()| settings)
    };
    let text = "use_registry: false\nfateflow: {host: 127.0.0.1, http_port: 9380}\nparty_id: \"10000\"\n\
                default_engines: {federation: standalone}\nfederation: {osx: {host: a, port: 1, mode: stream}}\n\
                worker: {type: native, docker: {}}\ndatabase:\n";
    let settings = read(text).unwrap();
    assert_eq!(settings.party_id().unwrap().as_str(), "10000");
    let expected = "service_conf.yaml: passed over, because these keys of FATE have no effect here: \
                    fateflow, federation.osx.mode, use_registry, worker";
    let direct = settings.section("federation.direct").unwrap();
    assert_eq!((direct.get("host").unwrap(), direct.get("port").unwrap()), ("a", 1_u64), "by another name");
    assert_eq!(settings.notes(), [expected]);
    for (wrong, expected) in [
        ("use_registri: false", "use_registri: unknown key (did you mean \"use_registry\"?)"),
        ("fateflow: {hots: a}", "fateflow.hots: unknown key (did you mean \"host\"?)"),
        ("federation: {osx: {prot: 1}}", "federation.osx.prot: unknown key (did you mean \"port\"?)"),
    ] {
        let message = read(wrong).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

/// A site may use FATE's own file: its database is one for the metadata, if nothing else is chosen.
#[test]
fn fates_database_is_that_of_the_metadata() {
    let fates = "database:\n  engine: mysql\n  decrypt_key:\n  mysql: {name: fate_flow, user: fate, passwd: hunter2, host: db.site, port: 3307, \
                 max_connections: 100, stale_timeout: 30}\n  sqlite: {path: }\n";
    let settings = read(&ENGINES, fates).unwrap();
    let (name, _, section) = settings.chosen(Contract::StorageMeta).unwrap();
    assert_eq!((name, section.get::<&str>("name").unwrap()), ("mysql", "fate_flow"));
    assert_eq!(section.get::<&Secret>("passwd").unwrap().expose(), "hunter2");
    assert!(!settings.notes().join("").contains("database.mysql"), "{:?}", settings.notes());
    for text in
        [format!("{fates}default_engines: {{storage_meta: sqlite}}\n"), "database: {engine: sqlite}\n".into()]
    {
        assert_eq!(read(&ENGINES, &text).unwrap().chosen(Contract::StorageMeta).unwrap().0, "sqlite");
    }
    assert!(read(&ENGINES, "database: {engine: mysq}\n").unwrap_err().to_string().contains("did you mean"));
}
