//! Files as other programs write them, made with the format's own writer; files of the programs themselves are in the
//! end-to-end tests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a failed expectation panics")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Float64Array, Int8Array, Int32Array,
    Int64Array, LargeStringArray, ListArray, NullArray, RecordBatch, StringArray, Time64MicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, UInt8Array, UInt64Array,
};
use arrow_schema::{DataType, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int96, Int96Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use tributary_core::{Error, ErrorKind, Field, KeyType, Result, TableSchema};
use tributary_parquet::Files;

fn write(path: &Path, columns: &[(&str, ArrayRef)], group_rows: usize, compression: Compression) {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.iter().map(|(n, c)| (n, c.clone(), true))).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(group_rows))
        .build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn place(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

fn sample(n: i64) -> Vec<(&'static str, ArrayRef)> {
    let nulls = |i: i64| i % 3 > 0;
    let dictionary: DictionaryArray<Int32Type> = (0..n).map(|i| ["low", "high"][i as usize % 2]).collect();
    vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..n))),
        ("small", Arc::new(Int8Array::from_iter((0..n).map(|i| nulls(i).then_some(i as i8))))),
        ("unsigned", Arc::new(UInt64Array::from_iter_values((0..n).map(|i| u64::MAX - i as u64)))),
        ("text", Arc::new(LargeStringArray::from_iter_values((0..n).map(|i| format!("row {i}"))))),
        ("level", Arc::new(dictionary)),
        ("ms", Arc::new(TimestampMillisecondArray::from_iter_values(0..n).with_timezone("UTC"))),
        ("ns", Arc::new(TimestampNanosecondArray::from_iter_values((0..n).map(|i| i * 1000)))),
        (
            "price",
            Arc::new(
                Decimal128Array::from_iter_values((0..n).map(i128::from))
                    .with_precision_and_scale(9, 2)
                    .unwrap(),
            ),
        ),
        ("flag", Arc::new(BooleanArray::from_iter((0..n).map(|i| Some(i % 2 == 0))))),
        ("nothing", Arc::new(NullArray::new(n as usize))),
    ]
}

fn schema(files: &Files) -> TableSchema {
    let fields = files.columns()[1..].iter().map(|column| column.field().unwrap()).collect();
    TableSchema::keyed("id", KeyType::Utf8, fields).unwrap()
}

fn rows(files: &Files, schema: &TableSchema) -> Result<Vec<RecordBatch>> {
    let spans = files.spans(0..files.groups());
    let all = spans.iter().map(|span| span.rows(schema)?.collect::<Result<Vec<_>>>());
    Ok(all.collect::<Result<Vec<_>>>()?.concat())
}

/// A dictionary holds a long text once. All rows together would be more than the decoder can have in one batch.
#[test]
fn a_text_that_rows_repeat_unfolds_to_batches_of_bounded_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder, "folded.parquet");
    let (rows, long) = (2_600, ["a", "b"].map(|letter| letter.repeat(1 << 20)));
    let texts = StringArray::from_iter_values(&long);
    let keys = Int32Array::from_iter((0..rows).map(|row| (row % 5 != 4).then_some(row % 2)));
    let text: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(texts)).unwrap());
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..i64::from(rows)));
    let batch = RecordBatch::try_from_iter_with_nullable([("id", ids, false), ("text", text, true)]).unwrap();
    let properties = WriterProperties::builder().set_dictionary_page_size_limit(8 << 20).build();
    let file = File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    assert!(fs::metadata(&path).unwrap().len() < 4 << 20);

    let files = Files::open(&[&path]).unwrap();
    let mut next = 0;
    for batch in files.spans(0..files.groups())[0].rows(&schema(&files)).unwrap() {
        let batch = batch.unwrap();
        let texts = batch.column(1).as_any().downcast_ref::<StringArray>().unwrap();
        assert!(texts.value_data().len() <= 32 << 20, "{} bytes", texts.value_data().len());
        for (row, text) in (next..).zip(texts.iter()) {
            assert_eq!(text.map(str::len), (row % 5 != 4).then_some(1 << 20));
            assert_eq!(text.map(|text| &text[..1]), (row % 5 != 4).then_some(["a", "b"][row as usize % 2]));
        }
        next += batch.num_rows() as i32;
    }
    assert_eq!(next, rows);
}

