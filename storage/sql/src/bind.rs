//! Binding a table or view of another program: what it is, and how its rows are cut.

use std::sync::Arc;

use tributary_core::bound::ForeignTable;
use tributary_core::rows::PartSize;
use tributary_core::storage::Part;
use tributary_core::{Error, ErrorKind, Field, KeyType, Layout, Result, Shown, TableSchema};
use tributary_database::{Connection, Failure, Operation, Try, Value};

use crate::catalog::Catalog;
use crate::part::Piece;
use crate::source::{Cut, Described, MOST_BY_HASH, Source, describe, is_whole, type_of};

/// Looks at a table of another program.
pub(crate) struct Inspect(pub Arc<Catalog>, pub ForeignTable);

/// What a bound table is made of.
pub(crate) struct Inspected {
    pub schema: TableSchema,
    pub layout: Layout,
    pub parts: Vec<Part>,
    pub source: Source,
}

impl Operation for Inspect {
    type Output = Inspected;

    async fn attempt(&self, to: &mut Connection, _: Try) -> Result<Inspected, Failure> {
        let Self(catalog, foreign) = self;
        catalog.prepare(to).await?;
        let (schema, table) = match foreign.table.split_once('.') {
            Some((schema, table)) => (Some(schema.to_owned()), table.to_owned()),
            None => (None, foreign.table.clone()),
        };
        let described = describe(to, schema.as_deref(), &table).await?;
        let (columns, key_is_whole) = self.choose(described)?;
        let fields =
            columns.iter().skip(1).map(|column| self.field(catalog, column)).collect::<Result<_>>()?;
        let key = columns.first().map(|key| key.column.name.clone()).unwrap_or_default();
        let table_schema = TableSchema::keyed(key, KeyType::Utf8, fields)?;
        let columns = columns.into_iter().map(|described| described.column).collect();
        if !key_is_whole && foreign.partitions > MOST_BY_HASH {
            let text =
                format!("ids that are no whole numbers are cut into at most {MOST_BY_HASH} partitions");
            return Err(Error::invalid(text).into());
        }
        let cut = Cut::Hash(foreign.partitions);
        let mut source = Source { schema, table, columns, cut };
        if key_is_whole {
            source.cut = ranges(to, &source, foreign.partitions).await?;
        }
        let parts = count(to, &source, foreign.partitions).await?;
        Ok(Inspected { schema: table_schema, layout: Layout::Loose(foreign.partitions), parts, source })
    }
}

impl Inspect {
    /// The key's column, then the others that are wanted, in their order; and whether the key is a whole number.
    fn choose(&self, all: Vec<Described>) -> Result<(Vec<Described>, bool)> {
        let Self(catalog, foreign) = self;
        if all.is_empty() {
            let text = format!("the database has no table or view {:?}", Shown::new(&foreign.table));
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        let known = |name: &String| all.iter().any(|described| described.column.name == *name);
        let named = foreign.purposes.keys().chain(&foreign.skip).chain([&foreign.id]);
        if let Some(unknown) = named.into_iter().find(|name| !known(name)) {
            let names: Vec<String> = all.iter().map(|d| Shown::new(&d.column.name).to_string()).collect();
            return Err(Error::invalid(format!(
                "no column {:?}; there are {}",
                Shown::new(unknown),
                names.join(", ")
            )));
        }
        let mut wanted: Vec<Described> =
            all.into_iter().filter(|described| !foreign.skip.contains(&described.column.name)).collect();
        let at = wanted.iter().position(|described| described.column.name == foreign.id);
        let key = wanted.remove(at.ok_or_else(|| Error::invalid("the column of the ids is skipped"))?);
        let kind = type_of(catalog.names.product, &key.column.kind);
        wanted.insert(0, key);
        Ok((wanted, kind.is_some_and(|kind| is_whole(&kind))))
    }

    fn field(&self, catalog: &Catalog, described: &Described) -> Result<Field> {
        let name = &described.column.name;
        let kind = type_of(catalog.names.product, &described.column.kind).ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                format!(
                    "column {:?} has the type {}, which tables do not hold; leave it out with --skip, or bind a view that converts it",
                    Shown::new(name),
                    Shown::new(&described.column.kind)
                ),
            )
        })?;
        let purpose = self.1.purposes.get(name).cloned().unwrap_or_default();
        Ok(Field { name: name.clone(), data_type: kind, nullable: described.nullable, purpose })
    }
}

/// Cuts the span of the keys into even pieces.
async fn ranges(to: &mut Connection, source: &Source, partitions: u32) -> Result<Cut, Failure> {
    let product = to.product();
    let key = product.quote(&source.columns.first().map(|key| key.name.clone()).unwrap_or_default())?;
    let kind = if product == tributary_database::Product::MySql { "SIGNED" } else { "BIGINT" };
    let query = format!(
        "SELECT CAST(MIN({key}) AS {kind}), CAST(MAX({key}) AS {kind}) FROM {}",
        source.name(product)?
    );
    let row = to.first(&query, &[]).await?.unwrap_or_default();
    let number = |at: usize| row.get(at).and_then(Value::int).map_or(0, i128::from);
    let (least, most) = (number(0), number(1));
    let start = |partition: u32| least + (most - least + 1) * i128::from(partition) / i128::from(partitions);
    Ok(Cut::Ranges((1..partitions).map(|partition| start(partition) as i64).collect()))
}

/// The rows of each partition. `InvalidInput` if some rows have no id, and are in none.
async fn count(to: &mut Connection, source: &Source, partitions: u32) -> Result<Vec<Part>, Failure> {
    let product = to.product();
    let name = source.name(product)?;
    let mut parts = Vec::new();
    for partition in 0..partitions {
        let query = format!("SELECT COUNT(*) FROM {name} WHERE {}", source.rows_of(product, partition)?);
        let rows = number(to, &query).await?;
        // There is no cheap way to know how many bytes they take.
        let bytes = rows.saturating_mul(8 * source.columns.len() as u64);
        let piece = Piece { partition: partition as i32, attempt: 0 };
        parts.push(Part { file: piece.file(), size: PartSize { rows, bytes }, digest: "bound".into() });
    }
    let all = number(to, &format!("SELECT COUNT(*) FROM {name}")).await?;
    let with_ids: u64 = parts.iter().map(|part| part.size.rows).sum();
    match all == with_ids {
        true => Ok(parts),
        false => Err(Error::invalid(format!(
            "{all} rows, of which {with_ids} have an id (or it changes while it is bound); leave the others out in a view"
        ))
        .into()),
    }
}

async fn number(to: &mut Connection, query: &str) -> Result<u64, Failure> {
    let row = to.first(query, &[]).await?;
    let number = row.and_then(|row| row.first().and_then(Value::int));
    Ok(number.and_then(|number| u64::try_from(number).ok()).unwrap_or_default())
}
