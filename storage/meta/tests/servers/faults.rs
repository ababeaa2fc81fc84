//! Servers that restart, refuse, or are others than they should be; and programs that meet in one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use tributary_core::meta::{Expect, StorageMeta, TableRecord};
use tributary_core::settings::Secret;
use tributary_core::{ErrorKind, TableName};
use tributary_meta::{Product, Server, Tls, shared};
use tributary_services::Service;

use crate::place::{BOTH, fresh, open, server, service, words};

fn table() -> TableName {
    TableName::new("n", "t").unwrap()
}

fn record(rows: u64) -> TableRecord {
    let record: TableRecord = serde_json::from_str(include_str!("../golden/record-v1.json")).unwrap();
    TableRecord { rows, ..record }
}

fn refused(server: Server, kind: ErrorKind, text: &str) {
    let secret = server.password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default();
    let error = block_on(shared(server, &fresh()).get(&table())).unwrap_err();
    let chain = error.chain();
    assert!(error.kind() == kind && chain.contains(text), "{:?} {chain}", error.kind());
    assert!(secret.is_empty() || !chain.contains(&secret), "{chain}");
}

fn at(product: Product) -> Server {
    Server { patience: Duration::from_millis(300), ..server(product, service(product)) }
}

#[test]
fn what_is_wrong_with_a_server_is_named() {
    for product in BOTH {
        let wrong = Some(Secret::new("hunter2".into()));
        refused(Server { password: wrong, ..at(product) }, ErrorKind::Denied, "check user and passwd");
        let database = "no_such_database".to_owned();
        refused(Server { database, ..at(product) }, ErrorKind::InvalidInput, "no such database");
        refused(Server { port: 1, ..at(product) }, ErrorKind::Unavailable, "cannot be reached");
    }
}

#[test]
fn the_certificate_of_the_server_is_checked() {
    for product in BOTH {
        let folder = at(product).ca_file.unwrap().parent().unwrap().to_owned();
        let stranger = Some(folder.join("selfsigned.pem"));
        refused(Server { ca_file: stranger.clone(), ..at(product) }, ErrorKind::Denied, "ca_file");
        refused(Server { host: "127.0.0.1".into(), ..at(product) }, ErrorKind::Denied, "of that host");
        let unchecked = Server { ca_file: stranger, tls: Tls::Require, ..at(product) };
        assert_eq!(block_on(shared(unchecked, &fresh()).get(&table())).unwrap(), None);
    }
}

#[test]
fn parties_in_one_database_know_nothing_of_each_other() {
    for product in BOTH {
        let (one, other) = (open(product, &fresh()), open(product, &fresh()));
        let version = block_on(one.set(&record(1), Expect::Absent)).unwrap();
        assert_eq!(block_on(other.get(&table())).unwrap(), None);
        assert_eq!(block_on(other.names(None)).unwrap(), []);
        assert_eq!(block_on(other.remove(&table(), version)).unwrap_err().kind(), ErrorKind::NotFound);
        block_on(other.set(&record(2), Expect::Absent)).unwrap();
        assert_eq!(block_on(one.get(&table())).unwrap(), Some((version, record(1))));
    }
}

fn stop(product: Product, service: &Service) {
    let pid: i32 = service.value(&format!("{}_PID", words(product).1)).parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// One writer counts while the server is killed and comes back: whatever answers are lost, each number is written once.
#[test]
fn a_server_that_restarts_loses_no_change_and_repeats_none() {
    for product in BOTH {
        let service = Service::start(words(product).0, &[]);
        let meta = shared(server(product, &service), &fresh());
        let mut version = block_on(meta.set(&record(0), Expect::Absent)).unwrap();
        let (done, mut count) = (AtomicBool::new(false), 0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2 {
                    thread::sleep(Duration::from_millis(200));
                    stop(product, &service);
                    service.start_again();
                }
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) || count == 0 {
                count += 1;
                version = block_on(meta.set(&record(count), Expect::At(version))).unwrap();
            }
        });
        assert_eq!(block_on(meta.get(&table())).unwrap(), Some((version, record(count))));

        stop(product, &service);
        let short = Server { patience: Duration::from_millis(500), ..server(product, &service) };
        let error = block_on(shared(short, "9999").get(&table())).unwrap_err();
        assert!(error.kind() == ErrorKind::Unavailable && error.is_retryable(), "{}", error.chain());
    }
}

#[test]
fn programs_that_start_at_once_in_an_empty_database_make_it_once() {
    for product in BOTH {
        let service = Service::start(words(product).0, &[]);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let meta = shared(server(product, &service), &fresh());
                    assert_eq!(block_on(meta.get(&table())).unwrap(), None);
                });
            }
        });
    }
}
