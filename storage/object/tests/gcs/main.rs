//! Files of others on a server that speaks the protocol of Google Cloud Storage, which runs as long as this test binary.
//!
//! The server reads as the service does, but takes no writes of the protocol that our client speaks: its own interface puts objects there for these
//! tests, and what is written is refused with a clear error. Tables on the service itself are for `tributary doctor` to try, conditions included.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use tributary_core::ErrorKind;
use tributary_core::bytestore::ByteStore;
use tributary_core::check::State;
use tributary_core::media::{Distant, Source};
use tributary_core::settings::Secret;
use tributary_core::storage::Storage;
use tributary_object::{GcsConfig, ObjectBytes, ServiceAccount, Way};
use tributary_services::Service;

static SERVER: LazyLock<Service> = LazyLock::new(|| Service::start("gcs", &[]));

/// The key of an account that asks nobody for a token.
const ACCOUNT: &str =
    r#"{"private_key": "", "private_key_id": "", "client_email": "", "disable_oauth": true}"#;

/// A place of its own for a test.
fn fresh() -> GcsConfig {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let endpoint = Some(SERVER.value("GCS_ENDPOINT"));
    let way = Way { prefix, endpoint, ca_file: None, patience: Duration::from_secs(5) };
    let account = Some(ServiceAccount::Key(Secret::new(ACCOUNT.into())));
    GcsConfig { bucket: SERVER.value("GCS_BUCKET"), account, sign: true, way }
}

/// Puts an object there through the server's own interface.
fn put(config: &GcsConfig, path: &str, bytes: &[u8]) {
    let host = config.way.endpoint.as_ref().unwrap().trim_start_matches("http://").to_owned();
    let (bucket, name) = (&config.bucket, format!("{}/{path}", config.way.prefix));
    let mut connection = TcpStream::connect(&host).unwrap();
    let length = bytes.len();
    write!(
        connection,
        "POST /upload/storage/v1/b/{bucket}/o?uploadType=media&name={name} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    connection.write_all(bytes).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn files_are_found_and_read_in_one_state() {
    tributary_conformance::run(async {
        let (config, content) = (fresh(), (0..300_000u32).map(|i| (i / 7) as u8).collect::<Vec<_>>());
        for name in ["t/a.csv", "t/b/c.csv", "u"] {
            put(&config, name, &content);
        }
        let store = Arc::new(ObjectBytes::gcs(&config).unwrap());
        let mut names: Vec<String> =
            store.list("t").await.unwrap().into_iter().map(|entry| entry.path).collect();
        names.sort();
        assert_eq!(names, ["t/a.csv", "t/b/c.csv"]);
        assert_eq!(store.get("u", 100..200).await.unwrap(), &content[100..200]);
        let (bytes, state) = store.get_with_state("u", 299_990..300_000).await.unwrap();
        assert_eq!((bytes.len(), &state), (10, &store.stat("u").await.unwrap()));
        let file = Distant::open(store.clone(), "t/a.csv", Path::new("gs://bucket/t/a.csv")).unwrap();
        file.expect(std::slice::from_ref(&(0..300_000)), 1);
        let mut read = vec![0; 300_000];
        file.read_at(0, &mut read).unwrap();
        assert!(read == content);
        // of the same length
        put(&config, "t/a.csv", &content.iter().map(|byte| !byte).collect::<Vec<_>>());
        file.expect(&[], 1);
        assert_eq!(file.read_at(0, &mut read).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(store.stat("none").await.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn what_the_server_cannot_do_is_found_by_a_probe_and_named() {
    tributary_conformance::run(async {
        let tables = tributary_object::gcs(&fresh()).unwrap();
        let findings = tables.examine().await;
        let State::Failed { found, .. } = &findings[0].state else { panic!("{findings:?}") };
        assert!(findings[0].what == "writes" && found.contains("write gs://"), "{found}");
        assert!(matches!(findings[1].state, State::Skipped { .. }), "{findings:?}");
    });
}

#[test]
fn a_server_that_is_not_there_is_named() {
    tributary_conformance::run(async {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = socket.local_addr().unwrap();
        drop(socket);
        let mut config = fresh();
        (config.way.endpoint, config.way.patience) =
            (Some(format!("http://{closed}")), Duration::from_secs(1));
        let silent = ObjectBytes::gcs(&config).unwrap().put_if_absent("x", Bytes::from_static(b"1")).await;
        assert_eq!(silent.unwrap_err().kind(), ErrorKind::Unavailable);
    });
}
