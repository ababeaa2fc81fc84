//! A writer is killed again and again.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use tributary_conformance::killed::{self, Medium};
use tributary_core::bytestore::list_with_time;
use tributary_core::storage::Sweep;
use tributary_hdfs::{HdfsBytes, HdfsConfig};
use tributary_table::{ByteStore, Tables};

use crate::cluster::{at, calm, fresh};

const ADDRESS: &str = "TRIBUTARY_KILLED_ADDRESS";
const FOLDER: &str = "TRIBUTARY_KILLED_FOLDER";

fn medium(config: &HdfsConfig) -> Medium {
    Medium { bytes: Arc::new(HdfsBytes::new(config).unwrap()), tables: |bytes| Arc::new(Tables::new(bytes)) }
}

#[test]
#[ignore = "the process that the other test kills"]
fn replace_again_and_again() {
    let told = |name| std::env::var(name).expect("run by the other test only");
    killed::replace_again_and_again(medium(&at(&told(ADDRESS), &told(FOLDER))));
}

/// Everything is old as soon as the cluster's clock has gone on.
fn old(bytes: &dyn ByteStore) -> Sweep {
    let newest = block_on(bytes.list("")).unwrap().into_iter().map(|entry| entry.modified).max().unwrap();
    while block_on(list_with_time(bytes, "", "clock")).unwrap().0 <= newest {
        std::thread::sleep(Duration::from_millis(10));
    }
    Sweep { idle: Duration::ZERO, ..Sweep::default() }
}

#[test]
fn a_killed_writer_leaves_the_old_table_or_the_new_one() {
    let _calm = calm();
    let config = fresh();
    let writer = || {
        let mut writer = Command::new(std::env::current_exe().unwrap());
        writer.env(ADDRESS, &config.authority).env(FOLDER, &config.folder);
        writer
    };
    let medium = medium(&config);
    killed::a_killed_writer_leaves_the_old_table_or_the_new_one(
        &medium,
        "killed::replace_again_and_again",
        writer,
        || old(&*medium.bytes),
    );
}
