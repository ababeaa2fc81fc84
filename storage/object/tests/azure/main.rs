//! The storage contract in Azure Blob Storage, on an emulator of its vendor that runs as long as this test binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tributary_core::ErrorKind;
use tributary_core::bytestore::ByteStore;
use tributary_core::settings::Secret;
use tributary_core::storage::Storage;
use tributary_object::{AzureConfig, ObjectBytes, Way};
use tributary_services::Service;

static SERVER: LazyLock<Service> = LazyLock::new(|| Service::start("azurite", &[]));

/// A place of its own for a test.
fn fresh() -> AzureConfig {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    AzureConfig {
        account: SERVER.value("AZURE_ACCOUNT"),
        container: SERVER.value("AZURE_CONTAINER"),
        access_key: Some(Secret::new(SERVER.value("AZURE_KEY"))),
        signature: None,
        way: Way {
            prefix: NEXT.fetch_add(1, Ordering::Relaxed).to_string(),
            endpoint: Some(SERVER.value("AZURE_ENDPOINT")),
            ca_file: None,
            patience: Duration::from_secs(20),
        },
    }
}

tributary_conformance::storage_suite!(
    {
        let config = fresh();
        move || tributary_object::azure(&config).unwrap() as Arc<dyn Storage>
    },
    binds,
    replaces_snapshots,
    copies_cheaply,
);

fn fails(config: &AzureConfig, kind: ErrorKind, text: &str) {
    let error = tributary_conformance::run(async {
        ObjectBytes::azure(config).unwrap().get("x", 0..1).await.unwrap_err()
    });
    let chain = error.chain();
    assert!(error.kind() == kind && chain.contains(text), "{chain}");
    assert!(!chain.contains(&SERVER.value("AZURE_KEY")), "{chain}");
}

#[test]
fn a_wrong_key_and_a_missing_container_are_named() {
    let wrong = Secret::new("aHVudGVyMg==".into());
    fails(&AzureConfig { access_key: Some(wrong), ..fresh() }, ErrorKind::Denied, "credentials");
    let none = AzureConfig { container: "no-such-container".into(), ..fresh() };
    fails(&none, ErrorKind::InvalidInput, "there is no such bucket");
    fails(&fresh(), ErrorKind::NotFound, "does not exist");
}
