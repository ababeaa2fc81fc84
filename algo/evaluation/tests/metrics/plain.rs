//! Every count against a loop over all rows, on drawn scores with ties.

use futures::executor::block_on;
use proptest::prelude::*;
use tributary_core::ErrorKind;
use tributary_evaluation::binary::{Column, Measured, Metric, measure};
use tributary_evaluation::{Class, Ranked, Wanted, psi};

use super::{PARTITIONS, table};

fn count(rows: &[(f64, bool)], wanted: impl Fn(f64) -> bool) -> Class {
    let rows = rows.iter().filter(|(score, _)| wanted(*score));
    rows.fold(Class::default(), |class, (_, positive)| match positive {
        true => Class { positives: class.positives + 1, ..class },
        false => Class { negatives: class.negatives + 1, ..class },
    })
}

async fn ranked(rows: &[(f64, bool)], partitions: u32) -> Ranked {
    let (scores, labels): (Vec<f64>, Vec<f64>) =
        rows.iter().map(|(score, positive)| (*score, f64::from(u8::from(*positive)))).unzip();
    Ranked::of(&table(&scores, &labels, partitions).await, "score", "label").await.unwrap()
}

fn auc(rows: &[(f64, bool)]) -> f64 {
    let of =
        |class: bool| rows.iter().filter(move |(_, positive)| *positive == class).map(|(score, _)| *score);
    let (mut wins, mut pairs) = (0.0, 0.0);
    for positive in of(true) {
        for negative in of(false) {
            wins +=
                if positive > negative { 1.0 } else { 0.0 } + if positive == negative { 0.5 } else { 0.0 };
            pairs += 1.0;
        }
    }
    wins / pairs
}

fn column<'a>(measured: &'a Measured, wanted: &str) -> &'a Column {
    let Measured::Table(_, columns) = measured else { panic!("{measured:?} is no table") };
    &columns.iter().find(|(name, _)| *name == wanted).unwrap().1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn ranks_and_counts_are_those_of_all_rows(
        drawn in prop::collection::vec((-3i32..40, any::<bool>()), 1..300),
        partitions in prop::sample::select(&PARTITIONS[..]),
    ) {
        let rows: Vec<(f64, bool)> = drawn.iter().map(|(score, class)| (f64::from(*score) / 8.0, *class)).collect();
        let mut sorted: Vec<f64> = rows.iter().map(|(score, _)| *score).collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let mut distinct = sorted.clone();
        distinct.dedup();
        let ranked = block_on(ranked(&rows, partitions));
        prop_assert_eq!(ranked.all(), count(&rows, |_| true));
        prop_assert_eq!(ranked.distinct(), distinct.len() as u64);
        prop_assert_eq!(ranked.lowest(), sorted[sorted.len() - 1]);
        match ranked.has_both_classes() {
            true => prop_assert!((ranked.auc() - auc(&rows)).abs() < 1e-12),
            false => prop_assert!(ranked.auc().is_nan() && ranked.ks().is_none()),
        }
        let mut wanted: Vec<Wanted> = (0..sorted.len() as u64).map(Wanted::Row).collect();
        wanted.extend((0..distinct.len() as u64).map(Wanted::Distinct));
        wanted.extend([-9.0, -0.0, 0.3, 0.5, 4.875, 9.0].map(Wanted::Score));
        let expected = sorted.iter().chain(&distinct).chain(&[-9.0, 0.0, 0.3, 0.5, 4.875, 9.0]);
        for (found, score) in block_on(ranked.look_up(&wanted)).unwrap().iter().zip(expected) {
            prop_assert_eq!(found.score, *score);
            prop_assert_eq!(found.above, count(&rows, |other| other > *score), "above {}", score);
            prop_assert_eq!(found.at, count(&rows, |other| other == *score), "at {}", score);
        }
        prop_assert!(block_on(ranked.look_up(&[Wanted::Row(sorted.len() as u64)])).is_err());
    }
}

fn drawn(rows: u32, shift: u32) -> Vec<(f64, bool)> {
    let score = |row: u32| f64::from((row * 7919 + shift) % 1000) / 1000.0;
    (0..rows).map(|row| (score(row), (row * 31 + shift).is_multiple_of(3))).collect()
}

