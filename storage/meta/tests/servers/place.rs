//! The servers, and a place of its own in them for each test.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tributary_core::meta::StorageMeta;
use tributary_core::settings::Secret;
use tributary_meta::{Product, Server, Tls};
use tributary_services::Service;

pub const BOTH: [Product; 2] = [Product::PostgreSql, Product::MySql];

/// What a script calls the server, and its keys begin with.
pub fn words(product: Product) -> (&'static str, &'static str) {
    match product {
        Product::MySql => ("mariadb", "MARIADB"),
        _ => ("postgres", "POSTGRES"),
    }
}

pub fn service(product: Product) -> &'static Service {
    static POSTGRES: LazyLock<Service> = LazyLock::new(|| Service::start("postgres", &[]));
    static MARIADB: LazyLock<Service> = LazyLock::new(|| Service::start("mariadb", &[]));
    if product == Product::MySql { &MARIADB } else { &POSTGRES }
}

pub fn server(product: Product, service: &Service) -> Server {
    let value = |key: &str| service.value(&format!("{}_{key}", words(product).1));
    Server {
        product,
        host: "localhost".into(),
        port: value("PORT").parse().unwrap(),
        database: value("DB"),
        user: value("USER"),
        password: Some(Secret::new(value("PASSWORD"))),
        tls: Tls::VerifyFull,
        ca_file: Some(PathBuf::from(value("CERTIFICATES")).join("ca.pem")),
        connections: 10,
        idle: Duration::from_secs(30),
        patience: Duration::from_secs(60),
    }
}

/// A party that has no records.
pub fn fresh() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn open(product: Product, party: &str) -> Arc<dyn StorageMeta> {
    tributary_meta::shared(server(product, service(product)), party)
}
