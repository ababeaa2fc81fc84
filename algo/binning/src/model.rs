//! The model that binning leaves, as JSON with FATE's keys.
//!
//! Numbers of a bin are stored under its name: its number as text, `missing` for the bin of missing values, and for a
//! categorical column the category. `split_pt_dict` is what the parameter of that name takes, so cut points of one job
//! can be given to the next. What is read is checked: a model may come from anywhere.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tributary_core::{Error, Result};

use crate::cuts::Cuts;
use crate::metrics::FeatureMetrics;

/// Name of the bin of missing values.
pub const MISSING: &str = "missing";

/// How cut points were chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Equal numbers of rows.
    Quantile,
    /// Equal widths.
    Bucket,
    /// Given.
    Manual,
}

/// A number for each bin, in order, under the bin's name.
#[derive(Debug, Clone, PartialEq)]
pub struct ByBin<T>(Vec<(String, T)>);

impl<T> ByBin<T> {
    /// For the bins of cut points, and one for missing values if there is one value more than bins.
    pub fn numbered(values: impl IntoIterator<Item = T>, cuts: &Cuts) -> Self {
        let name = |bin: usize| if bin < cuts.bins() { bin.to_string() } else { MISSING.into() };
        Self(values.into_iter().enumerate().map(|(bin, value)| (name(bin), value)).collect())
    }

    /// For categories of these names, in order.
    pub fn categories(values: impl IntoIterator<Item = T>, names: &[String]) -> Self {
        let names = names.iter().cloned().chain([MISSING.into()]);
        Self(names.zip(values).collect())
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<T: Serialize> Serialize for ByBin<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByBin<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Bins(PhantomData))
    }
}

/// Reads bins in any order, since some programs lose the order of JSON maps: numbers ascending, then categories of text
/// in the given order, then the missing one.
struct Bins<T>(PhantomData<T>);

fn by_name<T>(a: &(String, T), b: &(String, T)) -> Ordering {
    let number =
        |name: &str| name.parse().ok().filter(|number: &f64| number.is_finite()).unwrap_or(f64::INFINITY);
    (a.0 == MISSING).cmp(&(b.0 == MISSING)).then_with(|| number(&a.0).total_cmp(&number(&b.0)))
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bins<T> {
    type Value = ByBin<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a map from at most {} bins to numbers", Cuts::MAX_BINS + 1)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByBin<T>, A::Error> {
        let mut bins = Vec::new();
        while let Some(bin) = map.next_entry()? {
            bins.push(bin);
            if bins.len() > Cuts::MAX_BINS + 1 {
                return Err(serde::de::Error::invalid_length(bins.len(), &self));
            }
        }
        bins.sort_by(by_name);
        Ok(ByBin(bins))
    }
}

/// Something for each column.
pub type ByColumn<T> = BTreeMap<String, T>;

/// Metrics of a party's columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricsSummary {
    /// Rows with label 1.
    pub event_count: ByColumn<ByBin<u64>>,
    /// Rows with label 0.
    pub non_event_count: ByColumn<ByBin<u64>>,
    /// See [`FeatureMetrics`].
    pub event_rate: ByColumn<ByBin<f64>>,
    /// See [`FeatureMetrics`].
    pub non_event_rate: ByColumn<ByBin<f64>>,
    /// Weight of evidence.
    pub woe: ByColumn<ByBin<f64>>,
    /// Parts of the information value.
    pub iv_array: ByColumn<ByBin<f64>>,
    /// Whether the weight of evidence never falls or never rises.
    pub is_monotonic: ByColumn<bool>,
    /// Information value.
    pub iv: ByColumn<f64>,
}

/// Whether a column was cut into bins or has a bin for each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binned<'a> {
    /// In `bin_col`.
    Cut,
    /// In `category_col`, with the names of its categories.
    ByCategory(&'a [String]),
}

impl MetricsSummary {
    /// Adds a column's metrics.
    pub fn insert(&mut self, column: &str, metrics: &FeatureMetrics, cuts: &Cuts, binned: Binned<'_>) {
        fn add<T: Copy>(
            to: &mut ByColumn<ByBin<T>>,
            column: &str,
            values: &[T],
            cuts: &Cuts,
            binned: Binned<'_>,
        ) {
            let values = values.iter().copied();
            let bins = match binned {
                Binned::Cut => ByBin::numbered(values, cuts),
                Binned::ByCategory(names) => ByBin::categories(values, names),
            };
            to.insert(column.into(), bins);
        }
        add(&mut self.event_count, column, &metrics.event_count, cuts, binned);
        add(&mut self.non_event_count, column, &metrics.non_event_count, cuts, binned);
        add(&mut self.event_rate, column, &metrics.event_rate, cuts, binned);
        add(&mut self.non_event_rate, column, &metrics.non_event_rate, cuts, binned);
        add(&mut self.woe, column, &metrics.woe, cuts, binned);
        add(&mut self.iv_array, column, &metrics.iv_array, cuts, binned);
        self.is_monotonic.insert(column.into(), metrics.is_monotonic);
        self.iv.insert(column.into(), metrics.iv);
    }
}

