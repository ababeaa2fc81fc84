//! The kernels by themselves: batches in, batches out, however they are cut.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int32Array,
    Int64Array, RecordBatch, StringArray, UInt8Array, UInt64Array,
};
use arrow_schema::DataType;

use super::aggregate::{Aggregate, AggregateParams, Combine, Function, Grouping, Measure};
use super::columns::{DropKey, NumberRows, Rekey, RekeyParams, Select, SelectParams};
use super::merge::{Merge, MergeParams, MergeSides};
use super::rows::{Comparison, Count, Filter, HashHistogram, Predicate, SampleBelow, Take, Value};
use crate::error::{ErrorKind, Result};
use crate::kernel::{FoldKernel, MapKernel, PartContext};
use crate::plan::PRESENCE;
use crate::schema::{Field, KeyType, TableSchema};

fn map<K: MapKernel>(params: K::Params, input: &TableSchema, rows: &RecordBatch) -> Result<RecordBatch> {
    let output = K::output(&params, input)?;
    let mapped = K::open(params, input, &[])?.map(None, rows)?;
    output.check(&mapped)?;
    Ok(mapped)
}

fn fold<K: FoldKernel>(
    params: K::Params,
    input: &TableSchema,
    rows: &[RecordBatch],
) -> Result<Vec<RecordBatch>> {
    let output = K::output(&params, input)?;
    let kernel = K::open(params, input, &[])?;
    let mut state = kernel.start(PartContext { partition: 0, partitions: 1, first_row: None })?;
    let mut out = Vec::new();
    rows.iter().try_for_each(|batch| kernel.fold(&mut state, batch, &mut out))?;
    kernel.finish(state, &mut out)?;
    out.iter().try_for_each(|batch| output.check(batch))?;
    Ok(out)
}

fn array<A: Array + 'static>(array: impl Into<A>) -> ArrayRef {
    Arc::new(array.into())
}

/// A table of one nullable column `v`, keyed by text.
fn one_column(keys: &[&str], values: ArrayRef) -> (TableSchema, RecordBatch) {
    let field = Field::new("v", values.data_type().clone()).nullable();
    let schema = TableSchema::keyed("id", KeyType::Utf8, vec![field]).unwrap();
    let batch = schema.batch(vec![array::<StringArray>(keys.to_vec()), values]).unwrap();
    (schema, batch)
}

fn every_cut(batch: &RecordBatch) -> impl Iterator<Item = Vec<RecordBatch>> {
    (0..=batch.num_rows()).map(|at| vec![batch.slice(0, at), batch.slice(at, batch.num_rows() - at)])
}

fn params(grouping: Grouping, functions: &[Function]) -> AggregateParams {
    let measure = |f: &Function| Measure::of(*f, "v").named(format!("{f:?}"));
    AggregateParams { grouping, measures: functions.iter().map(measure).collect() }
}

const ALL: [Function; 4] = [Function::Sum, Function::Min, Function::Max, Function::Count];

#[test]
fn numbers_of_every_width_are_widened() {
    let columns: [(ArrayRef, DataType); 4] = [
        (array::<Int32Array>(vec![Some(-3), None, Some(i32::MAX)]), DataType::Int64),
        (array::<Int64Array>(vec![Some(-3), None, Some(7)]), DataType::Int64),
        (array::<UInt8Array>(vec![Some(255), None, Some(1)]), DataType::UInt64),
        (array::<Float32Array>(vec![Some(-0.5), None, Some(2.0)]), DataType::Float64),
    ];
    for (column, expected) in columns {
        let (schema, batch) = one_column(&["a", "b", "c"], column);
        let rows = fold::<Aggregate>(params(Grouping::All, &ALL), &schema, &[batch]).unwrap();
        let types: Vec<&DataType> = rows[0].columns().iter().map(|c| c.data_type()).collect();
        assert_eq!(types, [&expected, &expected, &expected, &DataType::UInt64]);
        assert_eq!(rows[0].column(3).as_primitive::<UInt64Type>().value(0), 2);
    }
}

#[test]
fn extremes_of_floats_do_not_depend_on_the_order_of_rows() {
    let mut values = [1.0, f64::NAN, 2.0, -0.0, 0.0];
    for _ in 0..values.len() {
        values.rotate_left(1);
        let (schema, batch) = one_column(&["a"; 5], array::<Float64Array>(values.to_vec()));
        for cut in every_cut(&batch) {
            let extremes = params(Grouping::All, &[Function::Min, Function::Max]);
            let rows = fold::<Aggregate>(extremes, &schema, &cut).unwrap();
            let of = |column: usize| rows[0].column(column).as_primitive::<Float64Type>().value(0);
            assert_eq!(of(0).to_bits(), (-0.0f64).to_bits());
            assert!(of(1).is_nan());
        }
    }
}

