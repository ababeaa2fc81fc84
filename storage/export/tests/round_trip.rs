//! The output equals the stored table: our own upload reads CSV back, and readers of Arrow read the other formats; in order,
//! for any number of threads; and a file is written completely or not at all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a failed expectation panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::UInt64Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, TimeUnit};
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};
use proptest::prelude::*;
use tributary_core::meta::StorageMeta;
use tributary_core::storage::{Storage, StoredTable, WriteOptions};
use tributary_core::{Error, ErrorKind, Field, KeyType, Layout, Result, TableName, TableSchema};
use tributary_export::{CsvOptions, ExportOptions, Format, IfFileExists, Sink, Stop, Summary, export};
use tributary_ingest::{UploadOptions, ValueType};

struct Site {
    folder: tempfile::TempDir,
    storage: Arc<dyn Storage>,
    meta: Arc<dyn StorageMeta>,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = tributary_file::storage(&folder.path().join("tables")).unwrap();
        let meta = tributary_meta::open(&folder.path().join("meta.db")).unwrap();
        Self { storage, meta, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Each list of batches is a partition.
    fn table(&self, schema: &TableSchema, partitions: Vec<Vec<RecordBatch>>) -> StoredTable {
        block_on(async {
            let uri = self.storage.locate(&TableName::new("n", "t").unwrap()).unwrap();
            let layout = Layout::Loose(partitions.len() as u32);
            let write = self.storage.begin(&uri, schema, &layout, WriteOptions::default()).await.unwrap();
            let mut parts = Vec::new();
            for (i, batches) in partitions.into_iter().enumerate() {
                let rows = stream::iter(batches.into_iter().map(Ok)).boxed();
                parts.push(self.storage.write_part(&write, i as u32, rows).await.unwrap());
            }
            self.storage.commit(write, parts).await.unwrap()
        })
    }

    fn rows(&self, table: &StoredTable) -> RecordBatch {
        let read = |partition| {
            block_on(async { self.storage.scan(table, partition).await?.try_collect::<Vec<_>>().await })
        };
        let batches: Vec<RecordBatch> =
            (0..table.layout.partitions()).flat_map(|partition| read(partition).unwrap()).collect();
        arrow_select::concat::concat_batches(table.schema.arrow(), &batches).unwrap()
    }

    fn export(&self, table: &StoredTable, format: Format, threads: usize, file: &Path) -> Result<Summary> {
        let mut options = ExportOptions::new(format);
        options.threads = threads;
        let sink = Sink::file(file, IfFileExists::Replace)?;
        export(&self.storage, table, &options, sink, &Stop::default(), |_, _| {})
    }

    /// Files beside the tables, without those that may be missing.
    fn files(&self) -> Vec<String> {
        let names =
            fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> =
            names.filter(|name| name != "tables" && !name.starts_with("meta.db")).collect();
        names.sort();
        names
    }
}

fn csv(null: &str) -> Format {
    let mut options = CsvOptions::default();
    options.null = null.into();
    Format::Csv(options)
}

fn micro(zone: Option<&str>) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into))
}

/// The types that an upload can have, each with a name for it.
const TYPES: [(&str, ValueType); 9] = [
    ("i32", ValueType::Int32),
    ("i64", ValueType::Int64),
    ("f32", ValueType::Float32),
    ("f64", ValueType::Float64),
    ("bool", ValueType::Bool),
    ("text", ValueType::Text),
    ("date", ValueType::Date),
    ("time", ValueType::Timestamp),
    ("utc", ValueType::TimestampUtc),
];

fn schema() -> TableSchema {
    let field = |(name, value): &(&str, ValueType)| Field::new(*name, value.data_type()).nullable();
    TableSchema::keyed("id", KeyType::Utf8, TYPES.iter().map(field).collect()).unwrap()
}

/// A row that an upload can have; years from 1 to 9999.
type Row = (
    Option<i32>,
    Option<i64>,
    Option<f32>,
    Option<f64>,
    Option<bool>,
    Option<String>,
    Option<i32>,
    Option<i64>,
);

