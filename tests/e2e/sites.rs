//! Two organisations get to know each other: keys, cards by mail, fingerprints by telephone; and what each lets the other do.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tributary_core::JobHash;
use tributary_grants::audit::{Audit, Consent, Entry, Offer};

use crate::site::{Site, binary, kill_at_moments, text, wait_until};

const BANK: &str = "9999";
const SHOP: &str = "10000";

/// A site with keys for one party.
fn site(party: &str, address: &[&str]) -> Site {
    let site = Site::default();
    site.write("service_conf.yaml", &format!("party_id: '{party}'\n"));
    site.ok(&[&["site", "init"], address].concat());
    site
}

/// A party's card as a file at another site.
fn mailed(from: &Site, to: &Site) -> String {
    to.write("mailed.card", &from.ok(&["site", "card"]))
}

fn own(site: &Site) -> Value {
    site.json(&["site", "list", "--json"])["own"].clone()
}

fn fingerprint(site: &Site) -> String {
    own(site)["fingerprint"].as_str().unwrap().to_owned()
}

fn partners(site: &Site) -> Value {
    site.json(&["site", "list", "--json"])["partners"].clone()
}

#[test]
fn two_sites_trust_each_other_by_card_and_fingerprint() {
    let (bank, shop) = (site(BANK, &["--address", "bank.example:9370"]), site(SHOP, &[]));
    let (of_bank, of_shop) = (mailed(&bank, &shop), mailed(&shop, &bank));
    let read = fingerprint(&shop).replace('-', " ").to_uppercase();
    let told = bank.ok(&["site", "trust", &of_shop, "--fingerprint", &read]);
    assert_eq!(told, "party 9999 trusts this card of party 10000 now\n");
    assert!(
        bank.ok(&["site", "trust", &of_shop]).contains("already"),
        "again is no change, and asks nothing"
    );
    shop.ok(&["site", "trust", &of_bank, "--yes"]);
    assert_eq!(partners(&bank)[0], own(&shop));
    assert_eq!(partners(&shop)[0], own(&bank));
    let listed = shop.ok(&["site", "list"]);
    assert!(listed.contains(&fingerprint(&bank)) && listed.contains("bank.example:9370"), "{listed}");

    bank.ok(&["site", "revoke", SHOP]);
    assert_eq!(partners(&bank), Value::Array(Vec::new()));
    assert!(bank.fails(3, &["site", "revoke", SHOP]).contains("trusts no card of party 10000"));
}

#[test]
fn keys_are_private_made_once_and_shown_nowhere() {
    let bank = site(BANK, &[]);
    let keys = bank.home().join("parties/9999/site/keys");
    let secret = std::fs::read_to_string(&keys).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&keys), mode(keys.parent().unwrap())), (0o600, 0o700));
    let told = bank.fails(4, &["site", "init"]);
    assert!(told.contains("party 9999 has keys in"), "{told}");
    assert_eq!(std::fs::read_to_string(&keys).unwrap(), secret, "they are left");

    let mut shown = told;
    for arguments in
        [&["site", "card"][..], &["site", "list"], &["site", "list", "--json"], &["config", "show"]]
    {
        shown += &bank.ok(arguments);
    }
    std::fs::write(&keys, secret.replace("secret key: ", "secret key: 0")).unwrap();
    shown += &bank.fails(1, &["site", "card"]);
    assert!(shown.contains("site/keys:4: expected 64 hexadecimal digits"), "{shown}");
    let secrets =
        secret.lines().filter(|line| line.len() >= 40).map(|line| line.trim_start_matches("secret key: "));
    let (of_keys, of_certificate): (Vec<&str>, Vec<&str>) = {
        let all: Vec<&str> = secrets.collect();
        let begin = secret.find("-----BEGIN CERTIFICATE").unwrap();
        all.into_iter().partition(|line| secret.find(line).unwrap() < begin)
    };
    assert!(of_keys.len() >= 3 && of_certificate.iter().all(|line| shown.contains(line)), "{of_keys:?}");
    assert!(of_keys.iter().all(|line| !shown.contains(line)), "{shown}");

    bank.ok(&["site", "init", "--force"]);
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(bank.fails(1, &["site", "card"]).contains("others may open it (mode 644)"));
}

