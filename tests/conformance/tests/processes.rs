//! What the computing suite gives an engine over processes: its kernels can be watched, and its store be used and broken,
//! from several processes at once.
//!
//! The other processes are this program again, whose argument says what to do; hence a `main` of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use futures::{StreamExt, TryStreamExt, stream};

use tributary_conformance::computing::kernels::{Fresh, Watch, kernels};
use tributary_conformance::computing::{Shared, model};
use tributary_conformance::run;
use tributary_core::kernel::{KernelCall, PartContext};
use tributary_core::storage::{Part, Storage, StoredTable, Write, WriteOptions};
use tributary_core::{KeyType, Layout, TableSchema};

const PARTITIONS: u32 = 2;
const ROWS: u64 = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[1..] {
        ["write", folder, partition] => write(Path::new(folder), partition.parse().unwrap()),
        ["read", folder, partition] => read(Path::new(folder), partition.parse().unwrap()),
        _ => executors_share_a_store_and_are_watched(),
    }
}

/// Another process of this program; what it writes to its output is its result.
fn executor(work: &str, folder: &Path, partition: u32) -> Child {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.arg(work).arg(folder).arg(partition.to_string());
    program.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

/// What the processes gave, one after the other; nothing of one that failed.
fn results(work: &str, folder: &Path) -> Vec<Option<Vec<u8>>> {
    let all: Vec<Child> = (0..PARTITIONS).map(|partition| executor(work, folder, partition)).collect();
    let ended = all.into_iter().map(|process| process.wait_with_output().unwrap());
    ended.map(|output| output.status.success().then_some(output.stdout)).collect()
}

fn executors_share_a_store_and_are_watched() {
    let folder = tempfile::tempdir().unwrap();
    let (store, watch) = (Shared::open(folder.path()), Watch::new(folder.path()));
    let input = model::schema(KeyType::Utf8);
    let calls = vec![watch.kernel(Duration::from_millis(10)), KernelCall::fold::<Fresh>(&()).unwrap()];
    let schema = calls
        .iter()
        .fold(input.clone(), |schema, call| kernels().get(call).unwrap().output(call, &schema).unwrap());
    let uri = store.uri("table");
    let begun = store.begin(&uri, &schema, &Layout::Loose(PARTITIONS), WriteOptions::default());
    let begun = run(begun).unwrap();
    let task = postcard::to_stdvec(&(&begun, &input, &calls)).unwrap();
    fs::write(folder.path().join("task"), task).unwrap();

    let parts = results("write", folder.path()).into_iter();
    let parts: Vec<Part> = parts.map(|part| postcard::from_bytes(&part.unwrap()).unwrap()).collect();
    assert_eq!(store.unfinished_writes(&uri), 1);
    let table = run(store.commit(begun, parts)).unwrap();
    assert_eq!(store.unfinished_writes(&uri), 0);
    assert_eq!((watch.rows(), watch.most_working()), (2 * ROWS, u64::from(PARTITIONS)));

    let rows = [0, 1].map(|partition| run(rows_of(&store, &table, partition)));
    assert_eq!(model::rows(&rows.concat()), [rows_in(0), rows_in(1)].concat());
    let drawn: HashSet<u64> = rows.concat().iter().flat_map(|batch| model::counts(batch, 3)).collect();
    assert_eq!(drawn.len() as u32, PARTITIONS, "two processes drew the same numbers");

    let count = Some(ROWS.to_string().into_bytes());
    assert_eq!(results("read", folder.path()), [count.clone(), count.clone()]);
    store.break_reading(&uri, 1);
    assert_eq!(results("read", folder.path()), [count, None]);
}

fn rows_in(partition: u32) -> Vec<model::Row> {
    let first = u64::from(partition) * ROWS;
    model::numbered(first..first + ROWS)
}

async fn rows_of(store: &Shared, table: &StoredTable, partition: u32) -> Vec<RecordBatch> {
    store.scan(table, partition).await.unwrap().try_collect().await.unwrap()
}

/// One executor's part of the table, at the same time as the other's.
fn write(folder: &Path, partition: u32) {
    let task = fs::read(folder.join("task")).unwrap();
    let (write, mut schema, calls): (Write, TableSchema, Vec<KernelCall>) =
        postcard::from_bytes(&task).unwrap();
    let mut rows = model::batches(KeyType::Utf8, &rows_in(partition));
    meet(folder, partition);
    for call in &calls {
        let known = kernels();
        let kernel = known.get(call).unwrap();
        let opened = kernel.open(call, &schema, &[]).unwrap();
        let mut step =
            opened.start(PartContext { partition, partitions: PARTITIONS, first_row: None }).unwrap();
        let mut out = Vec::new();
        for batch in rows {
            step.push(batch, &mut out).unwrap();
        }
        step.finish(&mut out).unwrap();
        (rows, schema) = (out, kernel.output(call, &schema).unwrap());
    }
    // Any such store serves any table.
    let store = Shared::open("/nowhere");
    let part = run(store.write_part(&write, partition, stream::iter(rows.into_iter().map(Ok)).boxed()));
    give(&postcard::to_stdvec(&part.unwrap()).unwrap());
}

/// Waits until all of them are there.
fn meet(folder: &Path, partition: u32) {
    let place = |partition: u32| folder.join(format!("here-{partition}"));
    fs::write(place(partition), []).unwrap();
    let start = Instant::now();
    while !(0..PARTITIONS).all(|partition| place(partition).exists()) {
        assert!(start.elapsed() < Duration::from_secs(300), "the other process does not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The number of rows of a part, unless it cannot be read.
fn read(folder: &Path, partition: u32) {
    let store = Shared::open(folder);
    let rows = run(async {
        let table = store.open(&store.uri("table")).await.unwrap();
        let read: Result<Vec<RecordBatch>, _> =
            store.scan(&table, partition).await.unwrap().try_collect().await;
        read.map(|batches| batches.iter().map(RecordBatch::num_rows).sum::<usize>())
    });
    match rows {
        Ok(rows) => give(rows.to_string().as_bytes()),
        Err(error) => {
            assert!(error.chain().contains("made to fail"), "{error:?}");
            std::process::exit(1);
        }
    }
}

fn give(result: &[u8]) {
    use std::io::Write as _;
    std::io::stdout().write_all(result).unwrap();
}
