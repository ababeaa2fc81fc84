//! Cut points equal those of the sorted column, however rows are spread; ranges and categories too.

#![allow(clippy::unwrap_used)] // helpers of tests

mod driver;

use driver::Parts;
use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use tributary_binning::{
    Cuts, FindRanges, Focus, MergeParams, MergeSketches, Quantiles, Range, RangeParams, SketchFeatures,
    SketchParams,
};
use tributary_core::ErrorKind;

type Column = Vec<Option<f64>>;

fn pass(table: &Parts, features: &[String], parts: u32, focus: Option<Focus>) -> Vec<Quantiles> {
    let sketches = table.fold::<SketchFeatures>(SketchParams { features: features.to_vec(), focus }).unwrap();
    let merged = sketches.by_key().fold::<MergeSketches>(MergeParams { parts }).unwrap();
    Quantiles::read(&merged.rows(), features.len()).unwrap()
}

/// Both passes, as a component runs them. Whether the second was needed.
fn quantiles(table: &Parts, names: &[&str], parts: u32) -> (Vec<Quantiles>, bool) {
    let features: Vec<String> = names.iter().map(|n| (*n).into()).collect();
    let first = pass(table, &features, parts, None);
    match Focus::on(&first) {
        None => (first, false),
        Some(focus) => {
            for (name, quantiles) in names.iter().zip(&first) {
                for bracket in &quantiles.brackets {
                    assert!(bracket.lo <= bracket.hi, "{name}");
                }
            }
            (pass(table, &features, parts, Some(focus)), true)
        }
    }
}