#[test]
fn a_card_that_was_changed_on_its_way_is_refused() {
    let (bank, shop) = (site(BANK, &[]), site(SHOP, &["--address", "shop.example:9370"]));
    let card = shop.ok(&["site", "card"]);
    for (from, to, told) in [
        ("shop.example", "evil.example", "it was changed on its way"),
        ("party: 10000", "party: 10001", "the certificate does not name party 10001"),
        (
            "address: ",
            "adress: ",
            "mailed.card:3: expected \"address: …\", got \"adress: shop.example:9370\"",
        ),
        ("version 1", "version 7", "version 7, this build reads version 1"),
    ] {
        let changed = bank.write("mailed.card", &card.replace(from, to));
        let shown = bank.fails(2, &["site", "trust", &changed, "--yes"]);
        assert!(shown.contains(told), "{shown}");
    }
    assert_eq!(partners(&bank), Value::Array(Vec::new()));

    // Somebody on the way made another card altogether: only the comparison finds it.
    let forged = mailed(&site(SHOP, &["--address", "shop.example:9370"]), &bank);
    let shown = bank.fails(1, &["site", "trust", &forged, "--fingerprint", &fingerprint(&shop)]);
    assert!(shown.contains(&fingerprint(&shop)) && shown.contains("somebody else made this card"), "{shown}");
    assert_eq!(partners(&bank), Value::Array(Vec::new()));
}

#[test]
fn changed_keys_of_a_partner_are_refused_until_the_operator_replaces_them() {
    let (bank, shop) = (site(BANK, &[]), site(SHOP, &[]));
    bank.ok(&["site", "trust", &mailed(&shop, &bank), "--yes"]);
    shop.ok(&["site", "trust", &mailed(&bank, &shop), "--yes"]);
    let old = fingerprint(&shop);

    assert!(shop.fails(2, &["site", "rotate"]).contains("confirm with --yes"));
    assert_eq!(fingerprint(&shop), old);
    let told = shop.ok(&["site", "rotate", "--yes"]);
    assert!(told.contains("run `tributary site trust 10000.card --replace`: 9999"), "{told}");
    let new = fingerprint(&shop);
    assert!(new != old && told.contains(&new));

    let card = mailed(&shop, &bank);
    let shown = bank.fails(4, &["site", "trust", &card, "--yes"]);
    assert!(shown.contains(&old) && shown.contains(&new), "{shown}");
    assert_eq!(partners(&bank)[0]["fingerprint"], old.as_str());
    bank.ok(&["site", "trust", &card, "--fingerprint", &new, "--replace"]);
    assert_eq!(partners(&bank)[0]["fingerprint"], new.as_str());

    // Other addresses are no other keys.
    let moved = bank.write("moved.card", &shop.ok(&["site", "card", "--address", "[2001:db8::1]:9370"]));
    bank.ok(&["site", "trust", &moved, "--yes"]);
    assert_eq!(partners(&bank)[0]["addresses"][0], "[2001:db8::1]:9370");
    assert!(shop.ok(&["site", "card", "--no-address"]).contains("address: none, calls out only"));
}

/// `script` (util-linux) gives the command a terminal, and types `answer`.
fn at_a_terminal(site: &Site, arguments: &str, answer: &str) -> (bool, String) {
    let mut child = Command::new("script")
        .args([
            "--quiet",
            "--return",
            "--command",
            &format!("{} {arguments}", binary().display()),
            "/dev/null",
        ])
        .env("TRIBUTARY_HOME", site.home())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), text(&output.stdout))
}

