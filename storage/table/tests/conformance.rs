//! The storage contract, over a byte store that knows neither folders nor renaming.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::sync::Arc;

use tributary_core::storage::Storage;
use tributary_table::Tables;

mod support;

tributary_conformance::storage_suite!(
    {
        let memory = support::Memory::new();
        memory.set_time(std::time::SystemTime::now());
        move || Arc::new(Tables::new(Arc::new(memory.clone()))) as Arc<dyn Storage>
    },
    replaces_snapshots,
);