/// What binning learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ModelParts", into = "ModelParts")]
pub struct Model(ModelParts);

/// The parts of a [`Model`], before they are checked against each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelParts {
    /// How cut points were chosen.
    pub method: Method,
    /// Columns cut into bins, in order.
    pub bin_col: Vec<String>,
    /// Columns with a bin for each value.
    pub category_col: Vec<String>,
    /// What is added to both counts of a bin where one of them is zero.
    pub adjustment_factor: f64,
    /// Cut points of each of `bin_col`.
    pub split_pt_dict: ByColumn<Cuts>,
    /// Number of bins of each of `bin_col`, without that of missing values.
    pub bin_count_dict: ByColumn<usize>,
    /// Weight of evidence of each of `bin_col`, where metrics were computed.
    #[serde(default)]
    pub woe_dict: ByColumn<ByBin<f64>>,
    /// Metrics of the party's own columns, at the guest.
    #[serde(default)]
    pub metrics_summary: Option<MetricsSummary>,
    /// Metrics of other parties' columns under anonymous names, at the guest, by `role_party`.
    #[serde(default)]
    pub host_metrics_summary: BTreeMap<String, MetricsSummary>,
}

impl Model {
    /// Errors: `InvalidInput` if parts contradict each other.
    pub fn new(parts: ModelParts) -> Result<Self> {
        let wrong = |what: String| Err(Error::invalid(format!("a binning model {what}")));
        if !(parts.adjustment_factor.is_finite() && parts.adjustment_factor > 0.0) {
            return wrong(format!(
                "has adjustment factor {}, expected a positive number",
                parts.adjustment_factor
            ));
        }
        for column in &parts.bin_col {
            let Some(cuts) = parts.split_pt_dict.get(column) else {
                return wrong(format!("has no cut points of column {column:?}"));
            };
            if parts.bin_count_dict.get(column) != Some(&cuts.bins()) {
                return wrong(format!("does not count the {} bins of column {column:?}", cuts.bins()));
            }
            if parts.woe_dict.get(column).is_some_and(|woe| !is_numbered(woe, cuts)) {
                return wrong(format!(
                    "has weights of evidence for other bins than those of column {column:?}"
                ));
            }
        }
        Ok(Self(parts))
    }

    /// The parts.
    pub fn parts(&self) -> &ModelParts {
        &self.0
    }

    /// What [`AssignBins`](crate::AssignBins) needs, for each of `bin_col`.
    pub fn cuts(&self) -> impl Iterator<Item = (&str, &Cuts)> {
        self.0.bin_col.iter().filter_map(|name| Some((name.as_str(), self.0.split_pt_dict.get(name)?)))
    }

    /// What [`AssignWoe`](crate::AssignWoe) needs. Errors: `InvalidInput` if a column has no weights of evidence.
    pub fn woe(&self, column: &str) -> Result<Vec<f64>> {
        let found = self.0.woe_dict.get(column).ok_or_else(|| {
            Error::invalid(format!(
                "the binning model has no weight of evidence of column {column:?}; train with metrics"
            ))
        })?;
        Ok(found.iter().map(|(_, woe)| *woe).collect())
    }
}

fn is_numbered(woe: &ByBin<f64>, cuts: &Cuts) -> bool {
    let expected = ByBin::numbered(woe.iter().map(|_| ()), cuts);
    let complete = woe.0.len() == cuts.bins() || woe.0.len() == cuts.bins() + 1;
    complete
        && woe
            .iter()
            .zip(expected.iter())
            .all(|((name, woe), (expected, ()))| name == expected && woe.is_finite())
}

impl TryFrom<ModelParts> for Model {
    type Error = Error;
    fn try_from(parts: ModelParts) -> Result<Self> {
        Self::new(parts)
    }
}

impl From<Model> for ModelParts {
    fn from(model: Model) -> Self {
        model.0
    }
}