fn row() -> impl Strategy<Value = Row> {
    use prop::num::{f32, f64};
    use prop::option::weighted;
    let finite64 = f64::NORMAL | f64::SUBNORMAL | f64::ZERO;
    let finite32 = f32::NORMAL | f32::SUBNORMAL | f32::ZERO;
    (
        weighted(0.8, any::<i32>()),
        weighted(0.8, any::<i64>()),
        weighted(0.8, finite32),
        weighted(0.8, finite64),
        weighted(0.8, any::<bool>()),
        weighted(
            0.8,
            "[ -~\\n\\r\u{e9}\u{1F600}\",;']{0,12}"
                .prop_filter("it is how a missing value is written", |text| text != "\\N"),
        ),
        weighted(0.8, -719_162..=2_932_896),
        weighted(0.8, -719_162 * 86_400_000_000i64..=2_932_896 * 86_400_000_000i64),
    )
}

fn batch(schema: &TableSchema, first: usize, rows: &[Row]) -> RecordBatch {
    let times = || rows.iter().map(|row| row.7);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values((0..rows.len()).map(|i| format!("id, {}", first + i)))),
        Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.0))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.1))),
        Arc::new(Float32Array::from_iter(rows.iter().map(|row| row.2))),
        Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.3))),
        Arc::new(BooleanArray::from_iter(rows.iter().map(|row| row.4))),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.5.clone()))),
        Arc::new(Date32Array::from_iter(rows.iter().map(|row| row.6))),
        Arc::new(TimestampMicrosecondArray::from_iter(times())),
        Arc::new(TimestampMicrosecondArray::from_iter(times()).with_timezone("UTC")),
    ];
    schema.batch(columns).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_upload_reads_the_same_table_back(rows in prop::collection::vec(row(), 1..60), cut in any::<prop::sample::Index>(), threads in 1..4usize) {
        let (site, schema) = (Site::new(), schema());
        let cut = cut.index(rows.len());
        let parts = vec![vec![batch(&schema, 0, &rows[..cut])], vec![batch(&schema, cut, &rows[cut..])]];
        let table = site.table(&schema, parts);
        let file = site.path("out.csv");
        let summary = site.export(&table, csv("\\N"), threads, &file).unwrap();
        prop_assert_eq!(summary.bytes, fs::metadata(&file).unwrap().len());

        let mut options = UploadOptions::new(TableName::new("n", "back").unwrap(), [&file]);
        options.nulls = vec!["\\N".into()];
        for (name, value) in TYPES {
            options.columns.entry(name.into()).or_default().value_type = Some(value);
        }
        let uploaded = block_on(tributary_ingest::upload(&site.storage, &site.meta, options, |_| {})).unwrap();
        let back = block_on(site.storage.open(&uploaded.uri)).unwrap();
        let (expected, found) = (site.rows(&table), site.rows(&back));
        for (i, (expected, found)) in expected.columns().iter().zip(found.columns()).enumerate() {
            prop_assert!(bits(expected) == bits(found), "column {}: {:?} {:?}", i, expected, found);
        }
    }
}

/// The bits of values, so that 0.0 differs from -0.0.
fn bits(column: &ArrayRef) -> Vec<Option<String>> {
    let text = |i: usize| format!("{:?}", column.slice(i, 1));
    (0..column.len()).map(|i| column.is_valid(i).then(|| text(i))).collect()
}

fn numbered(partitions: usize, batches: usize, rows: usize) -> (Site, StoredTable) {
    let site = Site::new();
    let schema = TableSchema::keyed("id", KeyType::Utf8, vec![Field::new("n", DataType::Int64)]).unwrap();
    let mut next = 0i64;
    let mut batch = || {
        let numbers: Vec<i64> = (next..next + rows as i64).collect();
        next += rows as i64;
        let ids: ArrayRef =
            Arc::new(StringArray::from_iter_values(numbers.iter().map(|n| format!("row {n}"))));
        schema.batch(vec![ids, Arc::new(Int64Array::from(numbers))]).unwrap()
    };
    let parts = (0..partitions).map(|_| (0..batches).map(|_| batch()).collect()).collect();
    let table = site.table(&schema, parts);
    (site, table)
}

