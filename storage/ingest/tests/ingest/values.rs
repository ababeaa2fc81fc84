//! Cells: inferred and given types, missing values, and errors with their places.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow_schema::{DataType, TimeUnit};
use tributary_core::Purpose;
use tributary_ingest::{Extent, Header, Quoting, SampleId, Summary, UploadOptions, ValueType};

use crate::site::Site;

fn types(summary: &Summary) -> Vec<&DataType> {
    summary.columns.iter().map(|column| &column.data_type).collect()
}

#[test]
fn types_are_inferred_from_the_whole_file() {
    let site = Site::new();
    let mut options = site.options(
        "id,i,f,b,d,t,z,s,none,both\n\
         1,1,1,true,2024-01-31,2024-01-31,2024-01-31T00:00Z,a,,\n\
         2,,2.5,FALSE,,2024-01-31 12:30,2024-01-31T00:00+01:00,,,1\n\
         3,-3,1e3,,1969-12-31,,,c,,x\n",
    );
    options.partitions = Some(1);
    let summary = site.upload(options).unwrap();
    let zone = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let expected = [
        DataType::Int64,
        DataType::Float64,
        DataType::Boolean,
        DataType::Date32,
        zone(None),
        zone(Some("UTC")),
        DataType::Utf8,
        DataType::Float64,
        DataType::Utf8,
    ];
    assert_eq!(types(&summary), expected.iter().collect::<Vec<_>>());
    assert_eq!(
        summary.columns.iter().map(|c| c.nulls.unwrap()).collect::<Vec<_>>(),
        [1, 0, 1, 1, 1, 1, 1, 3, 1]
    );
    assert_eq!(summary.columns[0].extent, Some(Extent::Integers(-3, 1)));
    assert_eq!(summary.columns[1].extent, Some(Extent::Numbers(1.0, 1000.0)));
    assert_eq!(summary.columns[3].extent, Some(Extent::Days(-1, 19_753)));
    assert_eq!(summary.columns[6].extent, Some(Extent::Texts("a".into(), "c".into())));
    assert_eq!(summary.columns[7].extent, None);
    let distinct: Vec<u64> = summary.columns.iter().map(|c| c.distinct.unwrap()).collect();
    assert_eq!(distinct, [2, 3, 2, 2, 2, 2, 2, 0, 2]);
    assert_eq!(summary.columns[7].note.as_deref(), Some("no values"));
    let note = summary.columns[8].note.as_deref().unwrap();
    assert!(
        note.starts_with("text, because it holds an integer (") && note.contains("table.csv:4)"),
        "{note}"
    );

    let rows = site.rows();
    let integers = rows.column(1).as_primitive::<Int64Type>();
    assert_eq!(integers.iter().collect::<Vec<_>>(), [Some(1), None, Some(-3)]);
    assert_eq!(rows.column(2).as_primitive::<Float64Type>().values(), &[1.0, 2.5, 1000.0]);
    assert_eq!(rows.column(3).as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false), None]);
    assert_eq!(rows.column(4).as_primitive::<Date32Type>().value(2), -1);
    let micros = rows.column(5).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(micros.value(1) - micros.value(0), 45_000_000_000);
    let utc = rows.column(6).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(utc.value(0) - utc.value(1), 3_600_000_000);
    assert_eq!(rows.column(7).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), None, Some("c")]);
}

#[test]
fn a_number_far_down_changes_the_type_of_the_column_from_its_beginning() {
    let site = Site::new();
    let mut text = String::from("id,x\n");
    (0..20_000).for_each(|i| text.push_str(&format!("{i},{i}\n")));
    text.push_str("last,0.5\n");
    let mut options = site.options(&text);
    options.partitions = Some(7);
    let summary = site.upload(options).unwrap();
    assert_eq!(types(&summary), [&DataType::Float64]);
    assert_eq!(summary.columns[0].extent, Some(Extent::Numbers(0.0, 19_999.0)));
    assert!(!site.stored().schema.fields()[0].nullable);
}

#[test]
fn label_weight_and_match_id_have_types_and_purposes_of_their_own() {
    let site = Site::new();
    let mut options = site.options("x0,id,y,w,phone\n1,a,0,1,0170\n2,b,1,0.5,0171\n");
    options.sample_id = SampleId::Column("id".into());
    options.label = Some("y".into());
    options.weight = Some("w".into());
    options.match_id = Some("phone".into());
    options.partitions = Some(1);
    site.upload(options).unwrap();
    let stored = site.stored();
    assert_eq!(stored.schema.key().unwrap().name, "id");
    let fields: Vec<_> =
        stored.schema.fields().iter().map(|f| (f.name.as_str(), &f.data_type, &f.purpose)).collect();
    assert_eq!(
        fields,
        [
            ("phone", &DataType::Utf8, &Purpose::MatchId),
            ("y", &DataType::Int32, &Purpose::Label),
            ("w", &DataType::Float64, &Purpose::Weight),
            ("x0", &DataType::Int64, &Purpose::Value),
        ]
    );
    assert_eq!(site.rows().column(1).as_string::<i32>().value(0), "0170");
    assert_eq!(site.rows().column(2).as_primitive::<Int32Type>().values(), &[0, 1]);
}

