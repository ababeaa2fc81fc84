//! Whether the nodes of a level are parts of those above: what a host's limits say about small groups holds only then.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{RecordBatch, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, PartContext};
use tributary_core::{Error, Field, Result, TableSchema};

use crate::columns::{NO_NODE, nodes};

/// Parameters of [`Strays`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StraysParams {
    /// The node above of each node.
    pub parents: Vec<u16>,
}

/// Kernel `boost.strays`: how many rows are in a node and were not in the node above it, or are in none that is known.
///
/// Shape: the node of the level above and that of the level (`UInt16` each) become one row for a partition, with the column `strays` of `UInt64`.
#[derive(Debug)]
pub struct Strays(StraysParams);

fn strays_schema() -> Result<TableSchema> {
    TableSchema::new(None, vec![Field::new("strays", DataType::UInt64)])
}

impl FoldKernel for Strays {
    type Params = StraysParams;
    type State = u64;
    const NAME: &'static str = "boost.strays";

    fn output(_: &StraysParams, input: &TableSchema) -> Result<TableSchema> {
        let fits = input.key().is_none()
            && input.fields().len() == 2
            && input.fields().iter().all(|field| field.data_type == DataType::UInt16 && !field.nullable);
        match fits {
            true => strays_schema(),
            false => Err(Error::invalid(format!("{input:?}, expected the nodes of two levels"))),
        }
    }

    fn open(params: StraysParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Self::output(&params, input).map(|_| Self(params))
    }

    fn start(&self, _: PartContext) -> Result<u64> {
        Ok(0)
    }

    fn fold(&self, strays: &mut u64, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        let is_stray = |(above, node): &(&u16, &u16)| {
            **node != NO_NODE && self.0.parents.get(usize::from(**node)).is_none_or(|parent| parent != *above)
        };
        *strays += nodes(rows, 0).iter().zip(nodes(rows, 1)).filter(is_stray).count() as u64;
        Ok(())
    }

    fn finish(&self, strays: u64, out: &mut dyn Emit) -> Result<()> {
        out.emit(strays_schema()?.batch(vec![Arc::new(UInt64Array::from(vec![strays]))])?)
    }
}

impl Strays {
    /// Of all partitions.
    pub fn total(rows: &[RecordBatch]) -> Result<u64> {
        rows.iter().try_fold(0u64, |total, batch| {
            strays_schema()?.check(batch)?;
            Ok(total + batch.column(0).as_primitive::<UInt64Type>().values().iter().sum::<u64>())
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::UInt16Array;

    use super::*;

    #[test]
    fn rows_that_were_elsewhere_or_are_in_an_unknown_node_are_counted() {
        let column = |name: &str| Field::new(name, DataType::UInt16);
        let schema = TableSchema::new(None, vec![column("above"), column("node")]).unwrap();
        let strays = |above: Vec<u16>, node: Vec<u16>| {
            let rows = schema
                .batch(vec![Arc::new(UInt16Array::from(above)), Arc::new(UInt16Array::from(node))])
                .unwrap();
            let kernel = Strays::open(StraysParams { parents: vec![0, 0, 2] }, &schema, &[]).unwrap();
            let (mut state, mut out) = (0, Vec::new());
            kernel.fold(&mut state, &rows, &mut out).unwrap();
            kernel.finish(state, &mut out).unwrap();
            Strays::total(&out).unwrap()
        };
        assert_eq!(strays(vec![0, 0, 2, 1, NO_NODE], vec![0, 1, 2, NO_NODE, NO_NODE]), 0);
        assert_eq!(strays(vec![1, NO_NODE, 0, 2], vec![0, 1, 2, 3]), 4);
        assert!(Strays::open(StraysParams { parents: vec![] }, &column_only(), &[]).is_err());
    }

    fn column_only() -> TableSchema {
        TableSchema::new(None, vec![Field::new("above", DataType::UInt16)]).unwrap()
    }
}
