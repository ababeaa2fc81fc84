//! From rows to metrics: equal to a computation on the plain table, counts exactly and metrics to 1e-12.

#![allow(clippy::unwrap_used)] // helpers of tests

mod driver;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt16Type};
use arrow_array::{ArrayRef, BooleanArray, Float32Array, Int64Array};
use arrow_schema::DataType;
use driver::Parts;
use proptest::prelude::*;
use tributary_binning::model::{Binned, MetricsSummary};
use tributary_binning::{
    AssignBins, AssignParams, AssignWoe, BinColumn, BinCount, CodeCategories, CodeParams, CountBins,
    CountParams, CutColumn, Cuts, FeatureMetrics, ListCategories, ListParams, TextCategories, WoeColumn,
    WoeParams,
};
use tributary_core::schema::Purpose;
use tributary_core::{ErrorKind, Field, KeyType, Result, TableSchema};

const POINTS: [f64; 3] = [-1.0, 0.5, 2.0];

fn cut_column() -> CutColumn {
    CutColumn { column: "x".into(), cuts: Cuts::new(POINTS.to_vec()).unwrap() }
}

fn bin_columns() -> Vec<BinColumn> {
    vec![BinColumn { column: "x".into(), bins: 4 }]
}

fn counts(table: &Parts) -> Result<Vec<BinCount>> {
    let binned = table.map::<AssignBins>(AssignParams { columns: vec![cut_column()] }, &[])?;
    let rows =
        binned.fold::<CountBins>(CountParams { columns: bin_columns(), label: Some("y".into()) })?.rows();
    Ok(BinCount::read(&rows, &bin_columns())?.remove(0))
}

/// By the definition, in another order of operations: (events, others, woe, iv) of the bins that count.
fn naive(rows: &[(Option<f64>, bool)], adjustment: f64) -> (Vec<u64>, Vec<u64>, Vec<f64>, f64) {
    let in_bin = |bin: usize, x: Option<f64>| match x.filter(|x| !x.is_nan()) {
        None => bin == 3,
        Some(x) if x <= -1.0 => bin == 0,
        Some(x) if x <= 0.5 => bin == 1,
        Some(_) => bin == 2,
    };
    let count = |bin, label| rows.iter().filter(|(x, y)| in_bin(bin, *x) && *y == label).count() as u64;
    let last = if count(3, true) + count(3, false) > 0 { 4 } else { 3 };
    let total = |label| rows.iter().filter(|(_, y)| *y == label).count() as f64;
    let parts: Vec<(u64, u64)> = (0..last).map(|bin| (count(bin, true), count(bin, false))).collect();
    let adjusted = |(events, others): &(u64, u64)| match (*events, *others) {
        (0, 0) => None,
        (0, others) => Some((adjustment, others as f64 + adjustment)),
        (events, 0) => Some((events as f64 + adjustment, adjustment)),
        (events, others) => Some((events as f64, others as f64)),
    };
    let woe: Vec<f64> = parts
        .iter()
        .map(|bin| adjusted(bin).map_or(0.0, |(e, n)| e.ln() - total(true).ln() - n.ln() + total(false).ln()))
        .collect();
    let part = |(bin, woe): (&(u64, u64), &f64)| {
        adjusted(bin).map_or(0.0, |(e, n)| e / total(true) * woe - n / total(false) * woe)
    };
    let iv = parts.iter().zip(&woe).map(part).sum();
    let (events, others) = parts.into_iter().unzip();
    (events, others, woe, iv)
}

fn rows() -> impl Strategy<Value = Vec<(Option<f64>, bool)>> {
    let x = prop_oneof![
        1 => Just(None),
        1 => Just(Some(f64::NAN)),
        3 => prop::sample::select(&[-1.0, 0.5, 2.0, -0.0, f64::INFINITY][..]).prop_map(Some),
        5 => (-5.0..5.0).prop_map(Some),
    ];
    prop::collection::vec((x, any::<bool>()), 1..60)
}