fn sorted(column: &Column) -> Vec<f64> {
    let mut values: Vec<f64> = column.iter().flatten().copied().filter(|v| !v.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The definition: values at ranks ⌈k·n/bins⌉, each once.
fn naive_cuts(column: &Column, bins: usize) -> Vec<f64> {
    let values = sorted(column);
    let ranks = (1..=bins).map(|k| (k * values.len()).div_ceil(bins)).filter(|_| !values.is_empty());
    let mut cuts: Vec<f64> = ranks.map(|rank| values[rank - 1]).collect();
    cuts.dedup();
    cuts
}

/// Ties, missing values of both kinds, and constants.
fn column(rows: usize) -> impl Strategy<Value = Column> {
    let value = prop_oneof![
        1 => Just(None),
        1 => Just(Some(f64::NAN)),
        8 => (-20i32..20).prop_map(|v| Some(f64::from(v) / 8.0)),
        4 => (-1e9..1e9).prop_map(Some),
    ];
    prop_oneof![
        8 => prop::collection::vec(value, rows),
        1 => Just(vec![Some(1.5); rows]),
        1 => Just(vec![None; rows]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn quantile_cuts_equal_those_of_the_sorted_column(
        (a, b) in (0usize..40).prop_flat_map(|rows| (column(rows), column(rows))),
        bins in 2u32..15,
        partitions in 1usize..8,
        batch in 1usize..9,
    ) {
        let table = Parts::of_numbers(&[("a", a.clone()), ("b", b.clone())], partitions, batch);
        let (found, _) = quantiles(&table, &["b", "a"], bins);
        for (quantiles, column) in found.iter().zip([&b, &a]) {
            let cuts = Cuts::of_quantiles(quantiles).unwrap();
            prop_assert_eq!(cuts.points(), naive_cuts(column, bins as usize));
            prop_assert_eq!(quantiles.count as usize, sorted(column).len());
            prop_assert_eq!(quantiles.missing as usize, column.len() - sorted(column).len());
        }
    }

    #[test]
    fn ranges_equal_those_of_the_column(
        values in (0usize..30).prop_flat_map(column),
        partitions in 1usize..5,
    ) {
        let table = Parts::of_numbers(&[("x", values.clone())], partitions, 4);
        let rows = table.fold::<FindRanges>(RangeParams { features: vec!["x".into()] }).unwrap().rows();
        let range = Range::read(&rows, 1).unwrap()[0];
        let sorted = sorted(&values);
        prop_assert_eq!(range.count as usize, sorted.len());
        prop_assert_eq!(range.missing as usize, values.len() - sorted.len());
        prop_assert_eq!(Some(&range.min), sorted.first().or(Some(&f64::INFINITY)));
        prop_assert_eq!(Some(&range.max), sorted.last().or(Some(&f64::NEG_INFINITY)));
    }
}

/// More distinct values than a summary holds, in several shapes and orders.
#[test]
fn two_passes_are_exact_beyond_what_a_summary_holds() {
    const ROWS: usize = 150_000;
    let mut rng = ChaCha12Rng::seed_from_u64(11);
    let rising: Vec<f64> = (0..ROWS).map(|i| i as f64).collect();
    let mut shuffled = rising.clone();
    shuffled.shuffle(&mut rng);
    let skewed: Vec<f64> = (0..ROWS).map(|_| rng.random::<f64>().powi(9)).collect();
    let half_zero: Vec<f64> = (0..ROWS).map(|_| (rng.random::<f64>() - 0.5).max(0.0)).collect();
    let names = ["rising", "shuffled", "skewed", "half_zero"];
    let columns = [rising, shuffled, skewed, half_zero].map(|c| c.into_iter().map(Some).collect::<Column>());
    let named: Vec<(&str, Column)> = names.into_iter().zip(columns.clone()).collect();
    for (partitions, bins) in [(1, 10), (3, 10), (7, 100)] {
        let table = Parts::of_numbers(&named, partitions, 8_192);
        let (found, twice) = quantiles(&table, &names, bins);
        assert!(twice, "the first pass cannot be exact");
        for ((quantiles, column), name) in found.iter().zip(&columns).zip(names) {
            let cuts = Cuts::of_quantiles(quantiles).unwrap();
            assert_eq!(cuts.points(), naive_cuts(column, bins as usize), "{name} in {partitions}");
        }
    }
}

#[test]
fn the_first_pass_alone_is_within_a_thousandth() {
    const ROWS: usize = 400_000;
    let mut rng = ChaCha12Rng::seed_from_u64(12);
    let column: Column = (0..ROWS).map(|_| Some(rng.random())).collect();
    let sorted = sorted(&column);
    let table = Parts::of_numbers(&[("x", column)], 2, 8_192);
    let quantiles = &pass(&table, &["x".into()], 10, None)[0];
    assert!(!quantiles.are_exact());
    for (k, bracket) in (1..).zip(&quantiles.brackets) {
        let rank = |value: f64| sorted.partition_point(|v| *v <= value) as i64;
        let wanted = (k * ROWS / 10) as i64;
        assert!((rank(bracket.hi) - wanted).abs() <= ROWS as i64 / 1_000, "{k}: {bracket:?}");
    }
}

#[test]
fn infinite_values_and_columns_without_numbers_are_refused() {
    let table = Parts::of_numbers(&[("x", vec![Some(1.0), Some(f64::INFINITY), None])], 1, 8);
    let params = SketchParams { features: vec!["x".into()], focus: None };
    let error = table.fold::<SketchFeatures>(params).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("1 infinite"), "{error}");
    let missing = SketchParams { features: vec!["y".into()], focus: None };
    assert!(table.fold::<SketchFeatures>(missing).is_err());
}

fn categories(values: &[f64], partitions: usize) -> tributary_core::Result<Vec<Cuts>> {
    let table = Parts::of_numbers(&[("c", values.iter().copied().map(Some).collect())], partitions, 64);
    let features = vec!["c".to_string()];
    let rows = table.fold::<SketchFeatures>(SketchParams { features: features.clone(), focus: None })?.rows();
    Cuts::of_categories(&rows, &features)
}

#[test]
fn every_category_is_a_bin() {
    let cuts = &categories(&[3.0, -1.0, 3.0, 7.0, -0.0, 0.0], 3).unwrap()[0];
    assert_eq!(cuts.points(), [-1.0, 0.0, 3.0, 7.0]);
    assert_eq!(cuts.bin_of(Some(3.0)), 2);
}

#[test]
fn categories_that_are_too_many_or_no_integers_are_refused() {
    let many: Vec<f64> = (0..=Cuts::MAX_CATEGORIES).map(|i| i as f64).collect();
    let error = categories(&many, 2).unwrap_err();
    assert!(error.to_string().contains("more than 4096 different values"), "{error}");
    let far_too_many: Vec<f64> = (0..40_000).map(f64::from).collect();
    assert!(categories(&far_too_many, 1).is_err());
    assert!(categories(&[1.0, 2.5], 1).unwrap_err().to_string().contains("not integers"));
}