#[test]
fn given_types_and_null_spellings_are_used() {
    let site = Site::new();
    let mut options = site.options("id,a,b,c,d\n1,1,007,NA,1\n2,-1,,2,0\n");
    options.default_type = Some(ValueType::Float32);
    options.columns.entry("b".into()).or_default().value_type = Some(ValueType::Text);
    options.columns.entry("d".into()).or_default().value_type = Some(ValueType::Bool);
    options.columns.entry("a".into()).or_default().nulls = Some(vec!["-1".into()]);
    options.nulls.push("NA".into());
    options.partitions = Some(1);
    let summary = site.upload(options).unwrap();
    assert_eq!(
        types(&summary),
        [&DataType::Float32, &DataType::Utf8, &DataType::Float32, &DataType::Boolean]
    );
    let rows = site.rows();
    assert_eq!(rows.column(1).as_primitive::<Float32Type>().iter().collect::<Vec<_>>(), [Some(1.0), None]);
    assert_eq!(rows.column(2).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("007"), None]);
    assert!(rows.column(3).is_null(0));
    assert_eq!(rows.column(4).as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false)]);
}

#[test]
fn other_dialects_are_read() {
    let site = Site::new();
    let mut options = site.options("\u{feff}id\tname\r\n1\t\"a\tb\"\r\n\r\n2\t\"c\r\nd\"\"\"\r\n");
    (options.delimiter, options.partitions) = (b'\t', Some(1));
    options.if_exists = tributary_ingest::Existing::Replace;
    let replace = |change: fn(&mut UploadOptions), text: &str| {
        let mut options = site.options(text);
        options.if_exists = tributary_ingest::Existing::Replace;
        options.partitions = Some(1);
        change(&mut options);
        site.upload(options).unwrap();
        let schema = site.stored().schema;
        let names: Vec<_> = schema.arrow().fields().iter().map(|field| field.name().clone()).collect();
        names.join(" ")
    };
    site.upload(options).unwrap();
    assert_eq!(
        site.rows().column(1).as_string::<i32>().iter().flatten().collect::<Vec<_>>(),
        ["a\tb", "c\r\nd\""]
    );

    assert_eq!(replace(|options| options.header = Header::Numbered, "a,1\nb,2"), "x0 x1");
    let named = |options: &mut UploadOptions| options.header = Header::Names(vec!["id".into(), "v".into()]);
    assert_eq!(replace(named, "a,1\nb,2"), "id v");
    assert_eq!(replace(|options| options.quoting = Quoting::None, "id,v\na,5\"\n"), "id v");
    assert_eq!(site.rows().column(1).as_string::<i32>().value(0), "5\"");
    assert_eq!(replace(|options| options.skip = vec!["b".into()], "id,b,c\n1,2,3\n"), "id c");
}

#[test]
fn generated_ids_are_a_prefix_of_the_upload_and_the_number_of_the_row() {
    let site = Site::new();
    let mut options = site.options("id,x\na,1\na,2\n\nb,3\n");
    options.sample_id = SampleId::Made;
    options.match_id = Some("id".into());
    site.upload(options).unwrap();
    let keys: Vec<String> = site.keys().concat();
    let prefix = keys[0].strip_suffix('0').unwrap();
    assert!(prefix.len() == 32 && prefix.bytes().all(|b| b.is_ascii_hexdigit()), "{prefix}");
    assert_eq!(keys, [format!("{prefix}0"), format!("{prefix}1"), format!("{prefix}2")]);
    assert_eq!(site.stored().schema.key().unwrap().name, "extend_sid");
    assert_eq!(site.record().preview[0][0].as_deref(), Some(keys[0].as_str()));
}

/// The error of a file with the columns id, y (label), w (weight), x.
fn check(rows: &str, expected: &str) {
    let site = Site::new();
    let mut options = site.options(format!("id,y,w,x\n{rows}"));
    (options.label, options.weight) = (Some("y".into()), Some("w".into()));
    let error = site.refused(options);
    assert_eq!(error.strip_prefix("upload experiment/table: ").unwrap(), expected);
}

