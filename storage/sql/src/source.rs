//! A table or view of another program, as it was when it was bound: its columns, and how its rows are cut into partitions.

use arrow_schema::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

use tributary_core::storage::StoredTable;
use tributary_core::{Error, ErrorKind, Result, Shown};
use tributary_database::{Connection, Failure, Product, Value};

/// Most partitions that are cut by hash: each of them is a look at all rows.
pub(crate) const MOST_BY_HASH: u32 = 1024;

/// The source of a bound table's rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    /// The schema, or in MySQL the database, if it is not where the connection is.
    pub schema: Option<String>,
    /// The table or view.
    pub table: String,
    /// The column of the key, and the others that are used, in order.
    pub columns: Vec<SourceColumn>,
    /// How the rows are cut.
    pub cut: Cut,
}

/// A column, as the database describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceColumn {
    pub name: String,
    /// Its type, in the database's words.
    pub kind: String,
}

/// How rows are cut into partitions, by the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cut {
    /// Whole numbers: the least of each partition but the first.
    Ranges(Vec<i64>),
    /// A hash of the key's text, modulo the number of partitions.
    Hash(u32),
}

/// What a database says of a column.
#[derive(Debug)]
pub(crate) struct Described {
    pub column: SourceColumn,
    pub nullable: bool,
}

impl Source {
    /// `InvalidInput` if it cannot be the source of this table.
    pub(crate) fn check(&self, table: &StoredTable) -> Result<()> {
        let partitions = match &self.cut {
            Cut::Ranges(starts) if starts.is_sorted() => starts.len() as u64 + 1,
            Cut::Hash(count) if *count <= MOST_BY_HASH => u64::from(*count),
            _ => 0,
        };
        let columns = table.schema.arrow().fields().len();
        match partitions == table.parts.len() as u64
            && columns == self.columns.len()
            && table.schema.key().is_some()
        {
            true => Ok(()),
            false => Err(Error::invalid("its source has other partitions or columns")),
        }
    }

    /// The table, quoted.
    pub(crate) fn name(&self, product: Product) -> Result<String> {
        let table = product.quote(&self.table)?;
        let schema = self.schema.as_ref().map(|schema| product.quote(schema)).transpose()?;
        Ok(schema.map_or(table.clone(), |schema| format!("{schema}.{table}")))
    }

    fn key(&self, product: Product) -> Result<String> {
        let key = self.columns.first().ok_or_else(|| Error::bug("a source without a key"))?;
        product.quote(&key.name)
    }

    /// What is selected for a column of the table.
    pub(crate) fn expression(&self, product: Product, place: usize) -> Result<String> {
        let column =
            self.columns.get(place).ok_or_else(|| Error::invalid("a column that the source has not"))?;
        let name = product.quote(&column.name)?;
        Ok(match (product, place, type_of(product, &column.kind)) {
            (Product::PostgreSql, 0, _) | (Product::PostgreSql, _, Some(DataType::Utf8)) => {
                format!("CAST({name} AS TEXT)")
            }
            (Product::PostgreSql, _, Some(DataType::Int32)) => format!("CAST({name} AS INTEGER)"),
            (Product::MySql, 0, _) => format!("CAST({name} AS CHAR)"),
            _ => name,
        })
    }

    /// The rows of a partition. Numbers in it are ours.
    pub(crate) fn rows_of(&self, product: Product, partition: u32) -> Result<String> {
        let key = self.key(product)?;
        Ok(match &self.cut {
            Cut::Ranges(starts) => {
                let from = partition.checked_sub(1).and_then(|before| starts.get(before as usize));
                let from = from.map(|from| format!("{key} >= {from}"));
                let to = starts.get(partition as usize).map(|to| format!("{key} < {to}"));
                let both: Vec<String> =
                    from.into_iter().chain(to).chain([format!("{key} IS NOT NULL")]).collect();
                both.join(" AND ")
            }
            Cut::Hash(count) => match product {
                Product::MySql => {
                    format!(
                        "CAST(CONV(SUBSTRING(MD5(CAST({key} AS CHAR)), 1, 7), 16, 10) AS UNSIGNED) % {count} = {partition}"
                    )
                }
                _ => format!(
                    "CAST(CAST('x' || substr(md5(CAST({key} AS TEXT)), 1, 7) AS BIT(28)) AS INTEGER) % {count} = {partition}"
                ),
            },
        })
    }

    /// Their order.
    pub(crate) fn order(&self, product: Product) -> Result<String> {
        self.key(product)
    }

    /// `Corrupt` if the columns are others than when it was bound.
    pub(crate) async fn check_unchanged(&self, to: &mut Connection) -> Result<(), Failure> {
        let now = describe(to, self.schema.as_deref(), &self.table).await?;
        let is_there = |column: &&SourceColumn| now.iter().any(|described| described.column == **column);
        match self.columns.iter().find(|column| !is_there(column)) {
            None => Ok(()),
            Some(column) => Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "column {:?} of {:?} is not what it was when the table was bound, {}; bind it again with --if-exists replace",
                    Shown::new(&column.name),
                    Shown::new(&self.table),
                    Shown::new(&column.kind)
                ),
            )
            .into()),
        }
    }
}

