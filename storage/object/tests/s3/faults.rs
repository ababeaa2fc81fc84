//! What goes wrong between a site and its object store: each is mended by trying again, or an error that says what to change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow_array::UInt64Array;
use futures::{StreamExt, stream};

use tributary_core::bytestore::ByteStore;
use tributary_core::settings::Secret;
use tributary_core::storage::{Storage, StoredTable, WriteOptions};
use tributary_core::{Error, ErrorKind, KeyType, Layout, Result, TableName, TableSchema};
use tributary_object::{ObjectBytes, S3Config};

use crate::proxy::{Fault, Proxy};
use crate::server::{address, by, fresh, server};

/// Longer than any fault here lasts.
const PATIENCE: Duration = Duration::from_secs(60);

/// A table of so many rows, in one part.
async fn write(config: &S3Config, rows: u64) -> Result<StoredTable> {
    let tables = tributary_object::s3(config)?;
    let schema = TableSchema::keyed("id", KeyType::UInt64, vec![])?;
    let place = tables.locate(&TableName::new("n", "t")?)?;
    let write = tables.begin(&place, &schema, &Layout::Loose(1), WriteOptions::default()).await?;
    let batches = (0..rows).step_by(100_000).map(|at| {
        // random enough to stay as long as it is
        let ids = (at..rows.min(at + 100_000)).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        schema.batch(vec![Arc::new(UInt64Array::from_iter_values(ids))])
    });
    let batches = stream::iter(batches.collect::<Vec<_>>()).boxed();
    let part = tables.write_part(&write, 0, batches).await?;
    let table = tables.commit(write, vec![part]).await?;
    tables.verify(&table).await?;
    Ok(table)
}

fn fails(config: &S3Config) -> Error {
    tributary_conformance::run(write(config, 10)).unwrap_err()
}

fn check(error: &Error, kind: ErrorKind, text: &str) {
    let chain = error.chain();
    assert_eq!(error.kind(), kind, "{chain}");
    assert!(chain.contains(text), "{chain}");
    assert!(!chain.contains(&server().value("S3_SECRET_KEY")) && !chain.contains("hunter2"), "{chain}");
}

#[test]
fn a_wrong_key_is_named_as_such_and_not_shown() {
    for wrong_id in [true, false] {
        let mut config = fresh();
        let keys = config.keys.as_mut().unwrap();
        *if wrong_id { &mut keys.id } else { &mut keys.key } = Secret::new("hunter2".into());
        check(&fails(&config), ErrorKind::Denied, "the server refuses the credentials");
    }
}

#[test]
fn a_bucket_that_does_not_exist_is_no_missing_table() {
    let config = S3Config { bucket: "no-such-bucket".into(), ..fresh() };
    check(&fails(&config), ErrorKind::InvalidInput, "there is no such bucket");
}

#[test]
fn a_server_that_is_not_there_is_waited_for_and_then_named() {
    // bound, so that nobody else gets the port, and never accepting
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = socket.local_addr().unwrap();
    drop(socket);
    let patience = Duration::from_secs(1);
    let config = by(&format!("http://{closed}"), patience, fresh());
    let begun = Instant::now();
    check(&fails(&config), ErrorKind::Unavailable, "cannot be reached");
    assert!(begun.elapsed() >= patience);
}

/// The clock of the client cannot be set, so that the way to the server says what the server would.
#[test]
fn clocks_that_differ_are_named() {
    let proxy = Proxy::start(&address(), |_| Fault::Skewed);
    let config = by(&proxy.endpoint, PATIENCE, fresh());
    check(&fails(&config), ErrorKind::Denied, "set this machine's clock");
}

/// The first requests of each kind fail; none of it is seen from outside.
fn survives(rows: u64, fault: impl Fn(&str) -> Fault + Send + Sync + 'static) {
    let proxy = Proxy::start(&address(), fault);
    let config = fresh();
    let through = by(&proxy.endpoint, PATIENCE, config.clone());
    tributary_conformance::run(async {
        let written = write(&through, rows).await.unwrap();
        let tables = tributary_object::s3(&config).unwrap();
        assert_eq!(tables.open(&written.uri).await.unwrap(), written);
        assert_eq!(written.rows(), rows);
        let there = ObjectBytes::s3(&config).unwrap().list("").await.unwrap();
        assert_eq!(there.len(), 2, "a part and a manifest: {there:?}");
    });
    assert!(proxy.count() > 0, "nothing went wrong");
}

/// One fault in every so many requests.
fn every(nth: usize, fault: Fault) -> impl Fn(&str) -> Fault + Send + Sync {
    let requests = AtomicUsize::new(0);
    move |_| match requests.fetch_add(1, Ordering::Relaxed) % nth {
        0 => fault,
        _ => Fault::Pass,
    }
}

#[test]
fn a_server_that_asks_for_fewer_requests_gets_them_and_the_table_is_written() {
    survives(10, every(2, Fault::SlowDown));
}

#[test]
fn connections_that_are_reset_within_a_piece_are_made_again() {
    let pieces = AtomicUsize::new(0);
    // 20 MB: three pieces
    survives(3_000_000, move |head| {
        let is_piece = head.starts_with("PUT") && head.contains("partNumber=");
        match is_piece && pieces.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            true => Fault::Reset(1 << 20),
            false => Fault::Pass,
        }
    });
}

#[test]
fn a_manifest_whose_answer_was_lost_is_written_once() {
    let lost = AtomicUsize::new(0);
    survives(10, move |head| {
        let is_manifest = head.starts_with("PUT") && head.contains("_manifest.json");
        match is_manifest && lost.fetch_add(1, Ordering::Relaxed) == 0 {
            true => Fault::LoseAnswer,
            false => Fault::Pass,
        }
    });
}

#[test]
fn a_server_that_only_asks_for_fewer_requests_is_an_error_after_a_while() {
    let proxy = Proxy::start(&address(), |_| Fault::SlowDown);
    let patience = Duration::from_secs(2);
    let config = by(&proxy.endpoint, patience, fresh());
    check(&fails(&config), ErrorKind::Unavailable, "asks for fewer requests");
    assert!(proxy.count() > 2);
}

#[test]
fn the_certificate_of_the_server_is_checked() {
    let tls = |ca_file| {
        let mut config = by(&server().value("S3_TLS_ENDPOINT"), Duration::from_secs(1), fresh());
        config.way.ca_file = ca_file;
        config
    };
    let folder = std::path::PathBuf::from(server().value("S3_CERTIFICATES"));
    let trusted = tls(Some(folder.join("ca.pem")));
    tributary_conformance::run(async { write(&trusted, 10).await.unwrap() });
    for unknown in [None, Some(folder.join("selfsigned.pem"))] {
        check(&fails(&tls(unknown)), ErrorKind::Unavailable, "certificate");
    }
    let none = ObjectBytes::s3(&tls(Some(folder.join("none.pem")))).unwrap_err();
    assert!(none.to_string().contains("ca_file"), "{none}");
}
