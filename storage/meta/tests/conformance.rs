//! The meta contract, on SQLite.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use tributary_core::meta::StorageMeta;

tributary_conformance::meta_suite!({
    let folder = tempfile::tempdir().unwrap();
    move || {
        tributary_meta::open(&folder.path().join("home/meta.db")).unwrap() as std::sync::Arc<dyn StorageMeta>
    }
});
