//! A writer is killed again and again.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use tributary_conformance::killed::{self, Medium};
use tributary_core::bytestore::list_with_time;
use tributary_core::storage::Sweep;
use tributary_object::{ObjectBytes, S3Config};
use tributary_table::{ByteStore, Tables};

use crate::server::{fresh, tell, told};

const PREFIX: &str = "TRIBUTARY_KILLED_PREFIX";

fn medium(config: &S3Config) -> Medium {
    Medium { bytes: Arc::new(ObjectBytes::s3(config).unwrap()), tables: |bytes| Arc::new(Tables::new(bytes)) }
}

#[test]
#[ignore = "the process that the other test kills"]
fn replace_again_and_again() {
    let prefix = std::env::var(PREFIX).expect("run by the other test only");
    killed::replace_again_and_again(medium(&told(&prefix)));
}

/// Times of objects are whole seconds and cannot be set: everything is old as soon as the server's clock has gone on.
fn old(bytes: &dyn ByteStore) -> Sweep {
    let newest = block_on(bytes.list("")).unwrap().into_iter().map(|entry| entry.modified).max().unwrap();
    while block_on(list_with_time(bytes, "", "clock")).unwrap().0 <= newest {
        std::thread::sleep(Duration::from_millis(100));
    }
    Sweep { idle: Duration::ZERO, ..Sweep::default() }
}

#[test]
fn a_killed_writer_leaves_the_old_table_or_the_new_one() {
    let config = fresh();
    let writer = || {
        let mut writer = Command::new(std::env::current_exe().unwrap());
        writer.env(PREFIX, &config.way.prefix);
        tell(&mut writer);
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
