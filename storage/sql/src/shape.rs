//! What SQL table a schema becomes: its name, the names of its columns, and their types.
//!
//! A column keeps its name where every server takes it as it is; any other is called by its place. Nothing needs to know the mapping but
//! this file, which makes the same names from the same schema. Columns may all be missing for the server: which may be is in the
//! schema.

use std::collections::HashSet;

use arrow_schema::{DataType, TimeUnit};

use tributary_core::{Error, ErrorKind, Result, Shown, TableSchema};
use tributary_database::Product;

use crate::config::Config;

/// Number of a partition.
pub(crate) const PART: &str = "tributary_part";
/// Drawn at random by each try to write one.
pub(crate) const TRY: &str = "tributary_try";
/// Number of a row within its partition.
pub(crate) const ROW: &str = "tributary_row";
/// In MySQL, the numbers of a row that its columns cannot hold: see [`insert`](crate::insert).
pub(crate) const REST: &str = "tributary_rest";
/// Longest name of a column that stays as it is.
const MOST_BYTES: usize = 60;
/// Most columns, with ours: what a page of the server holds of a row in the best case.
const MOST_POSTGRESQL: usize = 1590;
const MOST_MYSQL: usize = 1000;
/// Most decimals of a number in MySQL.
const MOST_MYSQL_SCALE: i8 = 30;

/// The names of a store's SQL tables.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub product: Product,
    /// What those of snapshots begin with, unquoted.
    pub data: String,
    /// The catalogue, quoted.
    pub tables: String,
    /// Writes that are under way, quoted.
    pub writes: String,
    /// Their parts, quoted.
    pub parts: String,
}

impl Names {
    pub(crate) fn of(config: &Config) -> Result<Self> {
        let product = config.server.product;
        let name = |what: &str| product.quote(&format!("{}{what}", config.prefix));
        let data = format!("{}data_", config.prefix);
        Ok(Self { product, data, tables: name("tables")?, writes: name("writes")?, parts: name("parts")? })
    }

    /// The table of a snapshot, quoted. `InvalidInput` unless it is 32 hex digits.
    pub(crate) fn data(&self, snapshot: &str) -> Result<String> {
        check_snapshot(snapshot)?;
        self.product.quote(&format!("{}{snapshot}", self.data))
    }

    /// Its index, quoted.
    pub(crate) fn index(&self, snapshot: &str) -> Result<String> {
        check_snapshot(snapshot)?;
        self.product.quote(&format!("{}{snapshot}_key", self.data))
    }

    /// The snapshot of a table's name, if it is one.
    pub(crate) fn snapshot_of<'a>(&self, table: &'a str) -> Option<&'a str> {
        table.strip_prefix(&self.data).filter(|snapshot| check_snapshot(snapshot).is_ok())
    }
}

fn check_snapshot(text: &str) -> Result<()> {
    let is_hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (text.len() == 32 && is_hex).then_some(()).ok_or_else(|| {
        Error::invalid(format!("write attempt or snapshot {:?}, expected 32 hex digits", Shown::new(text)))
    })
}

/// The columns of a schema's table, quoted, in the order of its batches.
pub(crate) fn columns(product: Product, schema: &TableSchema) -> Result<Vec<String>> {
    let mut taken = HashSet::new();
    let plain = |name: &str| {
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        first && name.len() <= MOST_BYTES && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let fields = schema.arrow().fields();
    let name = |(place, field): (usize, &std::sync::Arc<arrow_schema::Field>)| {
        // MySQL takes names that differ in case for one.
        let small = field.name().to_ascii_lowercase();
        let is_ours = small.starts_with("tributary_") || small.starts_with("column_");
        match plain(field.name()) && !is_ours && taken.insert(small) {
            true => product.quote(field.name()),
            false => product.quote(&format!("column_{place}")),
        }
    };
    fields.iter().enumerate().map(name).collect()
}

/// Whether a table has the column for numbers that others cannot hold.
pub(crate) fn has_rest(product: Product, schema: &TableSchema) -> bool {
    let is_float = |kind: &DataType| matches!(kind, DataType::Float32 | DataType::Float64);
    product == Product::MySql && schema.arrow().fields().iter().any(|field| is_float(field.data_type()))
}

/// `InvalidInput` for columns that no store takes, `Unsupported` with its name for one that this database cannot hold.
pub(crate) fn check(product: Product, schema: &TableSchema) -> Result<()> {
    let fields = schema.arrow().fields();
    if fields.is_empty() {
        return Err(Error::invalid("a table needs at least one column"));
    }
    let most = if product == Product::MySql { MOST_MYSQL } else { MOST_POSTGRESQL };
    if fields.len() > most {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "{} columns, a table in {} has at most {most}; use another store",
                fields.len(),
                product.name()
            ),
        ));
    }
    for field in fields {
        column_type(product, field.data_type())
            .map_err(|e| e.at(format!("column {:?}", Shown::new(field.name()))))?;
    }
    Ok(())
}