#[test]
fn on_a_terminal_the_operator_is_asked() {
    let (bank, shop) = (site(BANK, &[]), site(SHOP, &[]));
    let card = mailed(&shop, &bank);
    let shown = bank.fails(2, &["site", "trust", &card]);
    assert!(shown.contains("there is no terminal to ask on") && shown.contains("--fingerprint"), "{shown}");

    let trust = format!("site trust {card}");
    for no in ["no\n", "\n", "y\n"] {
        let (done, shown) = at_a_terminal(&bank, &trust, no);
        assert!(
            !done && shown.contains(&fingerprint(&shop)) && shown.contains("nothing was changed"),
            "{shown}"
        );
    }
    assert_eq!(partners(&bank), Value::Array(Vec::new()));
    let (done, shown) = at_a_terminal(&bank, &trust, "yes\n");
    assert!(done && shown.contains("party 9999 trusts this card of party 10000 now"), "{shown}");
    let (done, _) = at_a_terminal(&shop, "site rotate", "yes\n");
    assert!(done && partners(&bank)[0] != own(&shop));
}

#[test]
fn keys_are_whole_or_absent_whenever_their_making_is_killed() {
    let bank = Site::default();
    let mut made = None;
    kill_at_moments(
        10,
        |_| {
            bank.command(&["site", "init", "--force"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        },
        |number, was_killed| {
            let shown = bank.run(&["site", "list", "--json"]);
            match shown.status.code() {
                Some(0) => made = Some(text(&shown.stdout)),
                code => assert!(
                    code == Some(3) && was_killed && made.is_none(),
                    "{number}: {}",
                    text(&shown.stderr)
                ),
            }
        },
    );
}

#[test]
fn a_ping_says_what_to_change_at_which_site() {
    let bank = Site::default();
    let ping = ["peer", "ping", SHOP];
    let shown = bank.fails(1, &ping);
    assert!(
        shown.contains("FAILED  own keys")
            && shown.contains("at party 9999: tributary site init --party 9999"),
        "{shown}"
    );
    bank.ok(&["site", "init"]);
    let shown = bank.fails(1, &ping);
    assert!(
        shown.contains("FAILED  their card") && shown.contains("tributary site trust 10000.card"),
        "{shown}"
    );

    let shop = site(SHOP, &[]);
    bank.ok(&["site", "trust", &mailed(&shop, &bank), "--yes"]);
    let shown = bank.fails(1, &ping);
    assert!(
        shown.contains("FAILED  address") && shown.contains("at party 10000: tributary site card --address"),
        "{shown}"
    );

    // A transport that stays in one process reaches nobody.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let moved = bank.write("moved.card", &shop.ok(&["site", "card", "--address", &address]));
    bank.ok(&["site", "trust", &moved, "--yes"]);
    let shown = bank.fails(1, &ping);
    assert!(shown.contains(&format!("{address} answers")) && shown.contains("FAILED  transport"), "{shown}");
    assert!(shown.contains("set default_engines.federation to"), "{shown}");
}

/// A port at a loopback address that no other test has, free now: whoever listens at all addresses is not in the way.
pub(crate) fn own_address() -> String {
    use std::hash::{BuildHasher, RandomState};
    let [a, b, c, ..] = RandomState::new().hash_one(0).to_le_bytes();
    let host = format!("127.{}.{b}.{c}", 1 + a % 250);
    std::net::TcpListener::bind((host.as_str(), 0)).unwrap().local_addr().unwrap().to_string()
}

/// The bank listens at an address, the shop only calls out; both trust each other. `away`: how many seconds either waits for the other.
pub(crate) fn two_on_a_line(address: &str, away: u64) -> (Site, Site) {
    let (host, port) = address.split_once(':').unwrap();
    let (bank, shop) = (site(BANK, &["--address", address]), site(SHOP, &[]));
    let conf = |party: &str, direct: &str| {
        format!(
            "party_id: '{party}'\ndefault_engines: {{federation: direct}}\nfederation: {{direct: {{{direct}, away: {away}}}}}\n"
        )
    };
    bank.write("service_conf.yaml", &conf(BANK, &format!("host: {host}, port: {port}")));
    shop.write("service_conf.yaml", &conf(SHOP, "listen: false"));
    bank.ok(&["site", "trust", &mailed(&shop, &bank), "--yes"]);
    shop.ok(&["site", "trust", &mailed(&bank, &shop), "--yes"]);
    (bank, shop)
}

/// Both at the same time, since one process of each answers the other.
fn ping_each_other(bank: &Site, shop: &Site, address: &str) -> [(bool, Value); 2] {
    let start = |site: &Site, partner: &str| {
        let mut command = site.command(&["peer", "ping", partner, "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut first = start(bank, SHOP);
    wait_until("the bank listens", || {
        std::net::TcpStream::connect(address).is_ok() || first.try_wait().unwrap().is_some()
    });
    let second = start(shop, BANK);
    [first, second].map(|child| {
        let output = child.wait_with_output().unwrap();
        let report = serde_json::from_slice(&output.stdout);
        (output.status.success(), report.unwrap_or_else(|_| panic!("{}", text(&output.stderr))))
    })
}

pub(crate) fn state<'a>(report: &'a Value, what: &str) -> &'a Value {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().find(|step| step["what"] == what).unwrap_or_else(|| panic!("{what}: {report:#}"))
}

#[test]
fn two_sites_find_their_line_in_order() {
    let address = own_address();
    let (bank, shop) = two_on_a_line(&address, 300);
    for (is_good, report) in ping_each_other(&bank, &shop, &address) {
        assert!(is_good, "{report:#}");
        for what in ["transport", "answer", "versions", "clocks", "round_trip", "bandwidth"] {
            assert_eq!(state(&report, what)["state"], "good", "{report:#}");
        }
    }
}

#[test]
fn one_process_of_a_party_speaks_with_its_partners_at_a_time() {
    let address = own_address();
    let (bank, shop) = two_on_a_line(&address, 300);
    // Neither listens on a port that the other could find taken.
    let mut first = shop.command(&["agent", "--party", SHOP]).stderr(Stdio::null()).spawn().unwrap();
    let held = shop.home().join("parties/10000/site/attending");
    wait_until("the agent runs", || std::fs::File::open(&held).is_ok_and(|file| file.try_lock().is_err()));
    let listener = std::net::TcpListener::bind(&address).unwrap();
    let report = shop.run(&["peer", "ping", BANK, "--json"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let transport = state(&report, "transport").to_string();
    assert!(
        transport.contains("another process of party 10000") && transport.contains("stop the other process"),
        "{transport}"
    );
    drop(listener);
    first.kill().unwrap();
    first.wait().unwrap();
    // The bank's ping is answered by an agent, too.
    let agent = shop.command(&["agent", "--party", SHOP]).stderr(Stdio::null()).spawn().unwrap();
    let pinged = bank.run(&["peer", "ping", SHOP]);
    let mut agent = agent;
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(pinged.status.success(), "{}", text(&pinged.stdout));
}

#[test]
fn a_partner_that_does_not_know_this_site_is_found_out() {
    let address = own_address();
    let (bank, shop) = two_on_a_line(&address, 2);
    // The bank has an older key of the shop.
    shop.ok(&["site", "rotate", "--yes"]);
    let [(bank_is_good, of_bank), (shop_is_good, of_shop)] = ping_each_other(&bank, &shop, &address);
    assert!(!bank_is_good && !shop_is_good);
    let answer = state(&of_bank, "answer");
    assert_eq!(answer["state"], "failed", "{of_bank:#}");
    let changes = answer["changes"].to_string();
    assert!(changes.contains("tributary site list") && changes.contains(&fingerprint(&bank)), "{changes}");
    assert_eq!(state(&of_shop, "bandwidth")["state"], "skipped", "{of_shop:#}");

    bank.ok(&["site", "revoke", SHOP]);
    let [(_, of_bank), (shop_is_good, _)] = ping_each_other(&bank, &shop, &address);
    assert_eq!(state(&of_bank, "their_card")["state"], "failed");
    assert!(!shop_is_good);
}

#[test]
fn mistakes_in_grants_are_shown_with_their_places_and_then_nothing_is_granted() {
    let bank = site(BANK, &[]);
    assert!(bank.ok(&["site", "grants"]).contains("grants nothing: every offer is refused"));
    bank.write(
        "parties/9999/grants.yaml",
        "grants:\n- partner: 10000\n  components: [pssi, {hetero_feature_binning: [trian]}]\n  role: guest\n",
    );
    let shown = bank.fails(2, &["site", "grants"]);
    for expected in [
        "grants.yaml:3:16: grants[0].components[0]: unknown component \"pssi\" (did you mean \"psi\"?)",
        "hetero_feature_binning has no stage \"trian\" (did you mean \"train\"?)",
        "grants.yaml:4:3: grants[0].role: unknown key (did you mean \"roles\"?)",
        "grants[0].roles: required, but not given",
        "grants nothing until it is mended",
    ] {
        assert!(shown.contains(expected), "{expected}:\n{shown}");
    }
    bank.write(
        "parties/9999/grants.yaml",
        "grants:\n- {partner: 10000, components: [{hetero_feature_binning: [train]}], roles: guest, hours: 08:00-18:00}\n",
    );
    let output = bank.run(&["site", "grants"]);
    let shown = text(&output.stdout) + &text(&output.stderr);
    assert!(shown.contains("hetero_feature_binning (train)") && shown.contains("08:00-18:00 UTC"), "{shown}");
    assert!(shown.contains("grant 1 (line 2) names party 10000, whose card is not trusted here"), "{shown}");
    let grants = bank.json(&["site", "grants", "--json"]);
    assert_eq!((&grants[0]["partners"][0], &grants[0]["most_rows"]), (&"10000".into(), &Value::Null));
}

#[test]
fn the_audit_log_shows_offers_and_damage() {
    let bank = site(BANK, &[]);
    assert!(bank.ok(&["site", "audit"]).contains("party 9999 got no offer"));
    let log = Audit::of(&bank.home().join("parties/9999"));
    let now = std::time::Duration::from_secs(1_795_348_800);
    let add = |partner: &str, job: &str, reasons: &[&str]| {
        let (partner, job) = (partner.parse().unwrap(), job.parse().unwrap());
        let offer = Offer { partner: &partner, key: None, job: &job, hash: JobHash::new([7; 32]) };
        let entry = match reasons {
            [] => Entry::accepted(now, &offer, Consent::Operator),
            reasons => Entry::refused(now, &offer, reasons.iter().copied()),
        };
        log.add(&entry).unwrap();
    };
    add(SHOP, "first", &[]);
    let mut file = std::fs::File::options().append(true).open(log.path()).unwrap();
    file.write_all(b"{\"half\":").unwrap();
    add("10001", "second", &["table a/b is not granted\u{1b}[2J", "at no time"]);

    let output = bank.run(&["site", "audit"]);
    let (shown, noted) = (text(&output.stdout), text(&output.stderr));
    for expected in
        ["2026-11-22T12:00:00.000Z", "accepted  operator", "refused", "is not granted\\u{1b}[2J; at no time"]
    {
        assert!(shown.contains(expected), "{expected}:\n{shown}");
    }
    assert!(noted.contains("line 2 of") && noted.contains("is damaged"), "{noted}");
    let one = bank.ok(&["site", "audit", "--partner", SHOP, "--json"]);
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(
        (&one["job"], &one["outcome"], &one["by"]),
        (&"first".into(), &"accepted".into(), &"operator".into())
    );
}