#[test]
fn a_group_without_values_has_none_and_counts_zero() {
    let (schema, batch) = one_column(&["a", "b", "a"], array::<Int64Array>(vec![None, Some(4), None]));
    let rows = fold::<Aggregate>(params(Grouping::Key, &ALL), &schema, &[batch]).unwrap();
    let expected = [Some(0), Some(1)];
    let counts: Vec<_> = rows[0].column(4).as_primitive::<UInt64Type>().iter().collect();
    assert_eq!(counts, expected);
    for column in 1..4 {
        let values: Vec<_> = rows[0].column(column).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(values, [None, Some(4)]);
    }
}

#[test]
fn groups_are_the_same_however_rows_are_cut() {
    let keys = ["", "a", "", "ab", "a", "b", "ab", "ab"];
    let (schema, batch) = one_column(&keys, array::<Int64Array>((0..8).collect::<Vec<_>>()));
    let whole =
        fold::<Aggregate>(params(Grouping::Key, &ALL), &schema, std::slice::from_ref(&batch)).unwrap();
    assert_eq!(whole[0].num_rows(), 4);
    for cut in every_cut(&batch) {
        assert_eq!(fold::<Aggregate>(params(Grouping::Key, &ALL), &schema, &cut).unwrap(), whole);
    }
    let sorted = ["", "", "a", "a", "ab", "ab", "ab", "b"];
    let (schema, batch) = one_column(&sorted, array::<Int64Array>(vec![0, 2, 1, 4, 3, 6, 7, 5]));
    for cut in every_cut(&batch) {
        let combined = fold::<Combine>(params(Grouping::Key, &ALL), &schema, &cut).unwrap();
        let sums: Vec<_> = combined[0].column(1).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(sums, [2, 5, 16, 5]);
    }
}

#[test]
fn numbers_and_bytes_group_too() {
    let value = Field::new("v", DataType::Int64);
    let values = array::<Int64Array>(vec![1, 2, 3]);
    let keys: [(KeyType, ArrayRef); 2] = [
        (KeyType::UInt64, array::<UInt64Array>(vec![u64::MAX, 0, u64::MAX])),
        (KeyType::Binary, array::<BinaryArray>(vec![&b"\0"[..], b"", b"\0"])),
    ];
    for (key_type, keys) in keys {
        let schema = TableSchema::keyed("id", key_type, vec![value.clone()]).unwrap();
        let batch = schema.batch(vec![keys.clone(), values.clone()]).unwrap();
        let rows = fold::<Aggregate>(params(Grouping::Key, &[Function::Sum]), &schema, &[batch]).unwrap();
        assert_eq!(rows[0].column(0).as_ref(), keys.slice(0, 2).as_ref());
        assert_eq!(rows[0].column(1).as_primitive::<Int64Type>().values(), &[4, 2]);
    }
}

#[test]
fn no_rows_give_no_row() {
    let (schema, batch) = one_column(&[], array::<Int64Array>(Vec::<i64>::new()));
    for grouping in [Grouping::All, Grouping::Key] {
        let none = fold::<Aggregate>(params(grouping, &ALL), &schema, std::slice::from_ref(&batch)).unwrap();
        assert_eq!(none.len(), 0);
    }
}

#[test]
fn text_is_counted_but_not_summed() {
    let (schema, batch) = one_column(&["a", "b"], array::<StringArray>(vec![Some("x"), None]));
    let sum =
        fold::<Aggregate>(params(Grouping::All, &[Function::Sum]), &schema, std::slice::from_ref(&batch));
    assert_eq!(sum.unwrap_err().kind(), ErrorKind::InvalidInput);
    let count = fold::<Aggregate>(params(Grouping::All, &[Function::Count]), &schema, &[batch]).unwrap();
    assert_eq!(count[0].column(0).as_primitive::<UInt64Type>().value(0), 1);
}

#[test]
fn sums_that_leave_64_bits_are_refused() {
    for (values, fits) in [
        (array::<Int64Array>(vec![i64::MIN, -1]), false),
        (array::<Int64Array>(vec![i64::MAX, -1]), true),
        (array::<UInt64Array>(vec![u64::MAX, 1]), false),
        (array::<UInt64Array>(vec![u64::MAX, 0]), true),
    ] {
        let (schema, batch) = one_column(&["a", "a"], values);
        let sum = fold::<Aggregate>(params(Grouping::Key, &[Function::Sum]), &schema, &[batch]);
        assert_eq!(
            sum.map_err(|e| e.kind()).map(drop),
            if fits { Ok(()) } else { Err(ErrorKind::Exhausted) }
        );
    }
}

