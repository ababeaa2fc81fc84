//! Tables on a real S3 server, which runs as long as this test binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

mod elsewhere;
mod faults;
mod killed;
mod proxy;
mod server;
mod uploads;

use std::sync::Arc;

use tributary_core::storage::Storage;

tributary_conformance::storage_suite!(
    {
        let config = server::fresh();
        move || tributary_object::s3(&config).unwrap() as Arc<dyn Storage>
    },
    binds,
    replaces_snapshots,
    copies_cheaply,
);
