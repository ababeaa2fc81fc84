//! The storage contract, on local files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use tributary_core::storage::Storage;

tributary_conformance::storage_suite!(
    {
        let folder = tempfile::tempdir().unwrap();
        move || tributary_file::storage(folder.path()).unwrap() as std::sync::Arc<dyn Storage>
    },
    binds,
    replaces_snapshots,
    copies_cheaply,
);
