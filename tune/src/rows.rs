//! The tables that are measured: a `UInt64` key and an `Int64` value, 8 bytes each, made as they are needed.
//!
//! Row i is a function of i, so every run, engine and number of partitions gets the same rows. Keys are distinct and in no order:
//! i goes through a permutation of 64 bits.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use futures::{StreamExt, stream};
use tributary_core::computing::RowStream;
use tributary_core::schema::Purpose;
use tributary_core::{Field, KeyType, Result, TableSchema};

const BATCH_ROWS: u64 = 1 << 16;
/// Keeps values apart from keys.
const VALUE_SEED: u64 = 0x5eed_0001;
/// Keeps labels apart from values.
const LABEL_SEED: u64 = 0x5eed_0002;
/// Values lie between its half and minus its half: sums of 10¹¹ of them fit 64 bits.
const VALUES: u64 = 1_000_000;

/// The column of values.
pub(crate) const VALUE: &str = "x";

/// Which columns a table has beside its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Columns {
    /// [`VALUE`].
    Value,
    /// [`VALUE`], and a label that it predicts to some extent.
    Labelled,
}

impl Columns {
    pub(crate) fn schema(self) -> Result<TableSchema> {
        let mut fields = vec![Field::new(VALUE, DataType::Int64)];
        if self == Self::Labelled {
            fields.push(Field::new("y", DataType::Int64).purpose(Purpose::Label));
        }
        TableSchema::keyed("id", KeyType::UInt64, fields)
    }

    fn batch(self, schema: &TableSchema, numbers: impl Iterator<Item = u64> + Clone) -> Result<RecordBatch> {
        let keys: ArrayRef = Arc::new(numbers.clone().map(scattered).collect::<UInt64Array>());
        let values: ArrayRef = Arc::new(numbers.clone().map(value).collect::<Int64Array>());
        let mut columns = vec![keys, values];
        if self == Self::Labelled {
            columns.push(Arc::new(numbers.map(label).collect::<Int64Array>()));
        }
        schema.batch(columns)
    }
}

/// Rows 0 to `rows`, beginning with row `first`: the same keys in another order for another `first`.
pub(crate) fn source(columns: Columns, rows: u64, first: u64) -> Result<(TableSchema, RowStream)> {
    let schema = columns.schema()?;
    let own = schema.clone();
    let batches = stream::unfold(0, move |start| {
        let schema = own.clone();
        async move {
            if start >= rows {
                return None;
            }
            let end = rows.min(start + BATCH_ROWS);
            breathe().await;
            Some((columns.batch(&schema, turned(start..end, first, rows)), end))
        }
    });
    Ok((schema, batches.boxed()))
}

fn turned(numbers: Range<u64>, first: u64, rows: u64) -> impl Iterator<Item = u64> + Clone {
    numbers.map(move |i| (i + first) % rows)
}

/// Lets the polling task look at something else: rows that are always ready would hold up a Ctrl-C until the last.
async fn breathe() {
    let mut breathed = false;
    poll_fn(|context| {
        if std::mem::replace(&mut breathed, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A permutation of 64 bits that leaves no order: the last step of the generator splitmix64 (Steele et al., 2014).
fn scattered(i: u64) -> u64 {
    let i = (i ^ (i >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let i = (i ^ (i >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    i ^ (i >> 31)
}

fn value(i: u64) -> i64 {
    (scattered(i ^ VALUE_SEED) % VALUES) as i64 - (VALUES / 2) as i64
}

fn label(i: u64) -> i64 {
    let noise = (scattered(i ^ LABEL_SEED) % VALUES) as i64 - (VALUES / 2) as i64;
    i64::from(value(i) + noise > 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, UInt64Type};
    use futures::TryStreamExt;
    use futures::executor::block_on;

    use super::*;

    fn collect(columns: Columns, rows: u64, first: u64) -> Vec<RecordBatch> {
        block_on(source(columns, rows, first).unwrap().1.try_collect()).unwrap()
    }

    fn keys(batches: &[RecordBatch]) -> Vec<u64> {
        batches.iter().flat_map(|b| b.column(0).as_primitive::<UInt64Type>().values().to_vec()).collect()
    }

    #[test]
    fn keys_are_distinct_and_the_same_in_any_order() {
        let rows = BATCH_ROWS + 5;
        let (a, b) = (keys(&collect(Columns::Value, rows, 0)), keys(&collect(Columns::Value, rows, 77)));
        assert_ne!(a, b);
        let distinct = |keys: &[u64]| keys.iter().copied().collect::<BTreeSet<u64>>();
        assert_eq!(distinct(&a).len() as u64, rows);
        assert_eq!(distinct(&a), distinct(&b));
    }

    /// Results of different versions can only be compared if the rows stay what they are.
    #[test]
    fn rows_are_fixed() {
        let rows = collect(Columns::Labelled, 3, 0);
        assert_eq!(keys(&rows), [0, 6_238_072_747_940_578_789, 15_839_785_061_582_574_730]);
        let column = |i: usize| rows[0].column(i).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(column(1), [-301_157, -372_852, 75_641]);
        assert_eq!(column(2), [0, 0, 0]);
    }

    #[test]
    fn about_half_of_the_values_are_positive_and_the_label_follows_them() {
        let rows = 20_000;
        let positive = (0..rows).filter(|i| value(*i) >= 0).count() as f64 / rows as f64;
        let agree = (0..rows).filter(|i| (value(*i) > 0) == (label(*i) == 1)).count() as f64 / rows as f64;
        assert!((0.48..0.52).contains(&positive), "{positive}");
        assert!((0.70..0.80).contains(&agree), "{agree}");
    }
}