/// The columns of a table or view; none if it does not exist.
pub(crate) async fn describe(
    to: &mut Connection,
    schema: Option<&str>,
    table: &str,
) -> Result<Vec<Described>, Failure> {
    let product = to.product();
    let rows = match product {
        Product::MySql => {
            let query = "SELECT CAST(column_name AS CHAR), CAST(column_type AS CHAR), CAST(is_nullable = 'NO' AS SIGNED) \
                         FROM information_schema.columns WHERE table_schema = COALESCE(NULLIF(?, ''), DATABASE()) AND table_name = ? \
                         ORDER BY ordinal_position";
            to.rows(query, &[schema.unwrap_or_default().into(), table.into()]).await?
        }
        _ => {
            let mut name = product.quote(table)?;
            if let Some(schema) = schema {
                name = format!("{}.{name}", product.quote(schema)?);
            }
            let query = "SELECT CAST(attname AS TEXT), format_type(atttypid, atttypmod), CAST(CAST(attnotnull AS INTEGER) AS BIGINT) \
                         FROM pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
            to.rows(query, &[name.as_str().into()]).await?
        }
    };
    let text = |row: &[Value], at: usize| row.get(at).and_then(Value::text).unwrap_or_default().to_owned();
    let described = |row: &Vec<Value>| Described {
        column: SourceColumn { name: text(row, 0), kind: text(row, 1) },
        nullable: row.get(2).and_then(Value::int) != Some(1),
    };
    Ok(rows.iter().map(described).collect())
}

/// The type of a column by the database's words; none for those that tables do not hold.
pub(crate) fn type_of(product: Product, kind: &str) -> Option<DataType> {
    let (word, numbers) = kind.split_once('(').map_or((kind, ""), |(word, rest)| (word.trim(), rest));
    let unsigned = numbers.contains("unsigned") || word.contains("unsigned");
    let micros = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    Some(match (product, word.trim_end_matches(" zerofill").trim_end_matches(" unsigned")) {
        (_, "numeric" | "decimal") => return decimal(numbers),
        (_, "date") => DataType::Date32,
        (Product::PostgreSql, word) => match word {
            "boolean" => DataType::Boolean,
            "smallint" | "integer" => DataType::Int32,
            "bigint" => DataType::Int64,
            "real" => DataType::Float32,
            "double precision" => DataType::Float64,
            "text" | "character varying" | "character" | "uuid" | "name" => DataType::Utf8,
            "bytea" => DataType::Binary,
            _ if kind.starts_with("timestamp") => micros(kind.ends_with("with time zone").then_some("UTC")),
            _ => return None,
        },
        (_, word) => match word {
            "tinyint" if unsigned => DataType::UInt8,
            "smallint" if unsigned => DataType::UInt16,
            "mediumint" | "int" if unsigned => DataType::UInt32,
            "bigint" if unsigned => DataType::UInt64,
            "tinyint" | "smallint" | "mediumint" | "int" => DataType::Int32,
            "bigint" => DataType::Int64,
            "float" => DataType::Float32,
            "double" => DataType::Float64,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" => {
                DataType::Utf8
            }
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => DataType::Binary,
            "datetime" => micros(None),
            "timestamp" => micros(Some("UTC")),
            _ => return None,
        },
    })
}

/// Of `12,2)`.
fn decimal(numbers: &str) -> Option<DataType> {
    let numbers = numbers.split(')').next()?;
    let (precision, scale) = numbers.split_once(',').unwrap_or((numbers, "0"));
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    ((1..=38).contains(&precision) && (0..=38).contains(&scale))
        .then_some(DataType::Decimal128(precision, scale))
}

/// Whether it is a whole number that ranges can be made of.
pub(crate) fn is_whole(kind: &DataType) -> bool {
    matches!(kind, DataType::Int32 | DataType::Int64 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_by_the_databases_words() {
        let micros =
            |zone: Option<&str>| Some(DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into)));
        for (kind, expected) in [
            ("character varying(100)", Some(DataType::Utf8)),
            ("numeric(12,2)", Some(DataType::Decimal128(12, 2))),
            ("numeric", None),
            ("timestamp(3) without time zone", micros(None)),
            ("timestamp with time zone", micros(Some("UTC"))),
            ("jsonb", None),
            ("integer[]", None),
        ] {
            assert_eq!(type_of(Product::PostgreSql, kind), expected, "{kind}");
        }
        for (kind, expected) in [
            ("varchar(255)", Some(DataType::Utf8)),
            ("tinyint(3) unsigned", Some(DataType::UInt8)),
            ("bigint unsigned", Some(DataType::UInt64)),
            ("int(11)", Some(DataType::Int32)),
            ("decimal(40,2)", None),
            ("datetime(6)", micros(None)),
            ("time", None),
        ] {
            assert_eq!(type_of(Product::MySql, kind), expected, "{kind}");
        }
    }
}
