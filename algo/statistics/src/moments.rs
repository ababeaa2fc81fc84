//! Count, extremes and the first four central moments of columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, PartContext};
use tributary_core::numbers::{number_column, numbers, present};
use tributary_core::{Error, Field, KeyType, Result, TableSchema};

/// Whether a moment is of the values, or an estimate of the population's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bias {
    /// Of the values themselves.
    Keep,
    /// Corrected for the number of values.
    Correct,
}

/// What is known of one column. Without values, extremes are infinite and whatever divides by their number is not a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Values that are not missing.
    pub count: u64,
    /// Missing values.
    pub missing: u64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    mean: f64,
    /// Sums of powers of the distance from the mean: the second, third and fourth.
    powers: [f64; 3],
}

impl Default for Moments {
    fn default() -> Self {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { count: 0, missing: 0, min, max, mean: 0.0, powers: [0.0; 3] }
    }
}

impl Moments {
    /// Of values, in two passes over them: they are a batch, and in cache.
    fn of(values: &Float64Array) -> Self {
        let mut found = Self::default();
        let mut sum = 0.0;
        for value in present(values) {
            found.count += 1;
            found.min = found.min.min(value);
            found.max = found.max.max(value);
            sum += value;
        }
        found.missing = values.len() as u64 - found.count;
        if found.count > 0 {
            found.mean = sum / found.count as f64;
            let mut rest = 0.0;
            for distance in present(values).map(|value| value - found.mean) {
                let square = distance * distance;
                rest += distance;
                found.powers[0] += square;
                found.powers[1] += square * distance;
                found.powers[2] += square * square;
            }
            // What rounding left of the first moment.
            found.powers[0] -= rest * rest / found.count as f64;
        }
        found
    }

    /// Of the values of both.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let (a, b) = (self.count as f64, other.count as f64);
        let n = a + b;
        let mut all = Self {
            count: self.count + other.count,
            missing: self.missing + other.missing,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            ..self
        };
        if other.count == 0 {
            return all;
        }
        let delta = other.mean - self.mean;
        let part = delta / n;
        let ([a2, a3, a4], [b2, b3, b4]) = (self.powers, other.powers);
        all.mean = self.mean + b * part;
        all.powers = [
            a2 + b2 + delta * part * a * b,
            a3 + b3 + delta * part * part * a * b * (a - b) + 3.0 * part * (a * b2 - b * a2),
            a4 + b4
                + delta * part * part * part * a * b * (a * a - a * b + b * b)
                + 6.0 * part * part * (a * a * b2 + b * b * a2)
                + 4.0 * part * (a * b3 - b * a3),
        ];
        all
    }

    /// All values together.
    pub fn sum(&self) -> f64 {
        self.mean() * self.count as f64
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.mean }
    }

    /// The variance, of `count` − `ddof` values.
    pub fn variance(&self, ddof: u64) -> f64 {
        match self.count.checked_sub(ddof) {
            None | Some(0) => f64::NAN,
            Some(freedom) => self.powers[0] / freedom as f64,
        }
    }

    /// The standard deviation.
    pub fn deviation(&self, ddof: u64) -> f64 {
        self.variance(ddof).sqrt()
    }

    /// The share of missing values.
    pub fn missing_ratio(&self) -> f64 {
        self.missing as f64 / (self.missing + self.count) as f64
    }

    /// How lopsided values are: the third moment over the deviation's cube; 0 for values that are all equal.
    pub fn skewness(&self, bias: Bias) -> f64 {
        let n = self.count as f64;
        let [m2, m3, _] = self.powers.map(|sum| sum / n);
        let skewness = if m2 == 0.0 { 0.0 } else { m3 / (m2 * m2.sqrt()) };
        match bias {
            Bias::Keep => skewness,
            Bias::Correct => skewness * (n * (n - 1.0)).sqrt() / (n - 2.0),
        }
    }

    /// How heavy tails are beside a normal distribution's: the fourth moment over the variance's square, less 3; 0 for values
    /// that are all equal.
    pub fn kurtosis(&self, bias: Bias) -> f64 {
        let n = self.count as f64;
        let [m2, _, m4] = self.powers.map(|sum| sum / n);
        if m2 == 0.0 {
            return 0.0;
        }
        let kurtosis = m4 / (m2 * m2) - 3.0;
        match bias {
            Bias::Keep => kurtosis,
            Bias::Correct => (n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * kurtosis + 6.0),
        }
    }

    /// The rows of [`TakeMoments`], by column. Errors: `Bug` for rows of other columns.
    pub fn read(rows: &[RecordBatch], columns: usize) -> Result<Vec<Self>> {
        let mut all = vec![Self::default(); columns];
        for rows in rows {
            schema()?.check(rows)?;
            let [column, count, missing] = [0, 1, 2].map(|i| rows.column(i).as_primitive::<UInt64Type>());
            let values = [3, 4, 5, 6, 7, 8].map(|i| rows.column(i).as_primitive::<Float64Type>());
            for row in 0..rows.num_rows() {
                let place = all.get_mut(column.value(row) as usize);
                let place = place.ok_or_else(|| Error::bug("moments of an unexpected column"))?;
                let [min, max, mean, a, b, c] = values.map(|values| values.value(row));
                let (count, missing) = (count.value(row), missing.value(row));
                *place = place.merge(Self { count, missing, min, max, mean, powers: [a, b, c] });
            }
        }
        Ok(all)
    }
}

