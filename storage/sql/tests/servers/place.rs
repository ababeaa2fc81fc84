//! The servers, places of their own in them for tests, and what other programs say to them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow_array::{Float64Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use futures::{StreamExt, TryStreamExt, stream};
use sqlx::{ConnectOptions, Connection};
use tributary_core::settings::Secret;
use tributary_core::storage::{IfExists, Storage, StoredTable, TableUri, WriteOptions};
use tributary_core::{Field, KeyType, Layout, Result, TableName, TableSchema};
use tributary_services::Service;
use tributary_sql::{Config, Product, Server, SqlTables, Tls};

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

/// The values of a place, by the names of the scripts.
const VALUES: [&str; 5] = ["PORT", "DB", "USER", "PASSWORD", "CERTIFICATES"];

pub fn config(product: Product, prefix: &str, value: impl Fn(&str) -> String) -> Config {
    let value = |key: &str| value(&format!("{}_{key}", words(product).1));
    let server = Server {
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
    };
    Config { server, party: "9999".into(), prefix: prefix.into() }
}

/// A place of its own for a test.
pub fn fresh(product: Product) -> Config {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("t{}_{}_", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    config(product, &prefix, |key| service(product).value(key))
}

/// Tells a test's child process what it needs to reach the same place.
pub fn tell(child: &mut Command, config: &Config) {
    let keys = VALUES.map(|key| format!("{}_{key}", words(config.server.product).1));
    child.envs(keys.map(|key| (key.clone(), service(config.server.product).value(&key))));
}

pub fn open(config: &Config) -> Arc<dyn Storage> {
    SqlTables::new(config).unwrap()
}

pub fn plain() -> TableSchema {
    TableSchema::keyed("id", KeyType::UInt64, vec![Field::new("x", DataType::Float64)]).unwrap()
}

pub fn place(store: &dyn Storage, name: &str) -> TableUri {
    store.locate(&TableName::new("n", name).unwrap()).unwrap()
}

pub fn batch(rows: std::ops::Range<u64>) -> RecordBatch {
    let numbers = UInt64Array::from_iter_values(rows.clone());
    let floats = Float64Array::from_iter_values(rows.map(|row| row as f64));
    plain().batch(vec![Arc::new(numbers), Arc::new(floats)]).unwrap()
}

/// Rows 0..n in one partition, in place of what is there.
pub async fn write(store: &dyn Storage, name: &str, rows: u64) -> Result<StoredTable> {
    let options = WriteOptions::default().with_if_exists(IfExists::Replace);
    let write = store.begin(&place(store, name), &plain(), &Layout::Loose(1), options).await?;
    let batches = (0..rows).step_by(1000).map(move |row| Ok(batch(row..rows.min(row + 1000))));
    let part = store.write_part(&write, 0, stream::iter(batches).boxed()).await?;
    store.commit(write, vec![part]).await
}

pub async fn read(store: &dyn Storage, table: &StoredTable, partition: u32) -> Result<Vec<RecordBatch>> {
    store.scan(table, partition).await?.try_collect().await
}

pub fn count(batches: &[RecordBatch]) -> u64 {
    batches.iter().map(|batch| batch.num_rows() as u64).sum()
}

/// What another program does in the database.
pub async fn say(config: &Config, statements: &'static str) {
    let Server { host, port, database, user, password, .. } = &config.server;
    let password = password.as_ref().unwrap().expose();
    let text = sqlx::raw_sql(statements);
    if config.server.product == Product::MySql {
        let options = sqlx::mysql::MySqlConnectOptions::new().host(host).port(*port).username(user);
        let mut to = options.password(password).database(database).connect().await.unwrap();
        text.execute(&mut to).await.unwrap();
        to.close().await.unwrap();
    } else {
        let options =
            sqlx::postgres::PgConnectOptions::new_without_pgpass().host(host).port(*port).username(user);
        let mut to = options.password(password).database(database).connect().await.unwrap();
        text.execute(&mut to).await.unwrap();
        to.close().await.unwrap();
    }
}
