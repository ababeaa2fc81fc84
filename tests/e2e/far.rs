//! Sites far from each other: clocks that disagree, networks of their own whose link goes down, an exchange that is killed between them.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::apart::{GUEST, HOST, Pair, assert_results, both_ended_well, expected, job, port};
use crate::line::{Fault, Proxy};
use crate::site::{Site, binary, text, wait_until};
use crate::sites::state;

/// A library that, loaded before all others, gives a process another date.
fn another_date(folder: &Site, seconds: i64) -> String {
    let source = folder.write(
        "date.c",
        &format!(
            "#define _GNU_SOURCE\n#include <sys/syscall.h>\n#include <time.h>\n#include <unistd.h>\n\
             int clock_gettime(clockid_t clock, struct timespec *now) {{\n\
             int failed = syscall(SYS_clock_gettime, clock, now);\n\
             if (!failed && clock == CLOCK_REALTIME) now->tv_sec += {seconds}L;\n\
             return failed;\n}}\n"
        ),
    );
    let library = folder.home().join("date.so").display().to_string();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o", &library, &source]).output().unwrap();
    assert!(built.status.success(), "{}", text(&built.stderr));
    library
}

#[test]
fn sites_whose_clocks_differ_by_a_day_run_a_job_and_are_told_of_it() {
    let pair = Pair::with_breast_tables();
    for seconds in [86_400, -86_400] {
        let library = another_date(&pair.host, seconds);
        let host = pair.part(HOST, &[&job()]).env("LD_PRELOAD", &library).spawn().unwrap();
        let guest = pair.part(GUEST, &[&job()]).spawn().unwrap();
        both_ended_well(&[guest.wait_with_output().unwrap(), host.wait_with_output().unwrap()]);
        let mut agent = pair.host.command(&["agent", "--party", HOST]);
        let agent = Running(agent.env("LD_PRELOAD", &library).stderr(Stdio::null()).spawn().unwrap());
        let report = pair.guest.run(&["peer", "ping", HOST, "--json"]);
        drop(agent);
        let report = serde_json::from_slice(&report.stdout).unwrap();
        let clocks = state(&report, "clocks");
        let found = clocks.to_string();
        let apart = if seconds > 0 { "s ahead" } else { "s behind" };
        assert!(clocks["state"] == "failed" && found.contains(apart) && found.contains("86"), "{found}");
    }
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Makes both sites reach each other over an exchange only, which they reach at `port`.
fn behind_an_exchange(pair: &Pair, listens: u16, port: u16) -> Site {
    let exchange = Site::default();
    let conf = format!("exchange: {{host: 127.0.0.1, port: {listens}}}\n");
    exchange.write("service_conf.yaml", &conf);
    let address = format!("127.0.0.1:{listens}");
    exchange.ok(&["site", "init", "--party", "exchange", "--address", &address]);
    let card = exchange.ok(&["site", "card", "--party", "exchange"]);
    let sites = [(GUEST, &pair.guest), (HOST, &pair.host)];
    for (party, site) in sites {
        let conf = format!(
            "party_id: '{party}'\ndefault_engines: {{federation: direct}}\n\
             federation: {{patience: 60, direct: {{listen: false, exchange: '127.0.0.1:{port}'}}}}\n"
        );
        site.write("service_conf.yaml", &conf);
        // Partners whose cards name an address would be called there.
        site.ok(&["site", "init", "--force"]);
        site.ok(&["site", "trust", &site.write("exchange.card", &card), "--yes"]);
    }
    for ((_, from), (_, to)) in [(sites[0], sites[1]), (sites[1], sites[0])] {
        let card = from.ok(&["site", "card"]);
        to.ok(&["site", "trust", &to.write("partner.card", &card), "--yes", "--replace"]);
        let of_site = exchange.write("site.card", &card);
        exchange.ok(&["site", "trust", &of_site, "--party", "exchange", "--yes", "--replace"]);
    }
    exchange
}

#[test]
fn an_exchange_that_is_killed_in_mid_transfer_and_comes_back_changes_nothing() {
    let pair = Pair::with_breast_tables();
    let listens = port();
    let proxy = Proxy::start(listens, Fault::None);
    let exchange = behind_an_exchange(&pair, listens, proxy.port());
    let start = || {
        let mut command = exchange.command(&["exchange", "--party", "exchange"]);
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    let mut running = start();
    wait_until("the exchange listens", || std::net::TcpStream::connect(("127.0.0.1", listens)).is_ok());
    let host = pair.part(HOST, &[&job()]).spawn().unwrap();
    let guest = pair.part(GUEST, &[&job()]).spawn().unwrap();
    for bytes in [100_000, 300_000] {
        wait_until("the transfer goes on", || proxy.passed() > bytes);
        running.0.kill().unwrap();
        running.0.wait().unwrap();
        running = start();
    }
    both_ended_well(&[guest.wait_with_output().unwrap(), host.wait_with_output().unwrap()]);
    assert_results(&pair, &expected(), 1);
    pair.is_clean();
}

/// Two network namespaces, each with a site, and a link between them. It is taken down for ten seconds once `BYTES` have come over it:
/// long before the end, since both sites send slowly.
const NETWORKS: &str = r#"
set -euo pipefail
unshare --net sleep 1000 & there=$!
trap 'kill $there' EXIT
until [ "$(readlink /proc/$there/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
in_there() { nsenter --target $there --net -- "$@"; }
ip link add line type veth peer name line netns $there
ip addr add 10.9.0.1/24 dev line
ip link set line up
ip link set lo up
in_there ip addr add 10.9.0.2/24 dev line
in_there ip link set line up
in_there ip link set lo up
TRIBUTARY_HOME=$HOST_HOME in_there "$BINARY" run --party 10000 "$JOB" & host=$!
TRIBUTARY_HOME=$GUEST_HOME "$BINARY" run --party 9999 "$JOB" & guest=$!
passed() { sed -n 's/^ *line: *\([0-9]*\).*/\1/p' /proc/self/net/dev; }
until [ "$(passed)" -gt "$BYTES" ]; do kill -0 $guest; done
ip link set line down
kill -0 $guest && kill -0 $host
echo 'the link is down while both run'
sleep 10
kill -0 $guest && kill -0 $host
ip link set line up
wait $guest
wait $host
"#;

#[test]
fn two_networks_whose_link_goes_down_for_ten_seconds_lose_nothing() {
    let pair = Pair::with_breast_tables();
    for (party, site, own, partner) in
        [(GUEST, &pair.guest, "10.9.0.1", "10.9.0.2"), (HOST, &pair.host, "10.9.0.2", "10.9.0.1")]
    {
        let peer = if party == GUEST { HOST } else { GUEST };
        let conf = format!(
            "party_id: '{party}'\ndefault_engines: {{federation: direct}}\nfederation: {{patience: 60, most_rate: 50000, direct: {{host: {own}, \
             port: 9370, peers: {{'{peer}': {{address: '{partner}:9370'}}}}}}}}\n"
        );
        site.write("service_conf.yaml", &conf);
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "bash", "-c", NETWORKS]);
    command.env("BINARY", binary()).env("JOB", job()).env("BYTES", "20000");
    command.env("GUEST_HOME", pair.guest.home()).env("HOST_HOME", pair.host.home());
    let end = command.output().unwrap();
    let said = format!("{}{}", text(&end.stdout), text(&end.stderr));
    assert!(end.status.success() && said.contains("the link is down while both run"), "{said}");
    assert_results(&pair, &expected(), 1);
    pair.is_clean();
}

#[test]
fn a_site_that_sends_slowly_by_choice_is_waited_for() {
    let pair = Pair::with_breast_tables();
    let conf = std::fs::read_to_string(pair.host.home().join("service_conf.yaml")).unwrap();
    pair.host.write("service_conf.yaml", &conf.replace("federation: {", "federation: {most_rate: 100000, "));
    let began = std::time::Instant::now();
    pair.runs_the_example();
    // The host sends more than 150 kB.
    assert!(began.elapsed() > Duration::from_secs(1), "{:?}", began.elapsed());
}
