//! What goes wrong, and what can be read, on the line between two sites: a proxy stands between them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::apart::Pair;
use crate::site::example;

/// What a proxy does to the bytes that pass.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Cuts the connection after so many bytes, some times.
    Cut { bytes: usize, times: usize },
    /// Passes half of what came last, and then cuts.
    Halve { bytes: usize, times: usize },
    /// Passes nothing for a while, once, after so many bytes.
    Stall { bytes: usize, pause: Duration },
}

/// Stands in front of a port of this machine.
pub(crate) struct Proxy {
    port: u16,
    passed: Arc<Mutex<Vec<u8>>>,
    faults: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) fn start(to: u16, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (passed, faults): (Arc<Mutex<Vec<u8>>>, Arc<AtomicUsize>) = Default::default();
        let shared = (passed.clone(), faults.clone());
        // Ends with the process of the test.
        std::thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                let Ok(callee) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let seen = Arc::new(AtomicUsize::new(0));
                for (from, to) in [(&caller, &callee), (&callee, &caller)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let (seen, (passed, faults)) = (seen.clone(), shared.clone());
                    std::thread::spawn(move || pass(from, to, fault, &seen, &passed, &faults));
                }
            }
        });
        Self { port, passed, faults }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Bytes that have passed.
    pub(crate) fn passed(&self) -> usize {
        self.passed.lock().unwrap().len()
    }

    fn faults(&self) -> usize {
        self.faults.load(Ordering::SeqCst)
    }
}

/// Passes bytes in one direction until either end closes.
fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    fault: Fault,
    seen: &AtomicUsize,
    passed: &Mutex<Vec<u8>>,
    faults: &AtomicUsize,
) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let (before, bytes) = (seen.fetch_add(count, Ordering::SeqCst), &buffer[..count]);
        let reaches = |limit: usize| before < limit && before + count >= limit;
        let cut = match fault {
            Fault::Cut { bytes: limit, times } if reaches(limit) => {
                (faults.fetch_add(1, Ordering::SeqCst) < times).then_some(0)
            }
            Fault::Halve { bytes: limit, times } if reaches(limit) => {
                (faults.fetch_add(1, Ordering::SeqCst) < times).then_some(count / 2)
            }
            Fault::Stall { bytes: limit, pause } if reaches(limit) => {
                if faults.fetch_add(1, Ordering::SeqCst) == 0 {
                    std::thread::sleep(pause);
                }
                None
            }
            _ => None,
        };
        let bytes = &bytes[..cut.unwrap_or(count)];
        passed.lock().unwrap().extend_from_slice(bytes);
        if to.write_all(bytes).is_err() || cut.is_some() {
            break;
        }
    }
    drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
}

/// Two sites whose only way to each other is a proxy: the host has no address of the guest and waits for its call.
fn behind_a_proxy(fault: Fault, tls: bool) -> (Pair, Proxy) {
    let pair = Pair::with_breast_tables();
    let port = |site: &crate::site::Site| -> u16 {
        let conf = std::fs::read_to_string(site.home().join("service_conf.yaml")).unwrap();
        let port = conf.split("port: ").nth(1).unwrap();
        port.split(['}', ',']).next().unwrap().trim().parse().unwrap()
    };
    let proxy = Proxy::start(port(&pair.host), fault);
    let to_host = format!("peers: {{'10000': {{address: '127.0.0.1:{}'}}}}, ", proxy.port);
    // Nobody listens there.
    let to_guest = "peers: {'9999': {address: '127.0.0.1:1'}}, ";
    for (site, peers) in [(&pair.guest, to_host.as_str()), (&pair.host, to_guest)] {
        let conf = std::fs::read_to_string(site.home().join("service_conf.yaml")).unwrap();
        site.write(
            "service_conf.yaml",
            &conf.replace("direct: {", &format!("direct: {{tls: {tls}, {peers}")),
        );
    }
    (pair, proxy)
}

/// What must not be readable: ids, values, names of columns and tables, words of the job file.
fn secrets() -> Vec<String> {
    let mut secrets: Vec<String> =
        ["mean_radius", "radius_error", "breast_host", "experiment", "hetero_feature_binning"]
            .map(String::from)
            .into();
    for name in ["breast/guest.csv", "breast/host.csv"] {
        let text = std::fs::read_to_string(example(name)).unwrap();
        let rows = text.lines().skip(1).take(50).filter_map(|line| line.split(',').next());
        secrets.extend(rows.map(str::to_owned));
    }
    secrets
}

#[test]
fn nothing_about_tables_can_be_read_on_the_line_with_tls_and_without() {
    for tls in [true, false] {
        let (pair, proxy) = behind_a_proxy(Fault::None, tls);
        pair.runs_the_example();
        let passed = proxy.passed.lock().unwrap();
        assert!(passed.len() > 200_000, "all went over the proxy: {}", passed.len());
        for secret in secrets() {
            let found = passed.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} with tls: {tls}");
        }
    }
}

#[test]
fn a_line_that_is_cut_again_and_again_changes_nothing() {
    let (pair, proxy) = behind_a_proxy(Fault::Cut { bytes: 30_000, times: 5 }, true);
    pair.runs_the_example();
    assert!(proxy.faults() >= 3, "{}", proxy.faults());
}

#[test]
fn a_line_that_loses_half_of_what_it_carries_changes_nothing() {
    let (pair, proxy) = behind_a_proxy(Fault::Halve { bytes: 50_000, times: 3 }, false);
    pair.runs_the_example();
    assert!(proxy.faults() >= 2, "{}", proxy.faults());
}

#[test]
fn a_line_that_is_silent_for_ten_seconds_changes_nothing() {
    let (pair, proxy) = behind_a_proxy(Fault::Stall { bytes: 60_000, pause: Duration::from_secs(10) }, true);
    pair.runs_the_example();
    assert!(proxy.faults() >= 1);
}
