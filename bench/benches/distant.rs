//! Tables in distant stores beside their raw clients: the same bytes, put and got by `object_store` and `hdfs-native` alone, in the same run, on
//! real servers. Names of stores after `--` choose: `s3`, `hdfs`.
//!
//! Bytes count as stored. Ours also encodes, checks and decodes rows, so that on a machine whose cores are slower than its line to the server
//! the rival wins; the limit is a share of its speed.

#![allow(clippy::unwrap_used, reason = "a bench that cannot measure ends")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Float64Array, UInt64Array};
use arrow_schema::DataType;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use hdfs_native::{Client, ClientBuilder, WriteOptions as HdfsOptions};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStoreExt, WriteMultipart};

use tributary_core::settings::Secret;
use tributary_core::storage::{IfExists, Storage, StoredTable, WriteOptions};
use tributary_core::wanted::Wanted;
use tributary_core::{Field, KeyType, Layout, TableName, TableSchema};
use tributary_hdfs::HdfsConfig;
use tributary_object::{S3Config, S3Keys, Way};
use tributary_services::Service;

const COLUMNS: usize = 40;
const BATCHES: u64 = 60;
const BATCH_ROWS: u64 = 10_000;
/// Measured in turns, so that both sides meet the same machine.
const TURNS: usize = 5;

fn s3_config(server: &Service) -> S3Config {
    let secret = |name| Secret::new(server.value(name));
    S3Config {
        bucket: server.value("S3_BUCKET"),
        region: server.value("S3_REGION"),
        path_style: true,
        keys: Some(S3Keys { id: secret("S3_ACCESS_KEY"), key: secret("S3_SECRET_KEY"), token: None }),
        copied_at_once: tributary_object::COPIED_AT_ONCE,
        way: Way {
            prefix: "bench".into(),
            endpoint: Some(server.value("S3_ENDPOINT")),
            ca_file: None,
            patience: Duration::from_secs(60),
        },
    }
}

fn s3_client(server: &Service) -> AmazonS3 {
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

/// A client without tables.
#[async_trait]
trait Raw {
    async fn put(&self, bytes: &Bytes);
    async fn get(&self);
}

const PIECE: usize = 8 << 20;

fn pieces(bytes: &Bytes) -> impl Iterator<Item = Bytes> {
    (0..bytes.len()).step_by(PIECE).map(|at| bytes.slice(at..bytes.len().min(at + PIECE)))
}

#[async_trait]
impl Raw for AmazonS3 {
    async fn put(&self, bytes: &Bytes) {
        let upload = self.put_multipart(&Path::from("bench/raw")).await.unwrap();
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE);
        for piece in pieces(bytes) {
            upload.wait_for_capacity(4).await.unwrap();
            upload.put(piece);
        }
        upload.finish().await.unwrap();
    }

    async fn get(&self) {
        let mut pieces = ObjectStoreExt::get(self, &Path::from("bench/raw")).await.unwrap().into_stream();
        while let Some(piece) = pieces.try_next().await.unwrap() {
            std::hint::black_box(&piece);
        }
    }
}

#[async_trait]
impl Raw for Client {
    async fn put(&self, bytes: &Bytes) {
        let mut file = self.create("/bench/raw", HdfsOptions::default().overwrite(true)).await.unwrap();
        for piece in pieces(bytes) {
            file.write_bytes(piece).await.unwrap();
        }
        file.close().await.unwrap();
    }

    async fn get(&self) {
        let file = self.read("/bench/raw").await.unwrap();
        let mut pieces = std::pin::pin!(file.read_range_stream(0, file.file_length()));
        while let Some(piece) = pieces.try_next().await.unwrap() {
            std::hint::black_box(&piece);
        }
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

/// Whether the limits are kept.
async fn measure(
    store: &str,
    tables: &dyn Storage,
    client: &dyn Raw,
    batches: &[arrow_array::RecordBatch],
) -> bool {
    let table = write(tables, batches.to_vec()).await;
    let bytes: Bytes = (0..table.bytes()).map(|i| (i ^ i >> 8) as u8).collect::<Vec<_>>().into();
    let four = Wanted::default().with_columns([0, 10, 20, 40]);
    let mut all: [Vec<f64>; 5] = Default::default();
    for _ in 0..TURNS {
        all[0].push(seconds(async { drop(write(tables, batches.to_vec()).await) }).await);
        all[1].push(seconds(client.put(&bytes)).await);
        let table = tables.open(&table.uri).await.unwrap();
        all[2].push(seconds(scan(tables, &table, &Wanted::default())).await);
        all[3].push(seconds(client.get()).await);
        all[4].push(seconds(scan(tables, &table, &four)).await);
    }
    let [write, put, scan, get, four] = all.map(median);
    let rate = |seconds: f64| table.bytes() as f64 / 1e6 / seconds;
    println!("{store}: {} MB stored, median of {TURNS}, MB/s", table.bytes() / 1_000_000);
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
    put / write >= 0.8 && get / scan >= 0.8
}

async fn s3(batches: &[arrow_array::RecordBatch]) -> bool {
    let server = Service::start("s3", &[]);
    let tables = tributary_object::s3(&s3_config(&server)).unwrap();
    measure("s3", &*tables, &s3_client(&server), batches).await
}

async fn hdfs(batches: &[arrow_array::RecordBatch]) -> bool {
    let server = Service::start("hdfs", &[("HDFS_JIT", "4")]);
    let address = server.value("HDFS_URI");
    let client = ClientBuilder::new().with_url(&address).build().unwrap();
    let config = HdfsConfig {
        authority: address.trim_start_matches("hdfs://").to_owned(),
        name_nodes: Vec::new(),
        conf_dir: None,
        folder: "/bench/tables".into(),
        user: None,
        kerberos: None,
        replication: None,
        patience: Duration::from_secs(60),
    };
    measure("hdfs", &*tributary_hdfs::storage(&config).unwrap(), &client, batches).await
}

#[tokio::main]
async fn main() {
    let chosen: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_chosen = |store: &str| chosen.is_empty() || chosen.iter().any(|name| name == store);
    let (batches, mut kept) = (batches(), true);
    if is_chosen("s3") {
        kept &= s3(&batches).await;
    }
    if is_chosen("hdfs") {
        kept &= hdfs(&batches).await;
    }
    if !kept {
        std::process::exit(1);
    }
}