/// Parameters of [`TakeMoments`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MomentParams {
    /// Columns of numbers.
    pub columns: Vec<String>,
}

/// Kernel `statistics.moments`: a partition becomes one row a column; read and merged by [`Moments::read`].
///
/// Errors: `InvalidInput` for infinite values.
#[derive(Debug)]
pub struct TakeMoments {
    columns: Vec<(String, usize)>,
}

fn schema() -> Result<TableSchema> {
    let counts = ["count", "missing"].map(|name| Field::new(name, DataType::UInt64));
    let values = ["min", "max", "mean", "second", "third", "fourth"];
    let values = values.map(|name| Field::new(name, DataType::Float64));
    TableSchema::keyed("column", KeyType::UInt64, counts.into_iter().chain(values).collect())
}

impl FoldKernel for TakeMoments {
    type Params = MomentParams;
    type State = Vec<Moments>;
    const NAME: &'static str = "statistics.moments";

    fn output(params: &MomentParams, input: &TableSchema) -> Result<TableSchema> {
        params.columns.iter().try_for_each(|name| number_column(name, input).map(drop))?;
        schema()
    }

    fn open(params: MomentParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let open = |name: String| Ok((name.clone(), number_column(&name, input)?));
        Ok(Self { columns: params.columns.into_iter().map(open).collect::<Result<_>>()? })
    }

    fn start(&self, _: PartContext) -> Result<Vec<Moments>> {
        Ok(vec![Moments::default(); self.columns.len()])
    }

    fn fold(&self, moments: &mut Vec<Moments>, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        for (moments, (name, column)) in moments.iter_mut().zip(&self.columns) {
            let found = Moments::of(&numbers(rows, *column)?);
            if found.count > 0 && !(found.min.is_finite() && found.max.is_finite()) {
                return Err(Error::invalid(format!(
                    "column {name:?} has infinite values; replace them first"
                )));
            }
            *moments = moments.merge(found);
        }
        Ok(())
    }

    fn finish(&self, moments: Vec<Moments>, out: &mut dyn Emit) -> Result<()> {
        let counts = |of: fn(&Moments) -> u64| {
            Arc::new(UInt64Array::from_iter_values(moments.iter().map(of))) as ArrayRef
        };
        let values = |of: fn(&Moments) -> f64| {
            Arc::new(Float64Array::from_iter_values(moments.iter().map(of))) as ArrayRef
        };
        out.emit(schema()?.batch(vec![
            Arc::new(UInt64Array::from_iter_values(0..moments.len() as u64)),
            counts(|m| m.count),
            counts(|m| m.missing),
            values(|m| m.min),
            values(|m| m.max),
            values(|m| m.mean),
            values(|m| m.powers[0]),
            values(|m| m.powers[1]),
            values(|m| m.powers[2]),
        ])?)
    }
}
