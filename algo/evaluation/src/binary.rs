//! Metrics of two classes, by the names and in the tables of FATE, from [`Ranked`] scores.
//!
//! A row is predicted positive if its score is *above* the threshold. Tables have a row for each hundredth: of the rows
//! (`confusion_matrix`, `ks_table`), or of the distinct scores (the others), from the highest score down; `fscore_table` for
//! each hundredth from 0 as a threshold. Ratios of nothing are what scikit-learn gives: 0, but for a precision above all
//! scores, which is 1, as at the end of its curves; a metric that one class leaves undefined is not a number.

use crate::ranked::{Class, Found, Ranked, Wanted};
use tributary_core::Result;

/// Rows of a table.
const STEPS: u64 = 100;

/// The threshold of metrics that have only one.
const THRESHOLD: f64 = 0.5;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Area under the ROC curve.
    Auc,
    /// Kolmogorov and Smirnov's statistic, with its table.
    Ks,
    /// Confusion counts by hundredths of rows.
    ConfusionMatrix,
    /// Cumulative gain, of label 0 and of label 1.
    Gain,
    /// Lift over a random choice, of label 0 and of label 1.
    Lift,
    /// Precision by threshold.
    BiclassPrecisionTable,
    /// Recall by threshold.
    BiclassRecallTable,
    /// Accuracy by threshold.
    BiclassAccuracyTable,
    /// F1 by threshold.
    FscoreTable,
    /// Accuracy at threshold 0.5.
    BinaryAccuracy,
    /// Recall at threshold 0.5.
    BinaryRecall,
    /// Precision at threshold 0.5.
    BinaryPrecision,
    /// F1 at threshold 0.5.
    BinaryF1Score,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Measured {
    /// A number.
    Number(&'static str, f64),
    /// Columns of one length.
    Table(&'static str, Vec<(&'static str, Column)>),
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// A number in each row.
    Numbers(Vec<f64>),
    /// A count in each row.
    Counts(Vec<u64>),
    /// A number of label 0 and one of label 1.
    ByLabel(Vec<[f64; 2]>),
    /// Text.
    Texts(Vec<String>),
}

/// The confusion counts of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confusion {
    /// Positive rows that are predicted positive.
    pub tp: u64,
    /// Negative rows that are predicted positive.
    pub fp: u64,
    /// Positive rows that are predicted negative.
    pub fn_: u64,
    /// Negative rows that are predicted negative.
    pub tn: u64,
}

impl Confusion {
    /// With these rows above the threshold.
    pub fn new(above: Class, all: Class) -> Self {
        let below = all.without(above);
        Self { tp: above.positives, fp: above.negatives, fn_: below.positives, tn: below.negatives }
    }

    fn rows(self) -> u64 {
        self.tp + self.fp + self.fn_ + self.tn
    }

    fn accuracy(self) -> f64 {
        ratio(self.tp + self.tn, self.rows(), 0.0)
    }

    fn recall(self) -> f64 {
        ratio(self.tp, self.tp + self.fn_, 0.0)
    }

    fn precision(self, of_nothing: f64) -> f64 {
        ratio(self.tp, self.tp + self.fp, of_nothing)
    }

    fn f1(self) -> f64 {
        ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn_, 0.0)
    }

    /// As seen from label 0.
    fn turned(self) -> Self {
        Self { tp: self.tn, tn: self.tp, fp: self.fn_, fn_: self.fp }
    }

    /// Of all rows, the share that is predicted positive.
    fn share(self) -> f64 {
        ratio(self.tp + self.fp, self.rows(), 1.0)
    }

    fn lift(self) -> f64 {
        self.precision(1.0) / ratio(self.tp + self.fn_, self.rows(), 1.0)
    }

    fn gain(self) -> f64 {
        ratio(self.tp, self.tp + self.fn_, 1.0)
    }

    /// A quantity of label 0 and of label 1.
    fn both(self, of: fn(Self) -> f64) -> [f64; 2] {
        [of(self.turned()), of(self)]
    }
}

fn ratio(part: u64, of: u64, otherwise: f64) -> f64 {
    if of == 0 { otherwise } else { part as f64 / of as f64 }
}

/// Thresholds with their confusion counts and the share of rows or scores that is above.
struct Steps {
    thresholds: Vec<f64>,
    cuts: Vec<f64>,
    counts: Vec<Confusion>,
}

impl Steps {
    fn new(found: &[Found], all: Class) -> Self {
        Self {
            thresholds: found.iter().map(|found| found.score).collect(),
            cuts: hundredths(),
            counts: found.iter().map(|found| Confusion::new(found.above, all)).collect(),
        }
    }

    /// And one below all scores.
    fn to_the_end(&self, ranked: &Ranked) -> Self {
        let (mut thresholds, mut cuts, mut counts) =
            (self.thresholds.clone(), self.cuts.clone(), self.counts.clone());
        thresholds.push(ranked.lowest() - 0.001);
        cuts.push(1.0);
        counts.push(Confusion::new(ranked.all(), ranked.all()));
        Self { thresholds, cuts, counts }
    }

    fn column(&self, of: impl Fn(Confusion) -> f64) -> Column {
        Column::Numbers(self.counts.iter().map(|counts| of(*counts)).collect())
    }

    fn counts(&self, of: fn(Confusion) -> u64) -> Column {
        Column::Counts(self.counts.iter().map(|counts| of(*counts)).collect())
    }

    fn by_label(&self, of: fn(Confusion) -> f64) -> Column {
        Column::ByLabel(self.counts.iter().map(|counts| counts.both(of)).collect())
    }

