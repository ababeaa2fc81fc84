//! Which partition a row goes to is ours, not the shuffle's.
//!
//! The shuffle sends a row where its own hash of some columns says, and that hash may change with a release. So it is given one
//! `UInt32` column whose values we choose: value vₚ is one that its hash sends to partition p.

use std::sync::Arc;

use arrow_array::{ArrayRef, UInt32Array};
use datafusion::common::hash_utils::create_hashes;
use datafusion::physical_plan::repartition::REPARTITION_RANDOM_STATE;
use tributary_core::error::{Error, Result};

/// Values tried at once.
const CHUNK: u32 = 4096;

/// A value for each of `partitions` partitions. Found by trying: about n·ln n values.
pub(crate) fn routes(partitions: u32) -> Result<Vec<u32>> {
    let mut found: Vec<Option<u32>> = vec![None; partitions as usize];
    let mut missing = partitions;
    let mut first = 0u32;
    while missing > 0 {
        let values: ArrayRef = Arc::new(UInt32Array::from_iter_values(first..first + CHUNK));
        let mut hashes = vec![0u64; CHUNK as usize];
        create_hashes([&values], REPARTITION_RANDOM_STATE.random_state(), &mut hashes)
            .map_err(|e| Error::bug("hash routing values").because(e.to_string()))?;
        for (value, hash) in (first..).zip(&hashes) {
            let slot = &mut found[(hash % u64::from(partitions)) as usize];
            if slot.is_none() {
                *slot = Some(value);
                missing -= 1;
            }
        }
        first = first.checked_add(CHUNK).ok_or_else(|| Error::bug("no routing values are left"))?;
    }
    Ok(found.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the shuffle does with a value, by its own public face.
    fn partition_of(value: u32, partitions: usize) -> usize {
        use arrow_array::RecordBatch;
        use datafusion::physical_expr::expressions::Column;
        use datafusion::physical_plan::metrics::Time;
        use datafusion::physical_plan::repartition::BatchPartitioner;

        let column: ArrayRef = Arc::new(UInt32Array::from(vec![value]));
        let batch = RecordBatch::try_from_iter([("route", column)]).unwrap();
        let expressions = vec![Arc::new(Column::new("route", 0)) as _];
        let mut partitioner =
            BatchPartitioner::new_hash_partitioner(expressions, partitions, Time::default()).unwrap();
        let mut reached = Vec::new();
        partitioner
            .partition(batch, |partition, rows| {
                reached.extend(std::iter::repeat_n(partition, rows.num_rows()));
                Ok(())
            })
            .unwrap();
        reached[0]
    }

    #[test]
    fn every_partition_has_a_value_that_the_shuffle_sends_there() {
        for partitions in [1, 2, 3, 7, 64, 1000] {
            let routes = routes(partitions).unwrap();
            assert_eq!(routes.len(), partitions as usize);
            for (partition, value) in routes.iter().enumerate() {
                assert_eq!(partition_of(*value, partitions as usize), partition);
            }
        }
    }
}
