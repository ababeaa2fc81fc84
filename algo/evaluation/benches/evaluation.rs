//! Ten million scores on two cores, beside scikit-learn on the same ones: `TRIBUTARY_PYTHON` is a Python that has it.
//!
//! Each gets the scores in memory, all distinct or of 10,000 values; the least of several runs, taken in turns, counts. scikit-learn
//! is asked for what its functions give at once: the area alone, and then the area, both curves and the confusion counts.

#![allow(clippy::expect_used, clippy::panic)] // a bench has no caller to report an error to

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Float64Array, UInt8Array};
use arrow_schema::DataType;
use futures::executor::block_on;
use tributary_core::computing::{Computing, Engine, SessionSpec};
use tributary_core::storage::Nowhere;
use tributary_core::{Field, Layout, SessionId, Table, TableSchema, ops};
use tributary_evaluation::binary::{Metric, measure};
use tributary_evaluation::{Ranked, kernels};
use tributary_standalone::Standalone;

const ROWS: usize = 10_000_000;
const PARTITIONS: u32 = 8;
const RUNS: usize = 3;
/// Times as fast as scikit-learn at least.
const LEAST: f64 = 5.0;

const SCIKIT_LEARN: &str = "
import sys, time
import numpy as np
from sklearn import metrics
labels, scores = np.fromfile(sys.argv[1], dtype=np.uint8), np.fromfile(sys.argv[2])
began = time.perf_counter()
metrics.roc_auc_score(labels, scores)
alone = time.perf_counter() - began
if sys.argv[3] == 'all':
    metrics.roc_curve(labels, scores)
    metrics.precision_recall_curve(labels, scores)
    metrics.confusion_matrix(labels, scores > 0.5)
print(time.perf_counter() - began if sys.argv[3] == 'all' else alone)
";

/// Numbers as if drawn, the same on every run (splitmix64).
fn drawn(row: usize) -> u64 {
    let mut z = (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

async fn session() -> Arc<dyn Computing> {
    let engine = Standalone::new(ops::kernels().and(kernels()), Arc::new(Nowhere));
    let mut placement = engine.place(&Default::default()).expect("a placement");
    placement.partitions = PARTITIONS;
    let id = "bench.evaluation.0".parse::<SessionId>().expect("an id");
    engine.open(SessionSpec { id, placement, memory_bytes: 8 << 30 }).await.expect("a session")
}

async fn table(scores: &[f64], labels: &[u8]) -> Table {
    let fields = vec![Field::new("score", DataType::Float64), Field::new("label", DataType::UInt8)];
    let schema = TableSchema::new(None, fields).expect("a schema");
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Float64Array::from(scores.to_vec())), Arc::new(UInt8Array::from(labels.to_vec()))];
    let rows = schema.batch(columns).expect("rows");
    let layout = Layout::Loose(PARTITIONS);
    Table::parallelize(&session().await, &schema, vec![rows], layout).await.expect("a table")
}

async fn ours(table: &Table, metrics: &[Metric]) -> f64 {
    let began = Instant::now();
    let ranked = Ranked::of(table, "score", "label").await.expect("scores in order");
    let measured = measure(&ranked, metrics).await.expect("metrics");
    assert_eq!(measured.len(), metrics.len());
    began.elapsed().as_secs_f64()
}

fn theirs(python: &str, files: &[String; 2], what: &str) -> f64 {
    let command = ["-c", SCIKIT_LEARN, &files[0], &files[1], what];
    let output = Command::new(python).args(command).output().expect("scikit-learn");
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)))
}

fn main() {
    // `cargo test --benches` only asks whether it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let python = std::env::var("TRIBUTARY_PYTHON").expect("TRIBUTARY_PYTHON, a Python with scikit-learn");
    let all = [
        Metric::Auc,
        Metric::Ks,
        Metric::ConfusionMatrix,
        Metric::Gain,
        Metric::Lift,
        Metric::BiclassPrecisionTable,
        Metric::BiclassRecallTable,
        Metric::BiclassAccuracyTable,
        Metric::FscoreTable,
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let mut misses = Vec::new();
    for (kind, values) in [("distinct", u64::MAX), ("ties", 10_000)] {
        let scores: Vec<f64> = (0..ROWS)
            .map(|row| match values {
                u64::MAX => (drawn(row) >> 11) as f64 / (1u64 << 53) as f64,
                values => (drawn(row) % values) as f64 / values as f64,
            })
            .collect();
        let labels: Vec<u8> = scores
            .iter()
            .enumerate()
            .map(|(row, score)| {
                u8::from((drawn(row + ROWS) >> 11) as f64 / (1u64 << 53) as f64 + score > 1.2)
            })
            .collect();
        let files = ["labels", "scores"].map(|name| folder.path().join(name).display().to_string());
        fs::write(&files[0], &labels).expect("labels");
        let bytes: Vec<u8> = scores.iter().flat_map(|score| score.to_le_bytes()).collect();
        fs::write(&files[1], bytes).expect("scores");
        let table = block_on(table(&scores, &labels));
        for (what, metrics) in [("auc", &all[..1]), ("all", &all[..])] {
            let (mut own, mut rival) = (f64::INFINITY, f64::INFINITY);
            for _ in 0..RUNS {
                own = own.min(block_on(ours(&table, metrics)));
                rival = rival.min(theirs(&python, &files, what));
            }
            let ratio = rival / own;
            println!(
                "{{\"bench\": \"evaluation\", \"scores\": \"{kind}\", \"metrics\": \"{what}\", \"rows\": {ROWS}, \"seconds\": {own:.3}, \
                 \"scikit_learn_seconds\": {rival:.3}, \"times_as_fast\": {ratio:.1}}}"
            );
            if ratio < LEAST {
                misses.push(format!(
                    "{kind}, {what}: {ratio:.1} times as fast as scikit-learn, expected {LEAST}"
                ));
            }
        }
    }
    assert!(misses.is_empty(), "{}", misses.join("; "));
}