#[test]
fn rows_keep_the_order_of_the_table_for_any_number_of_threads() {
    let (site, table) = numbered(3, 40, 1000);
    let expected: String =
        std::iter::once("id,n\n".into()).chain((0..120_000).map(|n| format!("row {n},{n}\n"))).collect();
    for threads in [1, 2, 7] {
        let file = site.path("out.csv");
        let summary = site.export(&table, csv(""), threads, &file).unwrap();
        assert_eq!((summary.rows, summary.closed_early), (120_000, false));
        assert!(fs::read_to_string(&file).unwrap() == expected, "{threads} threads");
    }
}

#[test]
fn arrow_and_parquet_hold_the_same_rows() {
    let (site, table) = numbered(2, 3, 500);
    let expected = site.rows(&table);
    let whole = |batches: Vec<RecordBatch>| {
        arrow_select::concat::concat_batches(table.schema.arrow(), &batches).unwrap()
    };
    let (file, stream, parquet) = (site.path("x.arrow"), site.path("x.arrows"), site.path("x.parquet"));
    site.export(&table, Format::ArrowFile, 2, &file).unwrap();
    let read = arrow_ipc::reader::FileReader::try_new(fs::File::open(&file).unwrap(), None).unwrap();
    assert_eq!(whole(read.map(std::result::Result::unwrap).collect()), expected);
    site.export(&table, Format::ArrowStream, 2, &stream).unwrap();
    let read = arrow_ipc::reader::StreamReader::try_new(fs::File::open(&stream).unwrap(), None).unwrap();
    assert_eq!(whole(read.map(std::result::Result::unwrap).collect()), expected);
    let summary = site.export(&table, Format::Parquet, 2, &parquet).unwrap();
    assert_eq!((summary.rows, summary.bytes), (3000, fs::metadata(&parquet).unwrap().len()));
    let files = tributary_parquet::Files::open(&[&parquet]).unwrap();
    let rows = files
        .spans(0..files.groups())
        .iter()
        .flat_map(|span| span.rows(&table.schema).unwrap())
        .collect::<Result<_>>();
    assert_eq!(whole(rows.unwrap()), expected);
}

fn single(field: Field, column: ArrayRef) -> (Site, StoredTable) {
    let site = Site::new();
    let schema = TableSchema::keyed("id", KeyType::Utf8, vec![field]).unwrap();
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..column.len()).map(|i| i.to_string())));
    let batch = schema.batch(vec![ids, column]).unwrap();
    let table = site.table(&schema, vec![vec![batch]]);
    (site, table)
}

fn lines(field: Field, column: ArrayRef) -> Vec<String> {
    let (site, table) = single(field, column);
    let file = site.path("out.csv");
    site.export(&table, csv(""), 1, &file).unwrap();
    fs::read_to_string(&file)
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap().1.to_owned())
        .collect()
}

#[test]
fn types_that_an_upload_lacks_are_written_too() {
    let decimals = Decimal128Array::from(vec![Some(-12_345), None]).with_precision_and_scale(9, 2).unwrap();
    assert_eq!(
        lines(Field::new("x", DataType::Decimal128(9, 2)).nullable(), Arc::new(decimals)),
        ["-123.45", ""]
    );
    let bytes = FixedSizeBinaryArray::try_from_iter([[0u8, 171]].into_iter()).unwrap();
    assert_eq!(lines(Field::new("x", DataType::FixedSizeBinary(2)), Arc::new(bytes)), ["00ab"]);
    let odd = Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300]);
    assert_eq!(lines(Field::new("x", DataType::Float64), Arc::new(odd)), ["NaN", "inf", "-inf", "1e+300"]);
    let zoned = TimestampMicrosecondArray::from(vec![1]).with_timezone("Europe/Berlin");
    assert_eq!(
        lines(Field::new("x", micro(Some("Europe/Berlin"))), Arc::new(zoned)),
        ["1970-01-01T00:00:00.000001Z"]
    );
}

