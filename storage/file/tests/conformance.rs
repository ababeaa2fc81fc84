//! The storage contract, on local files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::sync::Arc;

use tributary_conformance::bytes::Store;
use tributary_core::storage::Storage;
use tributary_file::FileStore;

tributary_conformance::storage_suite!(
    {
        let folder = tempfile::tempdir().unwrap();
        move || tributary_file::storage(folder.path()).unwrap() as Arc<dyn Storage>
    },
    binds,
    replaces_snapshots,
    copies_cheaply,
);

tributary_conformance::bytes_suite!({
    let folder = tempfile::tempdir().unwrap();
    move || Arc::new(FileStore::open(folder.path()).unwrap()) as Store
});