#[test]
fn types_become_ours_and_values_stay() {
    let folder = tempfile::tempdir().unwrap();
    for (i, compression) in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4_RAW,
        Compression::BROTLI(Default::default()),
    ]
    .into_iter()
    .enumerate()
    {
        let path = place(&folder, &format!("{i}.parquet"));
        write(&path, &sample(100), 30, compression);
        let files = Files::open(&[&path]).unwrap();
        assert_eq!((files.rows(), files.groups()), (100, 4));
        let schema = schema(&files);
        let types: Vec<DataType> = schema.fields().iter().map(|f| f.data_type.clone()).collect();
        let micro = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        let expected = [
            DataType::Int32,
            DataType::UInt64,
            DataType::Utf8,
            DataType::Utf8,
            micro(Some("UTC")),
            micro(None),
            DataType::Decimal128(9, 2),
            DataType::Boolean,
            DataType::Utf8,
        ];
        assert_eq!(types, expected);
        let nullable: Vec<bool> = schema.fields().iter().map(|f| f.nullable).collect();
        assert_eq!(
            nullable,
            [true, false, false, false, false, false, false, false, true],
            "as statistics say"
        );

        let batches = rows(&files, &schema).unwrap();
        let all = whole(&schema, &batches);
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|i| i.to_string())));
        let small: ArrayRef = Arc::new(Int32Array::from_iter((0..100).map(|i| (i % 3 > 0).then_some(i))));
        assert_eq!((all.column(0), all.column(1)), (&ids, &small));
        assert_eq!(all.column(5).to_data().buffers()[0].typed_data::<i64>()[7], 7000);
        assert_eq!(all.column(6).to_data().buffers()[0].typed_data::<i64>()[7], 7);
        assert_eq!(all.column(9).null_count(), 100);
    }
}

fn whole(schema: &TableSchema, batches: &[RecordBatch]) -> RecordBatch {
    arrow_select::concat::concat_batches(schema.arrow(), batches).unwrap()
}

#[test]
fn spans_are_the_rows_of_their_row_groups_across_files_in_any_choice_of_columns() {
    let folder = tempfile::tempdir().unwrap();
    for (name, n) in [("b.parquet", 50), ("a.parquet", 70)] {
        write(&place(&folder, name), &sample(n), 20, Compression::SNAPPY);
    }
    let files = Files::open(&["a.parquet", "b.parquet"].map(|name| place(&folder, name))).unwrap();
    assert_eq!((files.rows(), files.groups()), (120, 7));
    // another order than the files have
    let fields = vec![files.field("flag").unwrap(), Field::new("small", DataType::Float64).nullable()];
    let schema = TableSchema::keyed("text", KeyType::Utf8, fields).unwrap();
    let spans = files.spans(3..5);
    assert_eq!(spans.len(), 2);
    let ids = |span: &tributary_parquet::Span| {
        let rows: Vec<RecordBatch> = span.rows(&schema).unwrap().map(Result::unwrap).collect();
        let all = whole(&schema, &rows);
        let ids = all.column(0).as_any().downcast_ref::<StringArray>().unwrap().clone();
        (ids.value(0).to_owned(), ids.len(), all.column(2).data_type().clone())
    };
    assert_eq!(ids(&spans[0]), ("row 60".into(), 10, DataType::Float64));
    assert_eq!(ids(&spans[1]), ("row 0".into(), 20, DataType::Float64));
}

fn refused(columns: &[(&str, ArrayRef)], schema: impl Fn(&Files) -> Result<TableSchema>) -> Error {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder, "x.parquet");
    write(&path, columns, 2, Compression::SNAPPY);
    let files = Files::open(&[&path]).unwrap();
    let read = schema(&files).and_then(|schema| rows(&files, &schema));
    let error = read.unwrap_err();
    assert!(!error.to_string().contains("secret"), "values are private: {error}");
    error
}

