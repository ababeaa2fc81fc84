//! Sums over the bins of a party's own columns, in the clear: of rows, and at the guest of gradients.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Int64Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, PartContext};
use tributary_core::{Error, ErrorKind, Field, Result, TableSchema};

use crate::columns::{Binned, integers, nodes};
use crate::split::Sum;

/// Most cells of a level: nodes times bins.
pub const MAX_CELLS: u64 = 1 << 24;

/// Parameters of [`AddUp`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddUpParams {
    /// The columns.
    pub columns: Binned,
    /// Nodes that are added up, 0 to this; rows of others are passed over.
    pub nodes: u16,
    /// Whether there are gradients.
    pub with_gradients: bool,
}

/// Kernel `boost.add_up`: a partition becomes a row for each bin of each column in each node that has rows.
///
/// Shape: columns of bins, the node (`UInt16`), and with gradients `g` and `h` (`Int64`) become rows (`cell`, `rows`, `g`, `h`); cells are
/// numbered node by node, bin by bin. Errors: `Exhausted` for more than [`MAX_CELLS`].
#[derive(Debug)]
pub struct AddUp {
    params: AddUpParams,
    output: TableSchema,
}

fn cell_schema() -> Result<TableSchema> {
    let (count, number) =
        (|name: &str| Field::new(name, DataType::UInt64), |name: &str| Field::new(name, DataType::Int64));
    TableSchema::new(None, vec![count("cell"), count("rows"), number("g"), number("h")])
}

impl FoldKernel for AddUp {
    type Params = AddUpParams;
    type State = Vec<Sum>;
    const NAME: &'static str = "boost.add_up";

    fn output(params: &AddUpParams, input: &TableSchema) -> Result<TableSchema> {
        let gradients = if params.with_gradients { vec![DataType::Int64; 2] } else { Vec::new() };
        params.columns.expect(input, &[vec![DataType::UInt16], gradients].concat())?;
        cells(&params.columns, usize::from(params.nodes))?;
        cell_schema()
    }

    fn open(params: AddUpParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self { output: Self::output(&params, input)?, params })
    }

    fn start(&self, _: PartContext) -> Result<Vec<Sum>> {
        Ok(vec![Sum::default(); self.params.columns.total() * usize::from(self.params.nodes)])
    }

    fn fold(&self, sums: &mut Vec<Sum>, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        let AddUpParams { columns, nodes: count, with_gradients } = &self.params;
        let (at, total) = (columns.bins.len(), columns.total());
        let nodes = nodes(rows, at);
        let none = vec![0i64; if *with_gradients { 0 } else { rows.num_rows() }];
        let [g, h] = match with_gradients {
            true => [integers(rows, at + 1), integers(rows, at + 2)],
            false => [&none[..], &none[..]],
        };
        for (column, (first, _)) in columns.places().enumerate() {
            let bins = columns.of(rows, column)?;
            for (((bin, node), g), h) in bins.iter().zip(nodes).zip(g).zip(h) {
                if node < count
                    && let Some(sum) = sums.get_mut(usize::from(*node) * total + first + usize::from(*bin))
                {
                    *sum += Sum { g: *g, h: *h, rows: 1 };
                }
            }
        }
        Ok(())
    }

    fn finish(&self, sums: Vec<Sum>, out: &mut dyn Emit) -> Result<()> {
        let present: Vec<(u64, &Sum)> = (0..).zip(&sums).filter(|(_, sum)| sum.rows > 0).collect();
        let count = |of: &dyn Fn(&(u64, &Sum)) -> u64| {
            Arc::new(UInt64Array::from_iter_values(present.iter().map(of)))
        };
        let number =
            |of: &dyn Fn(&(u64, &Sum)) -> i64| Arc::new(Int64Array::from_iter_values(present.iter().map(of)));
        out.emit(self.output.batch(vec![
            count(&|(cell, _)| *cell),
            count(&|(_, sum)| sum.rows),
            number(&|(_, sum)| sum.g),
            number(&|(_, sum)| sum.h),
        ])?)
    }
}

fn cells(columns: &Binned, nodes: usize) -> Result<usize> {
    let cells = columns.total() as u64 * nodes as u64;
    match cells <= MAX_CELLS {
        true => Ok(cells as usize),
        false => Err(Error::new(
            ErrorKind::Exhausted,
            format!(
                "{nodes} nodes of {} bins, at most {MAX_CELLS} together; lower max_depth or max_bin",
                columns.total()
            ),
        )),
    }
}

impl AddUp {
    /// Sums of all bins by node, from the kernel's rows of all partitions.
    pub fn read(rows: &[RecordBatch], columns: &Binned, nodes: usize) -> Result<Vec<Vec<Sum>>> {
        cells(columns, nodes)?;
        let total = columns.total();
        let mut sums = vec![vec![Sum::default(); total]; nodes];
        for batch in rows {
            cell_schema()?.check(batch)?;
            let [cells, counts] = [0, 1].map(|i| batch.column(i).as_primitive::<UInt64Type>().values());
            let [g, h] = [2, 3].map(|i| batch.column(i).as_primitive::<Int64Type>().values());
            for (((cell, rows), g), h) in cells.iter().zip(counts).zip(g).zip(h) {
                let cell = *cell as usize;
                let node = cell.checked_div(total).and_then(|node| sums.get_mut(node));
                let sum = node.and_then(|node| node.get_mut(cell % total));
                let sum = sum.ok_or_else(|| Error::bug("sums of a cell that is not there"))?;
                *sum += Sum { g: *g, h: *h, rows: *rows };
            }
        }
        Ok(sums)
    }
}