fn chosen(values: ArrayRef, comparison: Comparison, value: Value) -> Result<Vec<String>> {
    let (schema, batch) = one_column(&["a", "b", "c", "d"], values);
    let column = "v".to_owned();
    let rows = map::<Filter>(Predicate { column, comparison, value }, &schema, &batch)?;
    Ok(rows.column(0).as_string::<i32>().iter().flatten().map(String::from).collect())
}

#[test]
fn filters_compare_each_type_and_never_choose_missing_values() {
    use Comparison as C;
    let ints = || array::<Int32Array>(vec![Some(1), None, Some(3), Some(-1)]);
    assert_eq!(chosen(ints(), C::Ge, Value::Int(1)).unwrap(), ["a", "c"]);
    assert_eq!(chosen(ints(), C::Ne, Value::Int(1)).unwrap(), ["c", "d"]);
    assert_eq!(chosen(ints(), C::Lt, Value::Float(3.0)).unwrap(), ["a", "d"]);
    let floats = || array::<Float32Array>(vec![Some(0.5), None, Some(0.1), Some(2.0)]);
    assert_eq!(chosen(floats(), C::Lt, Value::Float(0.5)).unwrap(), ["c"]);
    assert_eq!(chosen(floats(), C::Le, Value::Float(0.1)).unwrap(), ["c"]);
    assert_eq!(chosen(floats(), C::Gt, Value::Int(1)).unwrap(), ["d"]);
    let texts = array::<StringArray>(vec![Some("x"), None, Some("y"), Some("")]);
    assert_eq!(chosen(texts, C::Le, Value::Text("x".into())).unwrap(), ["a", "d"]);
    let flags = array::<BooleanArray>(vec![Some(true), None, Some(false), Some(true)]);
    assert_eq!(chosen(flags, C::Eq, Value::Bool(true)).unwrap(), ["a", "d"]);
}

#[test]
fn a_filter_with_a_value_that_does_not_fit_is_refused() {
    let bytes = || array::<UInt8Array>(vec![1, 2, 3, 4]);
    for value in [
        Value::Int(256),
        Value::Int(-1),
        Value::Float(0.5),
        Value::Float(f64::NAN),
        Value::Text("many".into()),
    ] {
        let outcome = chosen(bytes(), Comparison::Lt, value.clone());
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput, "{value:?}");
    }
}

#[test]
fn a_fixed_width_column_becomes_a_binary_key_and_the_old_key_a_column() {
    let points = vec![Some([1u8, 2]), Some([3, 4])];
    let points = FixedSizeBinaryArray::try_from_sparse_iter_with_size(points.into_iter(), 2).unwrap();
    let (schema, batch) = one_column(&["a", "b"], Arc::new(points));
    let old_key = Some("old".to_owned());
    let rekeyed = map::<Rekey>(RekeyParams { column: "v".into(), old_key }, &schema, &batch).unwrap();
    assert_eq!(rekeyed.column(0).as_ref(), &BinaryArray::from(vec![&[1u8, 2][..], &[3, 4]]));
    assert_eq!(rekeyed.column(1).as_ref(), &StringArray::from(vec!["a", "b"]));
}

