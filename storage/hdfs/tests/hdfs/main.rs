//! Tables on a real HDFS of one name node and three data nodes, which runs as long as this test binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

mod changed;
mod cluster;
mod disturbed;
mod faults;
mod killed;
mod uploads;

use std::sync::Arc;

use tributary_core::storage::Storage;

tributary_conformance::storage_suite!(
    {
        let (config, calm) = (cluster::fresh(), cluster::calm());
        move || {
            let _ = &calm;
            tributary_hdfs::storage(&config).unwrap() as Arc<dyn Storage>
        }
    },
    binds,
    replaces_snapshots,
);