fn table(rows: &[(Option<f64>, bool)], partitions: usize) -> Parts {
    let x = rows.iter().map(|(x, _)| *x).collect();
    let y = rows.iter().map(|(_, y)| Some(f64::from(u8::from(*y)))).collect();
    Parts::of_numbers(&[("x", x), ("y", y)], partitions, 7)
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * b.abs().max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn metrics_equal_those_of_the_plain_table(rows in rows(), partitions in 1usize..6, adjustment in 0.01..2.0) {
        let counts = counts(&table(&rows, partitions)).unwrap();
        let metrics = FeatureMetrics::new(&counts, 3, adjustment);
        if rows.iter().all(|(_, y)| *y) || rows.iter().all(|(_, y)| !*y) {
            prop_assert_eq!(metrics.unwrap_err().kind(), ErrorKind::InvalidInput);
            return Ok(());
        }
        let metrics = metrics.unwrap();
        let (events, others, woe, iv) = naive(&rows, adjustment);
        prop_assert_eq!(&metrics.event_count, &events);
        prop_assert_eq!(&metrics.non_event_count, &others);
        for (found, expected) in metrics.woe.iter().zip(&woe) {
            prop_assert!(near(*found, *expected), "woe {} {}", found, expected);
        }
        prop_assert!(near(metrics.iv, iv), "iv {} {}", metrics.iv, iv);
        let has_rows = |bin: &usize| events[*bin] + others[*bin] > 0;
        let ordered: Vec<f64> = (0..3).filter(has_rows).map(|bin| woe[bin]).collect();
        let steps: Vec<f64> = ordered.windows(2).map(|w| w[1] - w[0]).filter(|d| d.abs() > 1e-9).collect();
        prop_assert_eq!(metrics.is_monotonic, steps.iter().all(|d| *d > 0.0) || steps.iter().all(|d| *d < 0.0));
    }
}

#[test]
fn bins_and_weights_replace_values_of_any_number_type() {
    let fields = vec![
        Field::new("x", DataType::Float32).nullable(),
        Field::new("n", DataType::Int64),
        Field::new("b", DataType::Boolean),
        Field::new("other", DataType::Int64),
    ];
    let schema = TableSchema::keyed("id", KeyType::UInt64, fields).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(arrow_array::UInt64Array::from(vec![1, 2, 3])),
        Arc::new(Float32Array::from(vec![Some(0.5), None, Some(9.0)])),
        Arc::new(Int64Array::from(vec![-7, 0, 1])),
        Arc::new(BooleanArray::from(vec![true, false, true])),
        Arc::new(Int64Array::from(vec![10, 20, 30])),
    ];
    let table = Parts::cut(schema, columns, 1, 10);
    let cuts = |points: &[f64]| Cuts::new(points.to_vec()).unwrap();
    let binned = |column: &str, points: &[f64]| CutColumn { column: column.into(), cuts: cuts(points) };
    let columns = vec![binned("x", &POINTS), binned("n", &[0.0, 5.0]), binned("b", &[0.0, 1.0])];
    let bins = table.map::<AssignBins>(AssignParams { columns }, &[]).unwrap().rows().remove(0);
    let column = |i: usize| bins.column(i).as_primitive::<UInt16Type>().values().to_vec();
    assert_eq!([column(1), column(2), column(3)], [[1, 3, 2], [0, 0, 1], [1, 0, 1]]);
    assert_eq!(bins.column(4), table.rows()[0].column(4));

    let woe = |woe: &[f64]| WoeColumn { column: "x".into(), cuts: cuts(&POINTS), woe: woe.to_vec() };
    let values = |woe| {
        let mapped = table.map::<AssignWoe>(WoeParams { columns: vec![woe] }, &[]).unwrap().rows().remove(0);
        mapped.column(1).as_primitive::<Float64Type>().values().to_vec()
    };
    assert_eq!(values(woe(&[-0.5, 0.25, 1.0])), [0.25, 0.0, 1.0]);
    assert_eq!(values(woe(&[-0.5, 0.25, 1.0, 4.0])), [0.25, 4.0, 1.0]);
    assert!(table.map::<AssignWoe>(WoeParams { columns: vec![woe(&[1.0])] }, &[]).is_err());
}

