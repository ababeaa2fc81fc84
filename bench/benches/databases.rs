//! Tables in databases beside the raw clients: `COPY` and `LOAD DATA` of the same numbers, prepared as files before the clock starts; and a plain
//! `SELECT` of all of them, streamed by the same client, in the same run, on real servers.
//!
//! Ours also encodes rows, numbers them, sums them up, makes an index and publishes.

#![allow(clippy::unwrap_used, reason = "a bench that cannot measure ends")]

mod stored;

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};

use tributary_core::settings::Secret;
use tributary_core::storage::Storage;
use tributary_core::wanted::Wanted;
use tributary_services::Service;
use tributary_sql::{Config, Product, Server, SqlTables, Tls};

use stored::{COLUMNS, TURNS, batches, compare, median, number, scan, seconds, write};

const BATCHES: u64 = 20;
const ROWS: u64 = BATCHES * 10_000;

fn config(product: Product, service: &Service, words: &str) -> Config {
    let value = |key: &str| service.value(&format!("{words}_{key}"));
    let server = Server {
        product,
        host: "127.0.0.1".into(),
        port: value("PORT").parse().unwrap(),
        database: value("DB"),
        user: value("USER"),
        password: Some(Secret::new(value("PASSWORD"))),
        tls: Tls::Off,
        ca_file: None,
        connections: 10,
        idle: Duration::from_secs(30),
        patience: Duration::from_secs(60),
    };
    Config { server, party: "bench".into(), prefix: "tributary_".into() }
}

/// The same table, as text that both loaders read.
fn file(folder: &std::path::Path) -> PathBuf {
    let mut text = String::new();
    for row in 0..ROWS {
        write!(text, "{row}").unwrap();
        (0..COLUMNS as u64).for_each(|column| write!(text, "\t{}", number(row, column)).unwrap());
        text.push('\n');
    }
    let path = folder.join("rows.tsv");
    std::fs::write(&path, text).unwrap();
    path
}

fn definition(float: &str) -> String {
    let columns: Vec<String> = (0..COLUMNS).map(|column| format!("c{column} {float}")).collect();
    format!("DROP TABLE IF EXISTS raw; CREATE TABLE raw (id BIGINT, {})", columns.join(", "))
}

async fn postgresql(server: &Server) -> PgConnection {
    let options =
        PgConnectOptions::new_without_pgpass().host(&server.host).port(server.port).username(&server.user);
    options
        .password(server.password.as_ref().unwrap().expose())
        .database(&server.database)
        .connect()
        .await
        .unwrap()
}

async fn mysql(server: &Server) -> MySqlConnection {
    let options = MySqlConnectOptions::new().host(&server.host).port(server.port).username(&server.user);
    options
        .password(server.password.as_ref().unwrap().expose())
        .database(&server.database)
        .connect()
        .await
        .unwrap()
}

/// Medians of ours and of the rival, writing and reading.
async fn measure(config: &Config, file: &std::path::Path) -> [f64; 4] {
    let (tables, batches) = (SqlTables::new(config).unwrap(), batches(BATCHES));
    let mut all: [Vec<f64>; 4] = Default::default();
    for _ in 0..TURNS {
        all[0].push(seconds(async { drop(write(&*tables, batches.clone()).await) }).await);
        let uri = tables.locate(&tributary_core::TableName::new("bench", "t").unwrap()).unwrap();
        let table = tables.open(&uri).await.unwrap();
        all[2].push(seconds(scan(&*tables, &table, &Wanted::default())).await);
        let (load, select) = match config.server.product {
            Product::MySql => rival_mysql(&config.server, file).await,
            _ => rival_postgresql(&config.server, file).await,
        };
        all[1].push(load);
        all[3].push(select);
    }
    all.map(median)
}

async fn rival_postgresql(server: &Server, file: &std::path::Path) -> (f64, f64) {
    let mut to = postgresql(server).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(definition("DOUBLE PRECISION"))).execute(&mut to).await.unwrap();
    let bytes = std::fs::read(file).unwrap();
    let load = seconds(async {
        let mut copy = to.copy_in_raw("COPY raw FROM STDIN").await.unwrap();
        for piece in bytes.chunks(1 << 20) {
            copy.send(piece).await.unwrap();
        }
        copy.finish().await.unwrap();
    });
    let load = load.await;
    let select = seconds(async {
        let mut rows = sqlx::query("SELECT * FROM raw").fetch(&mut to);
        while let Some(row) = rows.try_next().await.unwrap() {
            std::hint::black_box(&row);
        }
    });
    (load, select.await)
}

async fn rival_mysql(server: &Server, file: &std::path::Path) -> (f64, f64) {
    let mut to = mysql(server).await;
    sqlx::raw_sql(sqlx::AssertSqlSafe(definition("DOUBLE"))).execute(&mut to).await.unwrap();
    let load = format!("LOAD DATA LOCAL INFILE '{}' INTO TABLE raw", file.display());
    let password = format!("--password={}", server.password.as_ref().unwrap().expose());
    let mut loader = Command::new("mariadb");
    loader.args([
        "--no-defaults",
        "--local-infile=1",
        "--host=127.0.0.1",
        "--port",
        &server.port.to_string(),
    ]);
    loader.args(["--user", &server.user, &password, "--execute", &load, &server.database]);
    let load = seconds(async { assert!(loader.status().unwrap().success()) }).await;
    let select = seconds(async {
        let mut rows = sqlx::query("SELECT * FROM raw").fetch(&mut to);
        while let Some(row) = rows.try_next().await.unwrap() {
            std::hint::black_box(&row);
        }
    });
    (load, select.await)
}

#[tokio::main]
async fn main() {
    let folder = std::env::temp_dir().join(format!("tributary-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = file(&folder);
    let mut fast = true;
    for (product, script, words, loader) in [
        (Product::PostgreSql, "postgres", "POSTGRES", "COPY its text"),
        (Product::MySql, "mariadb", "MARIADB", "LOAD DATA of its text"),
    ] {
        let service = Service::start(script, &[]);
        let [wrote, loaded, scanned, selected] = measure(&config(product, &service, words), &file).await;
        println!("{} rows of {COLUMNS} numbers in {}, median of {TURNS}", ROWS, product.name());
        fast &= compare("write a table", wrote, loader, loaded, 0.5);
        fast &= compare("scan it", scanned, "SELECT *, streamed", selected, 0.8);
    }
    std::fs::remove_dir_all(&folder).unwrap();
    if !fast {
        std::process::exit(1);
    }
}
