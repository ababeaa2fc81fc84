//! Rows that are added to a table.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::DataType;
use futures::executor::block_on;
use proptest::prelude::*;
use tributary_core::schema::CipherKeyId;
use tributary_core::{ErrorKind, Field, KeyType, Purpose, TableSchema};
use tributary_ingest::{
    Duplicates, Existing, Merged, Pass, Progress, SampleId, UploadOptions, ValueType, dry_run, upload,
};

use crate::site::Site;

fn merge(site: &Site, name: &str, content: &str) -> UploadOptions {
    let mut options = UploadOptions::new(Site::table(), [site.file(name, content)]);
    options.if_exists = Existing::Merge;
    options
}

/// A site with a table of four rows in two partitions: a label, a feature, a category.
fn site() -> Site {
    let site = Site::new();
    let mut options = site.options("id,x,y,c\na,1,0,u\nb,2,1,v\nc,3,0,u\nd,4,1,v\n");
    (options.label, options.partitions) = (Some("y".into()), Some(2));
    options.columns.entry("c".into()).or_default().value_type = Some(ValueType::Category);
    site.upload(options).unwrap();
    site
}

fn counts(merged: Option<Merged>) -> (u64, u64, u64) {
    let merged = merged.unwrap();
    (merged.kept, merged.replaced, merged.added)
}

/// The error of an upload that leaves the table as it was.
fn refused(site: &Site, options: UploadOptions) -> String {
    let (stored, record) = (site.stored(), site.record());
    let error = site.upload(options).unwrap_err();
    assert_eq!((site.stored(), site.record()), (stored, record));
    assert_eq!(site.store.leftovers(), 0);
    let folder = format!("{}/", site.path("").display().to_string().trim_end_matches('/'));
    error.chain().replace(&folder, "").replace("upload experiment/table: ", "")
}

/// The values of the column x.
fn integers(site: &Site) -> Vec<Option<i64>> {
    let column = site.stored().schema.column_index("x").unwrap();
    let of_batch = |batch: &RecordBatch| -> Vec<Option<i64>> {
        batch.column(column).as_primitive::<Int64Type>().iter().collect()
    };
    site.parts().concat().iter().flat_map(of_batch).collect()
}