fn keyed(files: &Files, columns: &[&str]) -> Result<TableSchema> {
    let fields = columns.iter().map(|name| files.field(name)).collect::<Result<_>>()?;
    let schema = TableSchema::keyed("id", KeyType::Utf8, fields)?;
    files.check(&schema).map(|()| schema)
}

#[test]
fn what_a_table_cannot_hold_is_reported_with_file_column_and_row() {
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)]), None, None]);
    let cases: [(ArrayRef, &str); 3] = [
        (
            Arc::new(list),
            "column \"x\" is a list, which a table cannot have: write its parts as columns of their own, or leave it out",
        ),
        (Arc::new(Time64MicrosecondArray::from(vec![1, 2, 3])), "column \"x\" is Time64(µs)"),
        (
            Arc::new(TimestampNanosecondArray::from(vec![0, 1000, 1001])),
            "row 3, column \"x\": it has nanoseconds",
        ),
    ];
    for (column, expected) in cases {
        let error = refused(&[("id", ids.clone()), ("x", column)], |files| keyed(files, &["x"]));
        assert!(error.to_string().contains(expected) && error.kind() == ErrorKind::InvalidInput, "{error}");
    }
    let missing: ArrayRef = Arc::new(StringArray::from(vec![Some("secret"), Some("secret"), None]));
    let error = refused(&[("id", missing)], |files| keyed(files, &[]));
    assert!(error.to_string().contains("x.parquet: row 3, column \"id\": the value is missing"), "{error}");
    let broken: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0]));
    let error = refused(&[("id", broken)], |files| keyed(files, &[]));
    assert!(error.to_string().contains("ids are text or whole numbers"), "{error}");
    let error = refused(&[("id", ids)], |files| keyed(files, &["y"]));
    assert!(error.to_string().contains("no column \"y\"; the files have id"), "{error}");
}

/// A file of times of 96 bits, each a day since 1970 and nanoseconds of it.
fn write_int96(path: &Path, times: &[(i32, u64)]) {
    const EPOCH: i32 = 2_440_588;
    let schema = parse_message_type("message t { required binary id (STRING); required int96 t; }").unwrap();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut file =
        SerializedFileWriter::new(File::create(path).unwrap(), Arc::new(schema), properties).unwrap();
    let mut group = file.next_row_group().unwrap();
    let ids: Vec<ByteArray> = (0..times.len()).map(|i| ByteArray::from(format!("r{i}").as_str())).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&ids, None, None).unwrap();
    column.close().unwrap();
    let times: Vec<Int96> = (times.iter())
        .map(|(day, nanos)| Int96::from(vec![*nanos as u32, (nanos >> 32) as u32, (EPOCH + day) as u32]))
        .collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int96Type>().write_batch(&times, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
}

#[test]
fn times_of_96_bits_keep_their_years_and_lose_no_digits() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder, "x.parquet");
    let read = |times: &[(i32, u64)]| {
        write_int96(&path, times);
        let files = Files::open(&[&path]).unwrap();
        assert!(files.column("t").unwrap().is_converted(files.column("t").unwrap().data_type().unwrap()));
        rows(&files, &keyed(&files, &["t"]).unwrap())
    };
    // from the year 1 to 9999, which 64 bits of nanoseconds do not hold
    let batches = read(&[(0, 1_000), (-719_162, 0), (2_932_896, 86_399_999_999_000), (-1, 1_000)]).unwrap();
    let micros = batches[0].column(1).to_data();
    assert_eq!(
        &micros.buffers()[0].typed_data::<i64>()[..4],
        [1, -719_162 * 86_400_000_000, 2_932_897 * 86_400_000_000 - 1, -86_399_999_999]
    );
    for (fine, row) in [((0, 1_001), 2), ((-719_162, 1), 2), ((2_932_896, 999), 2)] {
        let error = read(&[(0, 0), fine]).unwrap_err().to_string();
        assert!(error.contains(&format!("row {row}, column \"t\": it has nanoseconds")), "{error}");
    }
}