#[test]
fn a_bad_row_is_named_with_file_line_and_column_but_not_shown() {
    check("a,0,1,1\nb,1,1\n", "table.csv:3: 3 values, expected 4");
    check(
        "a,0,1,1\n\nb,1,1,1,1\n",
        "table.csv:4: 5 values, expected 4; a value with the delimiter or a decimal comma in it must be in quotes",
    );
    check("a,0,1,1\n,1,1,1\n", "table.csv:3: column 1 (\"id\"): the sample id is missing");
    check("a,,1,1\n", "table.csv:2: column 2 (\"y\"): the label is missing");
    check("a,1,,1\n", "table.csv:2: column 3 (\"w\"): the weight is missing");
    check("a,1,-0.5,1\n", "table.csv:2: column 3 (\"w\"): the weight is negative");
    check(
        "\"a\nb\",1,1,1\nb,secret,1,1\n",
        "table.csv:4: column 2 (\"y\"): text, expected an integer of 32 bits; if it means a missing value, name it (--nulls, \
         na_values)",
    );
    check(
        "b,3000000000,1,1\n",
        "table.csv:2: column 2 (\"y\"): an integer, expected an integer of 32 bits; for larger ones: --types y=int64",
    );
    check(
        "b,1,1e999,1\n",
        "table.csv:2: column 3 (\"w\"): a number beyond the largest double, expected a number",
    );
    check(
        "a,0,1,1.5\nb,1,1,inf\n",
        "table.csv:3: column 4 (\"x\"): an infinite number; if it means a missing value, name it (--nulls), else give the \
         column the type text, or float64 to keep it (--types x=float64)",
    );
    check("b,1,inf,1\n", "table.csv:2: column 3 (\"w\"): the weight is infinite");
    check("b,1,NaN,1\n", "table.csv:2: column 3 (\"w\"): the weight is missing");
    check(
        "a,0,1,12345678901234567890\n",
        "table.csv:2: column 4 (\"x\"): an integer beyond 64 bits; give the column the type text, or float64 to \
         round it (--types x=text)",
    );
    check(
        "a,0,1,\"open\n",
        "table.csv:2: column 4 (\"x\"): a quote that is never closed; if quotes have no meaning in this file, turn \
         quoting off (--no-quotes)",
    );
    check(
        "a,0,1,1\na,0,1,1\nb,0,1,1\na,0,1,1\n",
        "table.csv:3: column 1 (\"id\"): the sample id already occurs at \
         table.csv:2 (2 such rows in all); keep the first or the last of each (data upload --duplicates first|last), or have ids \
         made (--extend-sid); if another column has the ids, name it (--id COLUMN)",
    );
}

#[test]
fn a_number_that_is_not_finite_may_be_a_missing_value_or_text() {
    let site = Site::new();
    let mut options = site.options("id,x,s\na,1,NaN\nb,NaN,b\n");
    options.columns.entry("x".into()).or_default().nulls = Some(vec!["NaN".into()]);
    let summary = site.upload(options).unwrap();
    assert_eq!(types(&summary), [&DataType::Int64, &DataType::Utf8]);
}

#[test]
fn files_without_a_table_are_refused_before_any_row_is_read() {
    let site = Site::new();
    let refused = |name: &str, content: &[u8]| {
        let options = UploadOptions::new(Site::table(), [site.file(name, content)]);
        let error = site.refused(options);
        error.strip_prefix("upload experiment/table: ").unwrap().to_owned()
    };
    assert_eq!(refused("empty.csv", b""), "empty.csv is empty");
    assert_eq!(refused("blank.csv", b"\n\n"), "blank.csv has no lines");
    assert_eq!(refused("header.csv", b"id,x\n"), "header.csv has a header, but no rows");
    assert!(refused("a.csv.gz", b"\x1f\x8b\x08").contains("its compressed data are damaged"));
    assert!(refused("wide.csv", b"\xff\xfei\0d\0").contains("is UTF-16"));
    assert!(
        refused("latin.csv", b"id,x\na,\xe9\n")
            .starts_with("latin.csv:2: column 2 (\"x\"): text that is not UTF-8")
    );
    assert_eq!(
        refused("twice.csv", b"id,x,x\na,1,1\n"),
        "column 3 of twice.csv is \"x\" like column 2; rename one"
    );
    assert!(refused("nameless.csv", b"id,,x\na,1,2\n").starts_with("column 2 of nameless.csv has no name"));
    let mut unnamed = UploadOptions::new(Site::table(), [site.file("unnamed.csv", "a,1\n")]);
    unnamed.header = Header::Names(Vec::new());
    assert!(site.refused(unnamed).contains("no names of columns"));
    let missing = site.refused(UploadOptions::new(Site::table(), [site.path("none.csv")]));
    assert!(missing.contains("there is no file ") && missing.contains("none.csv"), "{missing}");
    std::fs::create_dir(site.path("empty")).unwrap();
    let folder = site.refused(UploadOptions::new(Site::table(), [site.path("empty")]));
    assert!(folder.contains("empty: it has no Parquet or CSV files"), "{folder}");
    assert!(
        site.refused(UploadOptions::new(Site::table(), Vec::<String>::new()))
            .contains("no file; give at least one")
    );
}