#[test]
fn every_table_counts_its_thresholds_and_does_not_depend_on_partitions() {
    let all = [
        Metric::Ks,
        Metric::ConfusionMatrix,
        Metric::Gain,
        Metric::Lift,
        Metric::BiclassPrecisionTable,
        Metric::BiclassRecallTable,
        Metric::BiclassAccuracyTable,
        Metric::FscoreTable,
    ];
    let rows = drawn(5_000, 3);
    let measured =
        |partitions: u32| block_on(async { measure(&ranked(&rows, partitions).await, &all).await.unwrap() });
    let first = measured(1);
    for partitions in PARTITIONS {
        assert_eq!(measured(partitions), first, "{partitions} partitions");
    }
    let whole = count(&rows, |_| true);
    for table in first.iter().flatten().filter(|measured| matches!(measured, Measured::Table(..))) {
        let Column::Numbers(thresholds) = column(table, "threshold") else { panic!("{table:?}") };
        let Measured::Table(name, columns) = table else { continue };
        for (at, threshold) in thresholds.iter().enumerate().take(100) {
            let above = count(&rows, |score| score > *threshold);
            let (tp, fp) = (above.positives as f64, above.negatives as f64);
            let (all_p, all_n) = (whole.positives as f64, whole.negatives as f64);
            let expected = match columns[0].0 {
                "tpr" => [tp / all_p; 2],
                "tp" => [tp; 2],
                "gainx" | "liftx" => {
                    let share = (tp + fp) / (all_p + all_n);
                    [1.0 - share, share]
                }
                "p" => [if tp + fp == 0.0 { 1.0 } else { tp / (tp + fp) }; 2],
                "r" => [tp / all_p; 2],
                "accuracy" => [(tp + all_n - fp) / (all_p + all_n); 2],
                "f_score" => [2.0 * tp / (tp + fp + all_p); 2],
                other => panic!("{other}"),
            };
            let found = match &columns[0].1 {
                Column::Numbers(values) => [values[at]; 2],
                Column::Counts(values) => [values[at] as f64; 2],
                Column::ByLabel(values) => values[at],
                Column::Texts(_) => panic!("{name}"),
            };
            assert!(
                (0..2).all(|i| (found[i] - expected[i]).abs() < 1e-12),
                "{name} at {threshold}: {found:?} {expected:?}"
            );
        }
    }
}

#[test]
fn the_stability_index_counts_every_row_of_both_sets() {
    let (earlier, later) =
        (drawn(2_000, 0), drawn(700, 411).into_iter().map(|(s, c)| (s * s * 1.3 - 0.1, c)));
    let later: Vec<(f64, bool)> = later.collect();
    let mut totals = Vec::new();
    for partitions in PARTITIONS {
        let measured = block_on(async {
            let (earlier, later) = (ranked(&earlier, partitions).await, ranked(&later, partitions).await);
            psi::measure(&earlier, &later).await.unwrap()
        });
        let sum = |name: &str| match column(&measured[0], name) {
            Column::Numbers(values) => values.iter().sum::<f64>().round(),
            other => panic!("{other:?}"),
        };
        assert_eq!((sum("expected_interval"), sum("actual_interval")), (2_000.0, 700.0));
        let Measured::Number("total_psi", total) = measured[1] else { panic!("{measured:?}") };
        totals.push(total);
    }
    assert!(totals[0] > 0.1 && totals.iter().all(|total| *total == totals[0]), "{totals:?}");
}

#[test]
fn scores_and_labels_that_say_nothing_are_refused_by_name() {
    let refused = |scores: &[f64], labels: &[f64]| {
        let error = block_on(async { Ranked::of(&table(scores, labels, 2).await, "score", "label").await })
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    };
    assert!(refused(&[0.5, f64::NAN], &[0.0, 1.0]).contains("\"score\" has a row without a score"));
    assert!(refused(&[0.5, f64::INFINITY], &[0.0, 1.0]).contains("infinite"));
    assert!(refused(&[0.5, 0.1], &[0.0, f64::NAN]).contains("\"label\" has a row without a label"));
    assert!(refused(&[0.5, 0.1], &[0.0, 2.0]).contains("must be 0 or 1"));
    assert!(refused(&[], &[]).contains("no rows"));
    let signs =
        block_on(async { Ranked::of(&table(&[0.2, 0.9], &[-1.0, 1.0], 2).await, "score", "label").await });
    assert_eq!(signs.unwrap().auc(), 1.0);
}
