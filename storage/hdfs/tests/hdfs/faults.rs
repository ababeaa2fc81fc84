//! What a cluster refuses, and what its way does: an error that says what to change.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::executor::block_on;

use tributary_conformance::bytes::content;
use tributary_core::bytestore::ByteStore;
use tributary_core::{Error, ErrorKind};
use tributary_hdfs::{HdfsBytes, HdfsConfig};

use crate::cluster::{at, calm, fresh, hadoop};

fn put(config: &HdfsConfig, path: &str) -> Result<(), Error> {
    block_on(HdfsBytes::new(config)?.put_if_absent(path, Bytes::from_static(b"x")))
}

fn check(error: &Error, kind: ErrorKind, texts: &[&str]) {
    let chain = error.chain();
    assert_eq!(error.kind(), kind, "{chain}");
    for text in texts {
        assert!(chain.contains(text), "{text}: {chain}");
    }
}

#[test]
fn a_name_node_that_is_not_there_is_waited_for_and_then_named() {
    // bound, so that nobody else gets the port, and never accepting
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = socket.local_addr().unwrap().to_string();
    drop(socket);
    let patience = Duration::from_secs(2);
    let begun = Instant::now();
    let error = put(&HdfsConfig { patience, ..at(&closed, "/x") }, "n/t").unwrap_err();
    check(
        &error,
        ErrorKind::Unavailable,
        &[&format!("hdfs://{closed}/x/"), "cannot be reached", "name_node"],
    );
    assert!(begun.elapsed() >= patience / 2);
}

#[test]
fn who_may_not_write_is_told_so() {
    let _calm = calm();
    let mallory = HdfsConfig { user: Some("mallory".into()), ..fresh() };
    let error = put(&mallory, "n/t").unwrap_err();
    check(&error, ErrorKind::Denied, &["refuses it to this user", "mallory"]);
    // and one who may not read
    let owner = fresh();
    put(&owner, "n/t").unwrap();
    let other = HdfsBytes::new(&HdfsConfig { user: Some("mallory".into()), ..owner }).unwrap();
    check(&block_on(other.get("n/t", 0..1)).unwrap_err(), ErrorKind::Denied, &["read hdfs://"]);
    check(&block_on(other.list("n")).unwrap_err(), ErrorKind::Denied, &["list hdfs://"]);
}

#[test]
fn a_quota_that_is_used_up_is_named_and_leaves_what_was_there() {
    let _calm = calm();
    let config = fresh();
    let store = HdfsBytes::new(&config).unwrap();
    block_on(store.put_if_absent("n/t", content(1000))).unwrap();
    hadoop(&["dfsadmin", "-setQuota", "3", &config.folder]);
    let error = block_on(store.put_if_absent("n/u", content(1000))).unwrap_err();
    check(&error, ErrorKind::Exhausted, &["-setQuota", "NSQuotaExceededException"]);
    block_on(store.delete(&["n/t".into()])).unwrap();
    assert!(block_on(store.list("")).unwrap().is_empty(), "what makes room again needs none");
    block_on(store.put_if_absent("t", content(1000))).unwrap();
    hadoop(&["dfsadmin", "-clrQuota", &config.folder]);
    hadoop(&["dfsadmin", "-setSpaceQuota", "1000000", &config.folder]);
    let found = format!("{:?}", block_on(store.examine()));
    assert!(found.contains("its quota leaves 997000 of 1000000 bytes"), "{found}");
    let error = block_on(store.put_if_absent("n/u", content(2_000_000))).unwrap_err();
    check(&error, ErrorKind::Exhausted, &["-setSpaceQuota", "DSQuotaExceededException"]);
    let left: Vec<String> = block_on(store.list("")).unwrap().into_iter().map(|entry| entry.path).collect();
    assert_eq!(left, ["t"]);
}