#[test]
fn a_key_is_neither_missing_nor_a_float() {
    let rekey = |values: ArrayRef| {
        let (schema, batch) = one_column(&["a", "b"], values);
        let params = RekeyParams { column: "v".into(), old_key: None };
        map::<Rekey>(params, &schema, &batch)
    };
    let missing = rekey(array::<StringArray>(vec![Some("x"), None]));
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::InvalidInput);
    let float = rekey(array::<Float64Array>(vec![1.0, 2.0]));
    assert_eq!(float.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn columns_are_selected_in_the_order_asked_and_rows_outlive_the_last_column() {
    let fields = ["x", "y", "z"].map(|name| Field::new(name, DataType::Int64)).to_vec();
    let schema = TableSchema::keyed("id", KeyType::UInt64, fields).unwrap();
    let column = |first: i64| array::<Int64Array>(vec![first, first + 1]);
    let ids = array::<UInt64Array>(vec![8, 9]);
    let batch = schema.batch(vec![ids, column(10), column(20), column(30)]).unwrap();
    let select =
        |columns: &[&str]| SelectParams { columns: columns.iter().map(|c| (*c).to_owned()).collect() };
    let rows = map::<Select>(select(&["z", "x"]), &schema, &batch).unwrap();
    assert_eq!(rows.column(1).as_ref(), column(30).as_ref());
    assert!(map::<Select>(select(&["x", "x"]), &schema, &batch).is_err());
    assert!(map::<Select>(select(&["id"]), &schema, &batch).is_err());

    let only_ids = map::<Select>(select(&[]), &schema, &batch).unwrap();
    let schema = schema.with_fields(vec![]).unwrap();
    assert_eq!(map::<DropKey>(DropKey, &schema, &only_ids).unwrap().num_rows(), 2);
}

#[test]
fn numbering_needs_numbers() {
    let (schema, batch) = one_column(&["a"], array::<Int64Array>(vec![1]));
    let params = NumberRows { column: "n".into() };
    assert_eq!(map::<NumberRows>(params, &schema, &batch).unwrap_err().kind(), ErrorKind::InvalidInput);
    let taken = NumberRows { column: "v".into() };
    assert!(NumberRows::output(&taken, &schema).is_err());
}

#[test]
fn merging_takes_the_side_that_is_there() {
    let columns = vec![Field::new("v", DataType::Int64)];
    let mut sides = vec![columns[0].clone().nullable(), Field::new("v:right", DataType::Int64).nullable()];
    sides.push(Field::new(PRESENCE, DataType::UInt8));
    let full = TableSchema::keyed("id", KeyType::UInt64, sides).unwrap();
    let batch = full
        .batch(vec![
            array::<UInt64Array>(vec![1, 2, 3]),
            array::<Int64Array>(vec![Some(10), None, Some(30)]),
            array::<Int64Array>(vec![None, Some(21), Some(31)]),
            array::<UInt8Array>(vec![1, 2, 3]),
        ])
        .unwrap();
    for (merge, expected) in [(Merge::Left, [10, 21, 30]), (Merge::Right, [10, 21, 31])] {
        let columns = columns.clone();
        let rows = map::<MergeSides>(MergeParams { merge, columns }, &full, &batch).unwrap();
        assert_eq!(rows.column(1).as_primitive::<Int64Type>().values(), &expected);
    }
    let inner = full.with_fields(full.fields()[..2].to_vec()).unwrap();
    let params = MergeParams { merge: Merge::Left, columns };
    assert!(MergeSides::output(&params, &inner).is_err());
}

#[test]
fn a_histogram_counts_the_hashes_below_a_prefix() {
    let schema = TableSchema::keyed("id", KeyType::UInt64, vec![]).unwrap();
    let batch = schema.batch(vec![Arc::new(UInt64Array::from_iter_values(0..1000))]).unwrap();
    let histogram = |prefix, prefix_bits| {
        let params = HashHistogram { seed: 9, prefix, prefix_bits };
        let rows = fold::<HashHistogram>(params, &schema, std::slice::from_ref(&batch))?;
        let column = |i: usize| rows[0].column(i).as_primitive::<UInt64Type>().values().to_vec();
        Ok::<_, crate::Error>((column(0), column(1)))
    };
    let below =
        |last| map::<SampleBelow>(SampleBelow { seed: 9, last }, &schema, &batch).unwrap().num_rows() as u64;
    let (bits, rows) = histogram(0, 0).unwrap();
    assert_eq!(rows.iter().sum::<u64>(), 1000);
    let mut so_far = 0;
    for (bits, rows) in bits.iter().zip(rows) {
        so_far += rows;
        assert_eq!(below((bits << 48) | (u64::MAX >> 16)), so_far);
        let (finer, fine_rows) = histogram(*bits, 16).unwrap();
        assert_eq!(fine_rows.iter().sum::<u64>(), rows);
        assert!(finer.is_sorted());
    }
    assert!(histogram(0, 49).is_err());
    let (finest, _) = histogram(0, 48).unwrap();
    assert!(finest.is_empty(), "{finest:?}");
}

#[test]
fn take_and_count_go_across_batches() {
    let (schema, batch) = one_column(&["a", "b", "c", "d"], array::<Int64Array>(vec![1, 2, 3, 4]));
    for cut in every_cut(&batch) {
        for rows in 0..6 {
            let taken = fold::<Take>(Take { rows }, &schema, &cut).unwrap();
            assert_eq!(taken.iter().map(|b| b.num_rows() as u64).sum::<u64>(), rows.min(4));
        }
        assert_eq!(Count::total(&fold::<Count>(Count, &schema, &cut).unwrap()), 4);
    }
}
