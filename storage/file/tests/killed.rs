//! A writer on local files is killed again and again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tributary_conformance::killed::{self, Medium};
use tributary_core::storage::Sweep;
use tributary_file::FileStore;
use tributary_table::Tables;

mod support;

const FOLDER: &str = "TRIBUTARY_KILLED_FOLDER";

fn medium(folder: &Path) -> Medium {
    Medium { bytes: Arc::new(FileStore::open(folder).unwrap()), tables: |bytes| Arc::new(Tables::new(bytes)) }
}

#[test]
#[ignore = "the process that the other test kills"]
fn replace_again_and_again() {
    let folder = std::env::var_os(FOLDER).expect("run by the other test only");
    killed::replace_again_and_again(medium(Path::new(&folder)));
}

#[test]
fn a_killed_writer_leaves_the_old_table_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let writer = || {
        let mut writer = Command::new(std::env::current_exe().unwrap());
        writer.env(FOLDER, folder.path());
        writer
    };
    let old = || {
        support::age(folder.path());
        Sweep::default()
    };
    let medium = medium(folder.path());
    killed::a_killed_writer_leaves_the_old_table_or_the_new_one(
        &medium,
        "replace_again_and_again",
        writer,
        old,
    );
}