#[test]
fn files_of_other_columns_are_refused_together() {
    let folder = tempfile::tempdir().unwrap();
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let other: ArrayRef = Arc::new(UInt8Array::from(vec![1]));
    write(&place(&folder, "a.parquet"), &[("id", ids.clone()), ("x", ids.clone())], 10, Compression::SNAPPY);
    for (columns, expected) in [
        (
            vec![("id", ids.clone()), ("x", other)],
            "b.parquet: column 2 is \"x\" (UInt8), expected \"x\" (Int32) as in",
        ),
        (vec![("id", ids.clone())], "column 2 is nothing, expected \"x\" (Int32)"),
        (vec![("x", ids.clone()), ("id", ids.clone())], "column 1 is \"x\" (Int32), expected \"id\" (Int32)"),
    ] {
        write(&place(&folder, "b.parquet"), &columns, 10, Compression::SNAPPY);
        let error = Files::open(&["a.parquet", "b.parquet"].map(|name| place(&folder, name))).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_file_that_changed_since_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder, "x.parquet");
    write(&path, &sample(100), 30, Compression::SNAPPY);
    let files = Files::open(&[&path]).unwrap();
    let (schema, time) = (schema(&files), fs::metadata(&path).unwrap().modified().unwrap());
    let check = |expected: bool| match (rows(&files, &schema), expected) {
        (Err(error), false) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
        (found, _) => assert_eq!(found.is_ok(), expected),
    };
    let restore = || File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    check(true);
    write(&path, &sample(100), 30, Compression::SNAPPY);
    check(false); // later
    restore();
    check(true);
    write(&path, &sample(100), 29, Compression::SNAPPY);
    restore();
    check(false); // other row groups
    let stamp = files.files()[0].stamp.clone();
    assert_eq!(stamp.to_string().parse::<tributary_system::Stamp>().unwrap(), stamp);
}

#[test]
fn a_file_that_is_not_parquet_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = place(&folder, "x.parquet");
    for (bytes, expected) in [
        (&b""[..], "it is empty"),
        (b"PAR1", "too short"),
        (b"id,x\n1,2\n3,4\n", "not a Parquet file"),
        (b"PAR1....\xFF\xFF\xFF\x7FPAR1", "its footer is longer than the file"),
        (b"PAR1....\0\0\0\0PARE", "encrypted"),
        (b"PARE....\0\0\0\0PARE", "encrypted"),
        // a readable footer that says how its columns are encrypted
        (b"PAR1\x8C\0\0\x03\0\0\0PAR1", "encrypted"),
        (b"PAR1........\x08\0\0\0PAR1", "damaged"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = Files::open(&[&path]).unwrap_err();
        assert!(
            error.chain().contains(expected) && error.to_string().contains("x.parquet"),
            "{}",
            error.chain()
        );
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any damage to a file gives rows or an error, in bounded time and memory, and never a panic.
    #[test]
    fn damaged_files_never_panic(at in any::<prop::sample::Index>(), with in any::<u8>(), in_footer in any::<bool>(), cut in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = place(&folder, "x.parquet");
        write(&path, &sample(60), 20, Compression::SNAPPY);
        let mut bytes = fs::read(&path).unwrap();
        let footer = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
        let at = if in_footer { bytes.len() - 8 - footer + at.index(footer) } else { at.index(bytes.len()) };
        bytes[at] = with;
        if cut && !in_footer {
            bytes.remove(at);
        }
        fs::write(&path, &bytes).unwrap();
        if let Ok(files) = Files::open(&[&path]) {
            let fields = files.columns().iter().filter(|c| c.name != "id").filter_map(|c| c.field().ok()).collect();
            if let Ok(schema) = TableSchema::keyed("id", KeyType::Utf8, fields) {
                drop(rows(&files, &schema));
            }
        }
    }
}
