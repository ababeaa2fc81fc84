//! Two parties intersect their ids with the kernels, and get what a hash set gets.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, UInt64Array,
};
use arrow_schema::DataType;
use proptest::prelude::*;
use tributary_core::computing::Blob;
use tributary_core::kernel::MapKernel;
use tributary_core::{ErrorKind, Field, KeyType, Result, TableSchema};
use tributary_psi::{MaskIds, MaskIdsParams, MaskPoints, POINT, Point, Secret, points_schema};

fn secret_blob() -> Blob {
    Secret::random().unwrap().to_blob()
}

/// Runs a kernel over batches of `rows` rows, as an engine would.
fn run<K: MapKernel>(
    params: K::Params,
    schema: &TableSchema,
    secret: &Blob,
    table: &RecordBatch,
) -> Result<ArrayRef> {
    let output = K::output(&params, schema)?;
    let kernel = K::open(params, schema, std::slice::from_ref(secret))?;
    let mut columns = Vec::new();
    for start in (0..table.num_rows()).step_by(5) {
        let batch = table.slice(start, 5.min(table.num_rows() - start));
        let mapped = kernel.map(Some(start as u64), &batch)?;
        output.check(&mapped)?;
        columns.extend(
            (0..mapped.num_rows())
                .map(|i| mapped.column_by_name(POINT).unwrap().as_fixed_size_binary().value(i).to_vec()),
        );
    }
    let empty = || FixedSizeBinaryArray::new(32, Vec::<u8>::new().into(), None);
    let points = FixedSizeBinaryArray::try_from_iter(columns.iter()).unwrap_or_else(|_| empty());
    Ok(Arc::new(points))
}

fn keyed(ids: ArrayRef, key_type: KeyType) -> (TableSchema, RecordBatch) {
    let schema = TableSchema::keyed("id", key_type, vec![]).unwrap();
    let batch = schema.batch(vec![ids]).unwrap();
    (schema, batch)
}

fn mask_ids(ids: ArrayRef, key_type: KeyType, secret: &Blob) -> ArrayRef {
    let (schema, batch) = keyed(ids, key_type);
    run::<MaskIds>(MaskIdsParams::default(), &schema, secret, &batch).unwrap()
}

fn mask_points(points: ArrayRef, secret: &Blob) -> Result<ArrayRef> {
    let field = Field::new(POINT, points.data_type().clone());
    let schema = TableSchema::new(None, vec![field])?;
    let batch = schema.batch(vec![points])?;
    run::<MaskPoints>((), &schema, secret, &batch)
}

fn set(points: &ArrayRef) -> HashSet<Vec<u8>> {
    let points = points.as_fixed_size_binary();
    (0..points.len()).map(|i| points.value(i).to_vec()).collect()
}

/// The positions of the guest's ids that the host has, by the protocol.
fn intersect(guest: (ArrayRef, KeyType), host: (ArrayRef, KeyType)) -> Vec<usize> {
    let (a, b) = (secret_blob(), secret_blob());
    let to_host = mask_ids(guest.0, guest.1, &a);
    let to_guest = mask_ids(host.0, host.1, &b);
    let own = mask_points(to_host, &b).unwrap();
    let other = set(&mask_points(to_guest, &a).unwrap());
    let own = own.as_fixed_size_binary();
    (0..own.len()).filter(|i| other.contains(own.value(*i))).collect()
}

