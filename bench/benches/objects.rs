//! Tables in an object store beside the raw client: the same bytes, put and got by `object_store` alone, in the same run, on a real server.
//!
//! Bytes count as stored. Ours also encodes, checks and decodes rows, so that on a machine whose cores are slower than its line to the server
//! the rival wins; the limit is a share of its speed.

#![allow(clippy::unwrap_used, reason = "a bench that cannot measure ends")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Float64Array, UInt64Array};
use arrow_schema::DataType;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStoreExt, WriteMultipart};

use tributary_core::settings::Secret;
use tributary_core::storage::{IfExists, Storage, StoredTable, WriteOptions};
use tributary_core::wanted::Wanted;
use tributary_core::{Field, KeyType, Layout, TableName, TableSchema};
use tributary_object::{S3Config, S3Keys, Way};
use tributary_services::Service;

const COLUMNS: usize = 40;
const BATCHES: u64 = 60;
const BATCH_ROWS: u64 = 10_000;
/// Measured in turns, so that both sides meet the same machine.
const TURNS: usize = 5;

fn config(server: &Service) -> S3Config {
    let secret = |name| Secret::new(server.value(name));
    S3Config {
        bucket: server.value("S3_BUCKET"),
        region: server.value("S3_REGION"),
        path_style: true,
        keys: Some(S3Keys { id: secret("S3_ACCESS_KEY"), key: secret("S3_SECRET_KEY"), token: None }),
        way: Way {
            prefix: "bench".into(),
            endpoint: Some(server.value("S3_ENDPOINT")),
            ca_file: None,
            patience: Duration::from_secs(60),
        },
    }
}

fn raw(server: &Service) -> AmazonS3 {
    AmazonS3Builder::new()
        .with_endpoint(server.value("S3_ENDPOINT"))
        .with_bucket_name(server.value("S3_BUCKET"))
        .with_region(server.value("S3_REGION"))
        .with_access_key_id(server.value("S3_ACCESS_KEY"))
        .with_secret_access_key(server.value("S3_SECRET_KEY"))
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .build()
        .unwrap()
}

fn schema() -> TableSchema {
    let fields = (0..COLUMNS).map(|c| Field::new(format!("c{c}"), DataType::Float64)).collect();
    TableSchema::keyed("id", KeyType::UInt64, fields).unwrap()
}

/// Numbers that do not compress, made before the clock starts.
fn batches() -> Vec<arrow_array::RecordBatch> {
    let batch = |batch: u64| {
        let rows = batch * BATCH_ROWS..(batch + 1) * BATCH_ROWS;
        let mut all: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from_iter_values(rows.clone()))];
        for column in 0..COLUMNS as u64 {
            let value = |row: u64| (row ^ (column << 40)).wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64;
            all.push(Arc::new(Float64Array::from_iter_values(rows.clone().map(value))));
        }
        schema().batch(all).unwrap()
    };
    (0..BATCHES).map(batch).collect()
}

async fn write(tables: &dyn Storage, batches: Vec<arrow_array::RecordBatch>) -> StoredTable {
    let place = tables.locate(&TableName::new("bench", "t").unwrap()).unwrap();
    let options = WriteOptions::default().with_if_exists(IfExists::Replace);
    let write = tables.begin(&place, &schema(), &Layout::Loose(1), options).await.unwrap();
    let rows = stream::iter(batches.into_iter().map(Ok)).boxed();
    let part = tables.write_part(&write, 0, rows).await.unwrap();
    tables.commit(write, vec![part]).await.unwrap()
}

async fn scan(tables: &dyn Storage, table: &StoredTable, wanted: &Wanted) {
    let mut rows = tables.scan_some(table, 0, wanted).await.unwrap();
    while let Some(batch) = rows.try_next().await.unwrap() {
        std::hint::black_box(&batch);
    }
}

async fn put(client: &AmazonS3, bytes: &Bytes) {
    let upload = client.put_multipart(&Path::from("bench/raw")).await.unwrap();
    let mut upload = WriteMultipart::new_with_chunk_size(upload, 8 << 20);
    for at in (0..bytes.len()).step_by(8 << 20) {
        upload.wait_for_capacity(4).await.unwrap();
        upload.put(bytes.slice(at..bytes.len().min(at + (8 << 20))));
    }
    upload.finish().await.unwrap();
}

async fn get(client: &AmazonS3) {
    let mut pieces = client.get(&Path::from("bench/raw")).await.unwrap().into_stream();
    while let Some(piece) = pieces.try_next().await.unwrap() {
        std::hint::black_box(&piece);
    }
}

async fn seconds(work: impl Future<Output = ()>) -> f64 {
    let began = Instant::now();
    work.await;
    began.elapsed().as_secs_f64()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[tokio::main]
async fn main() {
    let server = Service::start("s3", &[]);
    let (tables, client, batches) =
        (tributary_object::s3(&config(&server)).unwrap(), raw(&server), batches());
    let table = write(&*tables, batches.clone()).await;
    let bytes: Bytes = (0..table.bytes()).map(|i| (i ^ i >> 8) as u8).collect::<Vec<_>>().into();
    let four = Wanted::default().with_columns([0, 10, 20, 40]);
    let mut all: [Vec<f64>; 5] = Default::default();
    for _ in 0..TURNS {
        all[0].push(seconds(async { drop(write(&*tables, batches.clone()).await) }).await);
        all[1].push(seconds(put(&client, &bytes)).await);
        let table = tables.open(&table.uri).await.unwrap();
        all[2].push(seconds(scan(&*tables, &table, &Wanted::default())).await);
        all[3].push(seconds(get(&client)).await);
        all[4].push(seconds(scan(&*tables, &table, &four)).await);
    }
    let [write, put, scan, get, four] = all.map(median);
    let rate = |seconds: f64| table.bytes() as f64 / 1e6 / seconds;
    println!("{} MB stored, median of {TURNS}, MB/s", table.bytes() / 1_000_000);
    println!(
        "write a table  {:7.0}   put its bytes  {:7.0}   share {:.2} (wanted 0.8)",
        rate(write),
        rate(put),
        put / write
    );
    println!(
        "scan it        {:7.0}   get its bytes  {:7.0}   share {:.2} (wanted 0.8)",
        rate(scan),
        rate(get),
        get / scan
    );
    println!("scan 4 of {COLUMNS} columns: {:.2} of the time of all", four / scan);
    if put / write < 0.8 || get / scan < 0.8 {
        std::process::exit(1);
    }
}