/// The statement that creates the table of a snapshot, unless it is there.
pub(crate) fn create(product: Product, table: &str, schema: &TableSchema) -> Result<String> {
    let mut all = vec![format!("{PART} INTEGER NOT NULL, {TRY} INTEGER NOT NULL, {ROW} BIGINT NOT NULL")];
    for (name, field) in columns(product, schema)?.iter().zip(schema.arrow().fields()) {
        all.push(format!("{name} {}", column_type(product, field.data_type())?));
    }
    if has_rest(product, schema) {
        all.push(format!("{REST} LONGBLOB"));
    }
    // PostgreSQL gets its index in one go at the commit.
    let end = match product {
        Product::MySql => {
            all.push(format!("PRIMARY KEY ({PART}, {TRY}, {ROW})"));
            " ENGINE = InnoDB ROW_FORMAT = DYNAMIC"
        }
        _ => "",
    };
    Ok(format!("CREATE TABLE IF NOT EXISTS {table} ({}){end}", all.join(", ")))
}

fn column_type(product: Product, kind: &DataType) -> Result<String> {
    let unsupported =
        |why: &str| Err(Error::new(ErrorKind::Unsupported, format!("{kind} in {}: {why}", product.name())));
    let (postgresql, mysql) = match kind {
        DataType::Boolean => ("BOOLEAN", "BOOLEAN"),
        DataType::Int32 => ("INTEGER", "INTEGER"),
        DataType::Int64 => ("BIGINT", "BIGINT"),
        DataType::UInt8 => ("SMALLINT", "TINYINT UNSIGNED"),
        DataType::UInt16 => ("INTEGER", "SMALLINT UNSIGNED"),
        DataType::UInt32 => ("BIGINT", "INTEGER UNSIGNED"),
        DataType::UInt64 => ("NUMERIC(20)", "BIGINT UNSIGNED"),
        DataType::Float32 => ("REAL", "FLOAT"),
        DataType::Float64 => ("DOUBLE PRECISION", "DOUBLE"),
        DataType::Utf8 => ("TEXT", "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
        DataType::Binary | DataType::FixedSizeBinary(_) => ("BYTEA", "LONGBLOB"),
        DataType::Date32 => ("DATE", "DATE"),
        DataType::Timestamp(TimeUnit::Microsecond, None) => ("TIMESTAMP", "DATETIME(6)"),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => ("TIMESTAMPTZ", "DATETIME(6)"),
        DataType::Decimal128(precision, scale) => {
            if *precision == 0 || *precision > 38 {
                return Err(Error::invalid(format!("{kind}, expected a precision from 1 to 38")));
            }
            let most = if product == Product::MySql { MOST_MYSQL_SCALE } else { 38 };
            return match (0..=most).contains(scale) && scale.unsigned_abs() <= *precision {
                true => Ok(format!("NUMERIC({precision},{scale})")),
                false => unsupported(
                    "it has other decimals than the database can hold; round the column, or use another store",
                ),
            };
        }
        DataType::List(item) if *item.data_type() == DataType::Float64 => ("DOUBLE PRECISION[]", "LONGBLOB"),
        DataType::List(_) => ("NUMERIC(20)[]", "LONGBLOB"),
        _ => return unsupported("the database has no such type; use another store"),
    };
    Ok(if product == Product::MySql { mysql } else { postgresql }.to_owned())
}

#[cfg(test)]
mod tests {
    use tributary_core::{Field, KeyType};

    use super::*;

    fn named(names: &[&str]) -> TableSchema {
        let fields = names.iter().map(|name| Field::new(*name, DataType::Int32)).collect();
        TableSchema::keyed("id", KeyType::Utf8, fields).unwrap()
    }

    #[test]
    fn columns_keep_plain_names_and_no_two_are_one() {
        let schema =
            named(&["x", "X", "a b", "", "\"; DROP", "tributary_row", "column_2", "ünï", &"y".repeat(61)]);
        for (product, mark) in [(Product::PostgreSql, '"'), (Product::MySql, '`')] {
            let found = columns(product, &schema).unwrap();
            assert_eq!(
                found[..3],
                [format!("{mark}id{mark}"), format!("{mark}x{mark}"), format!("{mark}column_2{mark}")]
            );
            let different: HashSet<String> = found.iter().map(|name| name.to_lowercase()).collect();
            assert_eq!(different.len(), found.len());
            assert!(found.iter().all(|name| !name.contains("DROP")));
        }
    }

    #[test]
    fn what_a_database_cannot_hold_is_refused_by_name() {
        let decimal = |scale| {
            let fields = vec![Field::new("price", DataType::Decimal128(38, scale))];
            check(Product::MySql, &TableSchema::new(None, fields).unwrap())
        };
        decimal(30).unwrap();
        for scale in [31, -1] {
            let error = decimal(scale).unwrap_err();
            assert!(
                error.kind() == ErrorKind::Unsupported && error.to_string().contains("\"price\""),
                "{error}"
            );
        }
        let wide: Vec<String> = (0..1001).map(|i| format!("c{i}")).collect();
        let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
        assert_eq!(check(Product::MySql, &named(&wide)).unwrap_err().kind(), ErrorKind::Unsupported);
        check(Product::PostgreSql, &named(&wide)).unwrap();
    }
}