    fn table(&self, metric: &'static str, columns: Vec<(&'static str, Column)>) -> Measured {
        let mut columns = columns;
        columns.push(("threshold", Column::Numbers(self.thresholds.clone())));
        columns.push(("cuts", Column::Numbers(self.cuts.clone())));
        Measured::Table(metric, columns)
    }
}

fn hundredths() -> Vec<f64> {
    (0..STEPS).map(|step| step as f64 / STEPS as f64).collect()
}

/// The rank at a hundredth of `count`.
fn rank(step: u64, count: u64) -> u64 {
    (u128::from(step) * u128::from(count) / u128::from(STEPS)) as u64
}

/// Measures metrics, in their order; [`Metric::Ks`] gives two, together. Cost: one look-up in the sorted scores.
pub async fn measure(ranked: &Ranked, metrics: &[Metric]) -> Result<Vec<Vec<Measured>>> {
    let rows = (0..STEPS).map(|step| Wanted::Row(rank(step, ranked.all().rows())));
    let scores = (0..STEPS).map(|step| Wanted::Distinct(rank(step, ranked.distinct())));
    let fixed = hundredths().into_iter().map(Wanted::Score);
    let wanted: Vec<Wanted> = rows.chain(scores).chain(fixed).chain([Wanted::Score(THRESHOLD)]).collect();
    let needs_nothing = metrics.iter().all(|metric| *metric == Metric::Auc);
    if needs_nothing {
        return Ok(metrics.iter().map(|_| vec![Measured::Number("auc", ranked.auc())]).collect());
    }
    let found = ranked.look_up(&wanted).await?;
    let step = STEPS as usize;
    let all = ranked.all();
    let thresholds = Thresholds {
        by_row: Steps::new(&found[..step], all),
        by_score: Steps::new(&found[step..2 * step], all),
        fixed: Steps::new(&found[2 * step..3 * step], all),
        half: Confusion::new(found[3 * step].above, all),
    };
    Ok(metrics.iter().map(|metric| thresholds.measure(ranked, *metric)).collect())
}

struct Thresholds {
    by_row: Steps,
    by_score: Steps,
    fixed: Steps,
    half: Confusion,
}

impl Thresholds {
    fn measure(&self, ranked: &Ranked, metric: Metric) -> Vec<Measured> {
        let number = |name, value| vec![Measured::Number(name, value)];
        let half = self.half;
        match metric {
            Metric::Auc => number("auc", ranked.auc()),
            Metric::BinaryAccuracy => number("binary_accuracy", half.accuracy()),
            Metric::BinaryRecall => number("binary_recall", half.recall()),
            Metric::BinaryPrecision => number("binary_precision", half.precision(0.0)),
            Metric::BinaryF1Score => number("binary_f1_score", half.f1()),
            Metric::Ks => {
                let ks = ranked.ks().map_or(f64::NAN, |ks| ks.value);
                vec![Measured::Number("ks", ks), self.ks_table(ranked.all())]
            }
            other => vec![self.table(ranked, other)],
        }
    }

    fn table(&self, ranked: &Ranked, metric: Metric) -> Measured {
        let scores = &self.by_score;
        match metric {
            Metric::ConfusionMatrix => self.by_row.table(
                "confusion_matrix",
                vec![
                    ("tp", self.by_row.counts(|c| c.tp)),
                    ("tn", self.by_row.counts(|c| c.tn)),
                    ("fp", self.by_row.counts(|c| c.fp)),
                    ("fn", self.by_row.counts(|c| c.fn_)),
                ],
            ),
            Metric::Gain => without_cuts(scores.table(
                "gain",
                vec![
                    ("gainx", scores.by_label(Confusion::share)),
                    ("gainy", scores.by_label(Confusion::gain)),
                ],
            )),
            Metric::Lift => without_cuts(scores.table(
                "lift",
                vec![
                    ("liftx", scores.by_label(Confusion::share)),
                    ("lifty", scores.by_label(Confusion::lift)),
                ],
            )),
            Metric::BiclassPrecisionTable => {
                let scores = scores.to_the_end(ranked);
                scores.table("biclass_precision_table", vec![("p", scores.column(|c| c.precision(1.0)))])
            }
            Metric::BiclassRecallTable => {
                let scores = scores.to_the_end(ranked);
                scores.table("biclass_recall_table", vec![("r", scores.column(Confusion::recall))])
            }
            Metric::BiclassAccuracyTable => {
                scores.table("biclass_accuracy_table", vec![("accuracy", scores.column(Confusion::accuracy))])
            }
            _ => self.fixed.table("fscore_table", vec![("f_score", self.fixed.column(Confusion::f1))]),
        }
    }

    /// Shares of either class above each hundredth of rows, and the end of both curves.
    fn ks_table(&self, all: Class) -> Measured {
        let share = |part: fn(Confusion) -> u64, of: u64| {
            let shares = self.by_row.counts.iter().map(|counts| ratio(part(*counts), of, f64::NAN));
            Column::Numbers(shares.chain([ratio(of, of, f64::NAN)]).collect())
        };
        let ended = |values: &[f64], end: f64| Column::Numbers([values, &[end]].concat());
        Measured::Table(
            "ks_table",
            vec![
                ("tpr", share(|counts| counts.tp, all.positives)),
                ("fpr", share(|counts| counts.fp, all.negatives)),
                ("threshold", ended(&self.by_row.thresholds, 0.0)),
                ("cuts", ended(&self.by_row.cuts, 1.0)),
            ],
        )
    }
}

/// As FATE has gain and lift.
fn without_cuts(measured: Measured) -> Measured {
    match measured {
        Measured::Table(metric, mut columns) => {
            columns.retain(|(name, _)| *name != "cuts");
            Measured::Table(metric, columns)
        }
        number => number,
    }
}