#[test]
fn rows_come_behind_those_of_the_table_in_columns_found_by_name() {
    let site = site();
    // another order, an extra column that is left out, a missing value
    let mut options = merge(&site, "more.csv", "c,more,x,id,y\nu,1,,e,1\nw,2,6,f,0\n");
    options.skip = vec!["more".into()];
    let summary = site.upload(options).unwrap();
    assert_eq!((summary.rows, summary.partitions, counts(summary.merged)), (6, 2, (4, 0, 2)));
    assert_eq!(site.keys(), [vec!["a", "b", "c"], vec!["d", "e", "f"]]);
    assert_eq!(integers(&site), [Some(1), Some(2), Some(3), Some(4), None, Some(6)]);
    let schema = site.stored().schema;
    let fields: Vec<_> =
        schema.fields().iter().map(|f| (f.name.as_str(), &f.data_type, f.nullable, &f.purpose)).collect();
    let expected = [
        ("y", &DataType::Int32, false, &Purpose::Label),
        ("x", &DataType::Int64, true, &Purpose::Value),
        ("c", &DataType::Utf8, false, &Purpose::Category),
    ];
    assert_eq!(fields, expected);
    // of all rows, including the existing ones
    assert_eq!(summary.columns[1].extent.as_ref().unwrap().texts(), ("1".into(), "6".into()));
    assert_eq!((summary.columns[1].nulls, summary.columns[2].distinct), (Some(1), Some(3)));
    let record = site.record();
    assert_eq!((record.rows, record.origin["file"].as_str()), (6, "more.csv"));
    let first: Vec<&str> = record.preview.iter().map(|row| row[0].as_deref().unwrap()).collect();
    assert_eq!(first, ["a", "b", "c", "d", "e", "f"]);

    let mut options = merge(&site, "more.csv", "id,x,y,c\ng,7,1,u\n");
    options.partitions = Some(5);
    options.preview_rows = 6;
    let summary = site.upload(options).unwrap();
    assert_eq!((summary.rows, summary.partitions), (7, 5));
    assert_eq!(site.keys().concat(), ["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(site.record().preview.len(), 6);
}

#[test]
fn a_missing_table_is_created() {
    let site = Site::new();
    let summary = site.upload(merge(&site, "new.csv", "id,x\na,1\n")).unwrap();
    assert_eq!((summary.rows, summary.partitions, summary.merged), (1, 4, None));
    // a record without its table is no table
    block_on(site.storage.delete(&site.record().uri)).unwrap();
    let summary = site.upload(merge(&site, "new.csv", "id,z\na,1\nb,2\n")).unwrap();
    assert_eq!((summary.rows, summary.merged, site.record().rows), (2, None, 2));
}

#[test]
fn ids_that_the_table_has_are_refused_or_a_rule_decides() {
    let rows = "id,x,y,c\ne,5,1,u\nb,6,1,u\nf,7,1,u\nb,8,1,u\nd,9,1,u\n";
    let site_now = site();
    let error = refused(&site_now, merge(&site_now, "more.csv", rows));
    assert_eq!(
        error,
        "more.csv:3: column 1 (\"id\"): the table has the sample id already, in its row 2 (3 such rows in all); keep the \
         table's row or the file's (--duplicates first|last)"
    );
    for (rule, keys, values, dropped, merged) in [
        (Duplicates::First, "abcdef", vec![1, 2, 3, 4, 5, 7], 3, (4, 0, 2)),
        (Duplicates::Last, "acefbd", vec![1, 3, 5, 7, 8, 9], 1, (2, 2, 4)),
    ] {
        for sort_bytes in [1, 64 << 20] {
            let site = site();
            let mut options = merge(&site, "more.csv", rows);
            (options.duplicates, options.sort_bytes) = (rule, sort_bytes);
            options.scratch = site.path("scratch");
            let found = block_on(dry_run(&site.storage, &site.meta, options.clone(), |_| {})).unwrap();
            assert_eq!((found.rows, found.duplicates_dropped, counts(found.merged)), (6, dropped, merged));
            assert_eq!(site.stored().rows(), 4);
            let summary = site.upload(options).unwrap();
            assert_eq!(
                (summary.rows, summary.duplicates_dropped, counts(summary.merged)),
                (6, dropped, merged)
            );
            assert_eq!(site.keys().concat().concat(), keys);
            assert_eq!(integers(&site).into_iter().flatten().collect::<Vec<_>>(), values);
        }
    }
    // a second merge of the same rows changes nothing
    let site = site();
    let mut options = merge(&site, "more.csv", "id,x,y,c\na,9,0,u\nd,9,0,u\n");
    options.duplicates = Duplicates::First;
    let summary = site.upload(options).unwrap();
    assert_eq!((summary.rows, counts(summary.merged)), (4, (4, 0, 0)));
    assert_eq!(integers(&site), [1, 2, 3, 4].map(Some));
}

#[test]
fn with_bad_rows_allowed_ids_that_the_table_has_are_bad() {
    let site = site();
    let mut options = merge(&site, "more.csv", "id,x,y,c\ne,5,1,u\nb,6,1,u\ne,7,1,u\nf,one,1,u\n");
    (options.max_rejects, options.reject_to) = (3, Some(site.path("bad.csv")));
    let summary = site.upload(options.clone()).unwrap();
    assert_eq!((summary.rows, summary.rejected, counts(summary.merged)), (5, 3, (4, 0, 1)));
    let list = std::fs::read_to_string(site.path("bad.csv")).unwrap();
    for expected in [
        "more.csv:5,x,\"text, expected an integer of 64 bits\",\"f,one,1,u\"",
        "more.csv:3,id,the table has the sample id already,\"b,6,1,u\"",
        "more.csv:4,id,the sample id already occurs in an earlier row,\"e,7,1,u\"",
    ] {
        let (place, rest) = expected.split_once(',').unwrap();
        let line = format!("{},{rest}", place.replace(':', ","));
        assert!(list.lines().any(|found| found.ends_with(&line)), "{line}\nin\n{list}");
    }
    options.max_rejects = 10;
    let error = refused(&site, options);
    assert!(error.contains("every row is bad"), "{error}");
}

#[test]
fn generated_ids_stay_generated() {
    let site = Site::new();
    let mut options = site.options("x\n1\n2\n");
    options.sample_id = SampleId::Made;
    site.upload(options).unwrap();
    let summary = site.upload(merge(&site, "more.csv", "x\n1\n2\n")).unwrap();
    assert_eq!((summary.rows, counts(summary.merged)), (4, (2, 0, 2)));
    let mut keys = site.keys().concat();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4);
    // rows of the table itself, which already have ids
    let own = format!("extend_sid,x\n{},9\n", keys[0]);
    let error = refused(&site, merge(&site, "own.csv", &own));
    assert!(error.contains("the table has the sample id already"), "{error}");
    let mut options = merge(&site, "other.csv", "id,x\nq,1\n");
    options.sample_id = SampleId::Column("id".into());
    assert_eq!(
        refused(&site, options),
        "the sample id is to be \"id\", but in the table it is \"extend_sid\"; added rows have the columns of the table"
    );
}

#[test]
fn a_contradiction_to_the_table_is_reported_with_both_sides() {
    let site = site();
    let check = |header: &str, change: fn(&mut UploadOptions), expected: &str| {
        let mut options = merge(&site, "more.csv", &format!("{header}\ne,5,1,u\n"));
        change(&mut options);
        let error = refused(&site, options);
        assert!(error.contains(expected), "{error}");
    };
    let same = "id,x,y,c";
    check("id,x,y,d", |_| {}, "more.csv lacks the column \"c\", which the table has");
    check("id,z,y,d", |_| {}, "more.csv lacks the columns \"x\", \"c\"");
    check(same, |o| o.skip = vec!["x".into()], "lacks the column \"x\"");
    check("key,x,y,c", |_| {}, "sample id \"id\": the file has no such column");
    check(same, |o| o.label = Some("x".into()), "the label is to be \"x\", but in the table it is \"y\"");
    check(same, |o| o.weight = Some("x".into()), "the weight is to be \"x\", but in the table it is none");
    check(
        same,
        |o| o.match_id = Some("x".into()),
        "the match id is to be \"x\", but in the table it is \"id\"",
    );
    check(same, |o| o.sample_id = SampleId::Made, "to be made (--extend-sid), but in the table it is \"id\"");
    let give = |o: &mut UploadOptions, name: &str, value_type| {
        o.columns.entry(name.into()).or_default().value_type = Some(value_type);
    };
    for (column, given, stored) in [
        ("x", ValueType::Float64, "int64"),
        ("c", ValueType::Text, "category"),
        ("y", ValueType::Int64, "int32"),
    ] {
        let mut options = merge(&site, "more.csv", "id,x,y,c\ne,5,1,u\n");
        give(&mut options, column, given);
        let expected = format!("column \"{column}\" is to be {given}, but in the table it is {stored}");
        let error = refused(&site, options);
        assert!(error.contains(&expected), "{error}");
    }
    let expected = "column \"x\" is to be float32, but in the table it is int64";
    check(same, |o| o.default_type = Some(ValueType::Float32), expected);
    // options that agree with the table are accepted
    let mut options = merge(&site, "more.csv", "id,x,y,c\ne,5,1,u\n");
    (options.label, options.match_id) = (Some("y".into()), Some("id".into()));
    give(&mut options, "x", ValueType::Int64);
    give(&mut options, "c", ValueType::Category);
    options.sample_id = SampleId::Column("id".into());
    site.upload(options).unwrap();
    let more = merge(&site, "more.csv", "id,x,y,c,z,w\nf,5,1,u,1,1\n");
    assert_eq!(
        refused(&site, more),
        "more.csv has the columns \"z\", \"w\", which the table does not have; leave them out (--skip), or replace the table"
    );
    let error = refused(&site, merge(&site, "more.csv", "id,x,y,c\nf,1.5,1,u\n"));
    assert_eq!(
        error,
        "more.csv:2: column 2 (\"x\"): a number with a point or exponent, expected an integer of 64 bits"
    );
}

#[test]
fn tables_that_no_file_has_rows_for_are_refused_by_name() {
    let cipher = Purpose::Ciphertext(CipherKeyId("ab".into()));
    let list = DataType::List(arrow_schema::Field::new_list_field(DataType::Float64, true).into());
    let x = |data_type| vec![Field::new("x", data_type)];
    let text = |fields| TableSchema::keyed("id", KeyType::Utf8, fields).unwrap();
    for (schema, expected) in [
        (TableSchema::keyed("n", KeyType::UInt64, vec![]).unwrap(), "its ids (\"n\") are UInt64"),
        (TableSchema::new(None, x(DataType::Float64)).unwrap(), "it has no column of ids"),
        (text(x(DataType::Binary)), "column \"x\" is Binary in the table, which CSV values cannot become"),
        (text(x(list)), "column \"x\" is List"),
        (text(vec![Field::new("x", DataType::FixedSizeBinary(8)).purpose(cipher)]), "\"x\" has ciphertexts"),
        (text(x(DataType::UInt64)), "column \"x\" is UInt64 in the table, which CSV values cannot become"),
    ] {
        let site = Site::new();
        site.store(&schema, vec![vec![]]);
        let error = site.upload(merge(&site, "more.csv", "id,x\na,1\n")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn repeated_ids_of_the_table_itself_are_reported() {
    let site = Site::new();
    let schema = TableSchema::keyed("id", KeyType::Utf8, vec![]).unwrap();
    let batch = |ids: &[&str]| {
        let ids: ArrayRef = Arc::new(arrow_array::StringArray::from(ids.to_vec()));
        schema.batch(vec![ids]).unwrap()
    };
    site.store(&schema, vec![vec![batch(&["a", "b"])], vec![], vec![batch(&["b"]), batch(&["c", "b"])]]);
    let mut options = merge(&site, "more.csv", "id\nd\nb\n");
    let error = site.upload(options.clone()).unwrap_err().to_string();
    assert!(
        error.contains("the table itself has a sample id twice, in its rows 2 and 3 (3 such rows"),
        "{error}"
    );
    options.duplicates = Duplicates::First;
    let summary = site.upload(options).unwrap();
    assert_eq!((summary.duplicates_dropped, counts(summary.merged)), (1, (3, 2, 1)));
    assert_eq!(site.keys().concat(), ["a", "b", "c", "d"]);
}

/// Merges while `meanwhile` happens when the writing begins.
fn disturbed(site: &Site, meanwhile: impl Fn() + Send + Sync + 'static) -> ErrorKind {
    let options = merge(site, "more.csv", "id,x,y,c\ne,5,1,u\n");
    let report = move |progress: Progress| {
        if progress.pass == Pass::Write && progress.rows == 0 {
            meanwhile();
        }
    };
    let error = block_on(upload(&site.storage, &site.meta, options, report)).unwrap_err();
    let text = "the table changed while rows were added; nothing was stored, run it again";
    assert!(error.to_string().contains(text), "{error}");
    assert_eq!(site.store.leftovers(), 0);
    error.kind()
}

#[test]
fn a_table_that_changes_during_a_merge_keeps_the_rows_of_others() {
    let site = site();
    let storage = site.storage.clone();
    let uri = site.record().uri;
    let (other, place) = (storage.clone(), uri.clone());
    let replaced = disturbed(&site, move || {
        let schema = block_on(other.open(&place)).unwrap().schema;
        block_on(async {
            let replace = tributary_core::storage::WriteOptions::default()
                .with_if_exists(tributary_core::storage::IfExists::Replace);
            let layout = tributary_core::Layout::Loose(1);
            let write = other.begin(&place, &schema, &layout, replace).await.unwrap();
            let rows: Vec<tributary_core::Result<RecordBatch>> = Vec::new();
            let part = other.write_part(&write, 0, Box::pin(futures::stream::iter(rows))).await.unwrap();
            other.commit(write, vec![part]).await.unwrap();
        });
    });
    assert_eq!((replaced, site.stored().rows()), (ErrorKind::Conflict, 0));
    let deleted = disturbed(&site, move || block_on(storage.delete(&uri)).unwrap());
    assert_eq!(deleted, ErrorKind::Conflict);
    assert_eq!(block_on(site.storage.open(&site.record().uri)).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn after_a_crash_between_table_and_record_rows_can_be_added() {
    let site = Site::new();
    site.records.refuses.store(true, Ordering::Relaxed);
    site.upload(site.options("id,x\na,1\n")).unwrap_err();
    let summary = site.upload(merge(&site, "more.csv", "id,x\nb,2\n")).unwrap();
    assert_eq!((summary.rows, site.record().rows), (2, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_merge_is_the_upload_of_all_rows_at_once(
        old in proptest::collection::btree_set(0u32..400, 1..300),
        new in proptest::collection::vec(0u32..500, 1..300),
        partitions in (1u32..6, 1u32..6),
        last in any::<bool>(),
        sort_bytes in prop::sample::select(vec![1usize, 1 << 20]),
    ) {
        let site = Site::new();
        let row = |id: &u32, x: usize| format!("p{id},{x}\n");
        let old: Vec<u32> = old.into_iter().collect();
        let before: String = old.iter().enumerate().map(|(i, id)| row(id, i)).collect();
        let after: String = new.iter().enumerate().map(|(i, id)| row(id, old.len() + i)).collect();
        let mut options = site.options(format!("id,x\n{before}"));
        options.partitions = Some(partitions.0);
        site.upload(options).unwrap();
        let mut options = merge(&site, "more.csv", &format!("id,x\n{after}"));
        (options.partitions, options.sort_bytes) = (Some(partitions.1), sort_bytes);
        options.duplicates = if last { Duplicates::Last } else { Duplicates::First };
        options.scratch = site.path("scratch");
        let merged = site.upload(options.clone()).unwrap();

        let whole = Site::new();
        options.files = vec![whole.file("all.csv", format!("id,x\n{before}{after}"))];
        let expected = whole.upload(options).unwrap();
        prop_assert_eq!((site.keys(), integers(&site)), (whole.keys(), integers(&whole)));
        prop_assert_eq!(site.record().preview, whole.record().preview);
        prop_assert_eq!(merged.columns, expected.columns);
        let (kept, replaced, added) = counts(merged.merged);
        prop_assert_eq!((kept + replaced, kept + added), (old.len() as u64, expected.rows));
        prop_assert_eq!(merged.duplicates_dropped + replaced, expected.duplicates_dropped);
    }
}
