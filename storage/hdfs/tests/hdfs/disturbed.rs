//! Processes of the cluster die under readers and writers, and it stops taking changes: the right result, or an error and nothing half.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;

use tributary_conformance::bytes::content;
use tributary_core::ErrorKind;
use tributary_core::bytestore::ByteStore;
use tributary_hdfs::{HdfsBytes, HdfsConfig};

use crate::cluster::{alone, fresh, hadoop, kill_node, service};

const MIB: usize = 1 << 20;

fn put(store: &HdfsBytes, path: &str, all: Bytes) -> tributary_core::Result<()> {
    block_on(async {
        let mut upload = store.put(path).await?;
        upload.write(all).await?;
        upload.finish().await
    })
}

#[test]
fn data_nodes_that_die_under_a_reader_do_not_change_what_it_reads() {
    let _alone = alone();
    let store = Arc::new(HdfsBytes::new(&fresh()).unwrap());
    let all = content(64 * MIB);
    put(&store, "x", all.clone()).unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let (read, began) = channel();
    let reader = thread::spawn({
        let (store, enough) = (store.clone(), enough.clone());
        move || {
            while !enough.load(Ordering::Relaxed) {
                assert!(block_on(store.get("x", 0..u64::MAX)).unwrap() == all);
                read.send(()).unwrap();
            }
        }
    });
    for node in ["dn1", "dn2"] {
        began.recv().unwrap();
        kill_node(node);
    }
    for _ in 0..3 {
        began.recv().unwrap();
    }
    enough.store(true, Ordering::Relaxed);
    while began.recv().is_ok() {}
    reader.join().unwrap();
    service().start_again();
}

#[test]
fn a_data_node_that_dies_under_a_writer_leaves_all_or_nothing() {
    let _alone = alone();
    let store = HdfsBytes::new(&fresh()).unwrap();
    let all = content(72 * MIB);
    for node in ["dn1", "dn2", "dn3"] {
        let written = block_on(async {
            let mut upload = store.put(node).await?;
            for (number, at) in (0..all.len()).step_by(8 * MIB).enumerate() {
                upload.write(all.slice(at..at + 8 * MIB)).await?;
                if number == 4 {
                    kill_node(node);
                }
            }
            upload.finish().await
        });
        match written {
            Ok(()) => assert!(block_on(store.get(node, 0..u64::MAX)).unwrap() == all, "{node}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
                assert_eq!(block_on(store.get(node, 0..1)).unwrap_err().kind(), ErrorKind::NotFound);
            }
        }
        // while the name node has not yet found out
        let small = format!("{node}-small");
        put(&store, &small, all.slice(..MIB)).unwrap();
        assert_eq!(block_on(store.get(&small, 0..u64::MAX)).unwrap(), all.slice(..MIB));
        service().start_again();
    }
}

#[test]
fn a_name_node_that_was_killed_is_waited_for() {
    let _alone = alone();
    let store = Arc::new(HdfsBytes::new(&fresh()).unwrap());
    put(&store, "n/old", content(MIB)).unwrap();
    kill_node("nn1");
    let worker = thread::spawn({
        let store = store.clone();
        move || {
            assert_eq!(block_on(store.get("n/old", 0..u64::MAX)).unwrap(), content(MIB));
            put(&store, "n/new", content(2 * MIB)).unwrap();
            let (_, revision) = block_on(store.get_with_revision("n/new", u64::MAX)).unwrap();
            block_on(store.put_if_unchanged("n/new", &revision, content(10))).unwrap();
            block_on(store.delete(&["n/old".into()])).unwrap();
        }
    });
    service().start_again();
    worker.join().unwrap();
    let left: Vec<String> = block_on(store.list("")).unwrap().into_iter().map(|entry| entry.path).collect();
    assert_eq!(left, ["n/new"]);
    assert_eq!(block_on(store.get("n/new", 0..u64::MAX)).unwrap(), content(10));
}

#[test]
fn in_safe_mode_tables_are_read_and_writers_wait_or_are_told_why_not() {
    let _alone = alone();
    let config = fresh();
    let store = Arc::new(HdfsBytes::new(&config).unwrap());
    put(&store, "n/t", content(10)).unwrap();
    hadoop(&["dfsadmin", "-safemode", "enter"]);
    assert_eq!(block_on(store.get("n/t", 0..100)).unwrap(), content(10));
    let hasty = HdfsBytes::new(&HdfsConfig { patience: Duration::from_secs(1), ..config }).unwrap();
    let error = put(&hasty, "n/u", content(10)).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Unavailable && error.to_string().contains("safe mode"),
        "{}",
        error.chain()
    );
    let waits = thread::spawn({
        let store = store.clone();
        move || put(&store, "n/u", content(10)).unwrap()
    });
    hadoop(&["dfsadmin", "-safemode", "leave"]);
    waits.join().unwrap();
    assert_eq!(block_on(store.list("")).unwrap().len(), 2);
}