fn text(ids: &[String]) -> (ArrayRef, KeyType) {
    (Arc::new(StringArray::from(ids.to_vec())), KeyType::Utf8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_intersection_equals_that_of_hash_sets(
        guest in prop::collection::hash_set("[a-e]{0,2}", 0..20),
        host in prop::collection::hash_set("[a-e]{0,2}", 0..20),
    ) {
        let (guest, host): (Vec<String>, Vec<String>) = (guest.into_iter().collect(), host.into_iter().collect());
        let in_host: HashSet<&String> = host.iter().collect();
        let expected: Vec<usize> = (0..guest.len()).filter(|i| in_host.contains(&guest[*i])).collect();
        prop_assert_eq!(intersect(text(&guest), text(&host)), expected);
    }
}

#[test]
fn ids_match_across_types() {
    let numbers = vec![7u64, 12, 1 << 63];
    let as_text: Vec<String> = ["9223372036854775808", "07", "12"].map(String::from).to_vec();
    let numbers: ArrayRef = Arc::new(UInt64Array::from(numbers));
    assert_eq!(intersect((numbers.clone(), KeyType::UInt64), text(&as_text)), [1, 2]);
    let bytes: Vec<&[u8]> = as_text.iter().map(String::as_bytes).collect();
    let bytes: ArrayRef = Arc::new(BinaryArray::from(bytes));
    assert_eq!(intersect((bytes, KeyType::Binary), (numbers, KeyType::UInt64)), [0, 2]);
}

#[test]
fn ids_may_be_in_a_column() {
    let schema =
        TableSchema::keyed("sample", KeyType::Utf8, vec![Field::new("id", DataType::Int64)]).unwrap();
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["x", "y"]));
    let batch = schema.batch(vec![keys, Arc::new(Int64Array::from(vec![-3, 4]))]).unwrap();
    let params = MaskIdsParams { column: Some("id".into()) };
    let secret = secret_blob();
    let points = run::<MaskIds>(params, &schema, &secret, &batch).unwrap();
    let expected = mask_ids(Arc::new(StringArray::from(vec!["-3", "4"])), KeyType::Utf8, &secret);
    assert_eq!(&points, &expected);
}

#[test]
fn a_slice_of_points_masks_the_rows_it_shows() {
    let secret = secret_blob();
    let (ids, key_type) = text(&["a".into(), "b".into(), "c".into()]);
    let points = mask_ids(ids, key_type, &secret);
    let whole = mask_points(points.clone(), &secret).unwrap();
    let part = mask_points(points.slice(1, 2), &secret).unwrap();
    assert_eq!(&part, &whole.slice(1, 2));
}

#[test]
fn a_bad_point_is_refused_with_its_row_and_without_its_value() {
    let secret = secret_blob();
    let (ids, key_type) = text(&(0..9).map(|i| i.to_string()).collect::<Vec<_>>());
    let points = mask_ids(ids, key_type, &secret);
    let points = points.as_fixed_size_binary();
    for bad in [[0u8; 32], [0xff; 32]] {
        let mut rows: Vec<Point> = (0..9).map(|i| points.value(i).try_into().unwrap()).collect();
        rows[7] = bad;
        let column: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter(rows.iter()).unwrap());
        let error = mask_points(column, &secret).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().starts_with("the point in row 7 is "), "{error}");
        assert!(!error.to_string().contains("ff"), "{error}");
    }
}

#[test]
fn missing_ids_and_columns_that_hold_no_ids_are_refused() {
    let fields = vec![Field::new("id", DataType::Utf8).nullable(), Field::new("x", DataType::Float64)];
    let schema = TableSchema::new(None, fields).unwrap();
    let ids: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let x: ArrayRef = Arc::new(arrow_array::Float64Array::from(vec![1.0, 2.0]));
    let batch = schema.batch(vec![ids, x]).unwrap();
    let column = |name: &str| MaskIdsParams { column: Some(name.into()) };
    let error = run::<MaskIds>(column("id"), &schema, &secret_blob(), &batch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(MaskIds::output(&column("x"), &schema).is_err());
    assert!(MaskIds::output(&MaskIdsParams::default(), &schema).is_err(), "the table has no key");
    assert!(MaskPoints::output(&(), &schema).is_err(), "the table has no points");
}

#[test]
fn a_kernel_needs_exactly_its_secret() {
    let (schema, _) = keyed(Arc::new(StringArray::from(vec!["a"])), KeyType::Utf8);
    assert!(MaskIds::open(MaskIdsParams::default(), &schema, &[]).is_err());
    assert!(MaskPoints::open((), &points_schema().unwrap(), &[secret_blob(), secret_blob()]).is_err());
}