#[test]
fn labels_other_than_0_and_1_are_refused_with_their_number() {
    let x = vec![Some(0.0); 5];
    let y = vec![Some(0.0), Some(1.0), Some(2.0), None, Some(-1.0)];
    let error = counts(&Parts::of_numbers(&[("x", x), ("y", y)], 1, 9)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("2 have another value and 1 have none"), "{error}");
}

#[test]
fn bins_out_of_range_are_refused() {
    let table = table(&[(Some(9.0), true), (None, false)], 1);
    let binned = table.map::<AssignBins>(AssignParams { columns: vec![cut_column()] }, &[]).unwrap();
    let columns = vec![BinColumn { column: "x".into(), bins: 3 }];
    let error = binned.fold::<CountBins>(CountParams { columns, label: Some("y".into()) }).err().unwrap();
    assert!(error.to_string().contains("has bin 3, expected bins below 3"), "{error}");
    let kind = |bins: u32, features: usize| {
        let column = BinColumn { column: "x".into(), bins };
        BinCount::read(&[], &vec![column; features]).unwrap_err().kind()
    };
    assert_eq!(kind(65_536, 1_000), ErrorKind::Exhausted);
    assert_eq!([kind(0, 1), kind(u32::MAX, 1)], [ErrorKind::InvalidInput; 2]);
}

#[test]
fn a_summary_names_bins_and_categories() {
    let count = |rows, events| BinCount { rows, events };
    let metrics = FeatureMetrics::new(&[count(4, 1), count(4, 3), count(2, 1)], 2, 0.5).unwrap();
    let cuts = Cuts::new(vec![-3.0, 12.0]).unwrap();
    let mut summary = MetricsSummary::default();
    summary.insert("x", &metrics, &cuts, Binned::Cut);
    let names = ["-3", "12"].map(str::to_owned);
    summary.insert("c", &metrics, &cuts, Binned::ByCategory(&names));
    let names = ["red", "1e3"].map(str::to_owned);
    summary.insert("t", &metrics, &cuts, Binned::ByCategory(&names));
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["event_count"]["x"], serde_json::json!({"0": 1, "1": 3, "missing": 1}));
    assert_eq!(json["event_count"]["c"], serde_json::json!({"-3": 1, "12": 3, "missing": 1}));
    assert_eq!(json["event_count"]["t"], serde_json::json!({"red": 1, "1e3": 3, "missing": 1}));
    assert_eq!(json["iv"]["x"], json["iv"]["c"]);
    assert_eq!(serde_json::from_value::<MetricsSummary>(json).unwrap().event_count["x"].iter().count(), 3);
}

#[test]
fn categories_of_text_become_their_numbers() {
    let fields = vec![
        Field::new("x", DataType::Int64),
        Field::new("c", DataType::Utf8).nullable().purpose(Purpose::Category),
    ];
    let schema = TableSchema::keyed("id", KeyType::UInt64, fields).unwrap();
    let texts = [Some("b"), None, Some("a"), Some("b"), Some("ü")];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(arrow_array::UInt64Array::from_iter_values(0..5)),
        Arc::new(Int64Array::from(vec![0; 5])),
        Arc::new(arrow_array::StringArray::from(texts.to_vec())),
    ];
    let table = Parts::cut(schema, columns, 2, 2);
    let features = ["c".to_owned()];
    let listed = table.fold::<ListCategories>(ListParams { features: features.to_vec() }).unwrap().rows();
    let mut found = TextCategories::read(&listed, &features).unwrap();
    assert_eq!(found[0].categories, ["a", "b", "ü"]);
    found[0].categories.pop(); // one that a model does not know
    let coded = table.map::<CodeCategories>(CodeParams { columns: found }, &[]).unwrap().rows();
    let codes =
        coded.iter().flat_map(|rows| rows.column(2).as_primitive::<UInt16Type>().iter().collect::<Vec<_>>());
    assert_eq!(codes.collect::<Vec<_>>(), [Some(1), None, Some(0), Some(1), None]);

    let missing = [TextCategories { column: "c".into(), categories: vec![] }];
    assert!(table.map::<CodeCategories>(CodeParams { columns: missing.to_vec() }, &[]).is_ok());
    let number = ["x".to_owned()];
    assert!(table.fold::<ListCategories>(ListParams { features: number.to_vec() }).is_err());
}