fn refused(field: Field, column: ArrayRef, format: Format) -> Error {
    let (site, table) = single(field, column);
    let error = site.export(&table, format, 2, &site.path("out.csv")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(site.files().is_empty(), "no file is left: {:?}", site.files());
    error
}

#[test]
fn what_csv_cannot_hold_is_refused_and_leaves_no_file() {
    let text = |value: &str| Arc::new(StringArray::from(vec![Some("secret"), Some(value), None])) as ArrayRef;
    let field = || Field::new("x", DataType::Utf8).nullable();
    let error = refused(field(), text(""), csv("")).to_string();
    assert!(
        error.contains("column \"x\" has an empty text, which would be read as a missing value"),
        "{error}"
    );
    let error = refused(field(), text("NA"), csv("NA")).to_string();
    assert!(error.contains("the same text as a value") && !error.contains("NA"), "{error}");
    let list = ListArray::from_iter_primitive::<UInt64Type, _, _>([Some([Some(1)])]);
    let error = refused(Field::new("x", list.data_type().clone()), Arc::new(list), csv("")).to_string();
    assert!(error.contains("has lists, which CSV cannot hold"), "{error}");
    assert!(refused(field(), text("a"), csv("a,b")).to_string().contains("missing value has a delimiter"));
}

#[test]
fn a_file_is_written_completely_or_not_at_all() {
    let (site, table) = numbered(2, 20, 1000);
    let file = site.path("out.csv");
    let run = |if_exists, stop: &Stop, report: &(dyn Fn(u64, u64) + Send + Sync)| {
        let sink = Sink::file(&file, if_exists)?;
        export(&site.storage, &table, &ExportOptions::new(csv("")), sink, stop, report)
    };
    // stopped soon after it began, in a table much longer than what may be on its way between threads
    let (long_site, long) = numbered(2, 1000, 1000);
    let stop = Stop::default();
    let sink = Sink::file(&long_site.path("out.csv"), IfFileExists::Fail).unwrap();
    let stops = |_: u64, _: u64| stop.stop();
    let options = ExportOptions::new(csv(""));
    let error = export(&long_site.storage, &long, &options, sink, &stop, stops).unwrap_err();
    assert_eq!((error.kind(), long_site.files()), (ErrorKind::Cancelled, vec![]));
    // another file gets the name during the export
    let taken = |rows: u64, _| {
        if rows > 5000 {
            fs::write(&file, "theirs").unwrap()
        }
    };
    let error = run(IfFileExists::Fail, &Stop::default(), &taken).unwrap_err();
    assert_eq!(
        (error.kind(), fs::read_to_string(&file).unwrap()),
        (ErrorKind::AlreadyExists, "theirs".into())
    );
    assert!(
        run(IfFileExists::Fail, &Stop::default(), &|_, _| {})
            .unwrap_err()
            .to_string()
            .contains("--overwrite")
    );
    // the old file stays until the new one is complete
    let old = |rows: u64, _| {
        if rows < 40_000 {
            assert_eq!(fs::read_to_string(&file).unwrap(), "theirs")
        }
    };
    run(IfFileExists::Replace, &Stop::default(), &old).unwrap();
    assert_eq!(
        (fs::read_to_string(&file).unwrap().lines().count(), site.files()),
        (40_001, vec!["out.csv".to_owned()])
    );
    let error = Sink::file(site.folder.path(), IfFileExists::Replace).unwrap_err();
    assert!(error.to_string().contains("is a folder"), "{error}");
    assert_eq!(
        Sink::file(&site.path("no/such/x.csv"), IfFileExists::Fail).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}
