//! Which query reads a partition, or a part of it.

use tributary_core::storage::StoredTable;
use tributary_core::wanted::Wanted;
use tributary_core::{Error, Field, Result, TableSchema};
use tributary_database::Product;

use crate::part::Piece;
use crate::shape::{self, Names};
use crate::source::Source;

/// What is read.
#[derive(Debug)]
pub(crate) struct Select {
    /// The columns that are wanted, and their places among those of the table.
    pub schema: TableSchema,
    pub places: Vec<usize>,
    /// Names and numbers of ours.
    pub query: String,
    pub has_rest: bool,
    /// How many rows it must give.
    pub expected: u64,
    /// Whose rows they are, if the table is bound.
    pub source: Option<Source>,
}

impl Select {
    /// Of rows of ours, or of a source.
    pub(crate) fn of(
        names: &Names,
        table: &StoredTable,
        partition: u32,
        wanted: &Wanted,
        source: Option<Source>,
    ) -> Result<Self> {
        let part = table.parts.get(partition as usize);
        let part = part.ok_or_else(|| {
            Error::invalid(format!("partition {partition}, the table has {}", table.parts.len()))
        })?;
        let all = 0..table.schema.arrow().fields().len();
        let places: Vec<usize> = wanted.columns.clone().unwrap_or_else(|| all.collect());
        let rows = wanted.rows.clone().unwrap_or(0..part.size.rows);
        let product = names.product;
        let has_rest = source.is_none() && shape::has_rest(product, &table.schema);
        let query = match &source {
            Some(source) => bound(product, source, partition, &places, wanted)?,
            None => ours(names, table, Piece::of_file(&part.file, partition)?, &places, wanted)?,
        };
        let expected = rows.end.saturating_sub(rows.start);
        Ok(Self { schema: project(&table.schema, &places)?, places, query, has_rest, expected, source })
    }
}

fn ours(
    names: &Names,
    table: &StoredTable,
    piece: Piece,
    places: &[usize],
    wanted: &Wanted,
) -> Result<String> {
    let all = shape::columns(names.product, &table.schema)?;
    let rest = shape::has_rest(names.product, &table.schema).then(|| shape::REST.to_owned());
    let columns: Vec<String> =
        places.iter().filter_map(|place| all.get(*place).cloned()).chain(rest).collect();
    let (part, attempt, row) = (shape::PART, shape::TRY, shape::ROW);
    let some = match &wanted.rows {
        Some(rows) => format!(" AND {row} >= {} AND {row} < {}", rows.start, rows.end),
        None => String::new(),
    };
    Ok(format!(
        "SELECT {} FROM {} WHERE {part} = {} AND {attempt} = {}{some} ORDER BY {part}, {attempt}, {row}",
        columns.join(", "),
        names.data(&table.snapshot)?,
        piece.partition,
        piece.attempt
    ))
}

/// Without a limit where all rows are wanted: one more would be noticed, too.
fn bound(
    product: Product,
    source: &Source,
    partition: u32,
    places: &[usize],
    wanted: &Wanted,
) -> Result<String> {
    let columns: Vec<String> =
        places.iter().map(|place| source.expression(product, *place)).collect::<Result<_>>()?;
    let some = match &wanted.rows {
        Some(rows) => format!(" LIMIT {} OFFSET {}", rows.end.saturating_sub(rows.start), rows.start),
        None => String::new(),
    };
    Ok(format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {}{some}",
        columns.join(", "),
        source.name(product)?,
        source.rows_of(product, partition)?,
        source.order(product)?
    ))
}

/// The columns with these places.
fn project(schema: &TableSchema, places: &[usize]) -> Result<TableSchema> {
    let key = schema.key().map(|key| Field::new(&key.name, key.key_type.data_type()));
    let all: Vec<Field> = key.into_iter().chain(schema.fields().iter().cloned()).collect();
    TableSchema::new(None, places.iter().filter_map(|place| all.get(*place).cloned()).collect())
}
