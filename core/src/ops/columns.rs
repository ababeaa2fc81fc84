//! Kernels that change columns and leave rows alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use crate::blob::Blob;
use crate::error::{Error, Result};
use crate::kernel::{Keeps, MapKernel};
use crate::schema::{Field, Key, KeyType, TableSchema};

/// The key and the named columns, in the order given.
#[derive(Debug, Serialize, Deserialize)]
pub struct SelectParams {
    /// Column names.
    pub columns: Vec<String>,
}

/// Kernel `table.select`.
#[derive(Debug)]
pub struct Select {
    indices: Vec<usize>,
}

impl MapKernel for Select {
    type Params = SelectParams;
    const NAME: &'static str = "table.select";
    const KEEPS: Keeps = Keeps::Both;

    fn output(params: &SelectParams, input: &TableSchema) -> Result<TableSchema> {
        let field = |name: &String| {
            let index = input.column_index(name)? - usize::from(input.key().is_some());
            Ok(input.fields()[index].clone())
        };
        input.with_fields(params.columns.iter().map(field).collect::<Result<_>>()?)
    }

    fn open(params: SelectParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let key = input.key().map(|_| Ok(0));
        let columns = params.columns.iter().map(|name| input.column_index(name));
        Ok(Self { indices: key.into_iter().chain(columns).collect::<Result<_>>()? })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        Ok(rows.project(&self.indices)?)
    }
}

/// Another column becomes the key.
#[derive(Debug, Serialize, Deserialize)]
pub struct RekeyParams {
    /// The column to become the key: `Utf8`, `Binary`, `FixedSizeBinary` (becomes `Binary`) or `UInt64`, without nulls.
    pub column: String,
    /// What becomes of the old key: a column of this name, or nothing.
    pub old_key: Option<String>,
}

/// Kernel `table.rekey`.
#[derive(Debug)]
pub struct Rekey {
    column: usize,
    output: TableSchema,
    had_key: bool,
    keep_old: bool,
}

fn key_type_of(field: &Field) -> Result<KeyType> {
    match field.data_type {
        DataType::Utf8 => Ok(KeyType::Utf8),
        DataType::Binary | DataType::FixedSizeBinary(_) => Ok(KeyType::Binary),
        DataType::UInt64 => Ok(KeyType::UInt64),
        ref other => Err(Error::invalid(format!(
            "column {:?} of type {other} cannot be a key, expected Utf8, Binary or UInt64",
            field.name
        ))),
    }
}

impl MapKernel for Rekey {
    type Params = RekeyParams;
    const NAME: &'static str = "table.rekey";
    const KEEPS: Keeps = Keeps::Rows;

    fn output(params: &RekeyParams, input: &TableSchema) -> Result<TableSchema> {
        let index = input.column_index(&params.column)? - usize::from(input.key().is_some());
        let mut fields = input.fields().to_vec();
        let field = fields.remove(index);
        if let (Some(name), Some(key)) = (&params.old_key, input.key()) {
            fields.insert(0, Field::new(name, key.key_type.data_type()));
        }
        TableSchema::new(Some(Key { key_type: key_type_of(&field)?, name: field.name }), fields)
    }

    fn open(params: RekeyParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self {
            column: input.column_index(&params.column)?,
            output: Self::output(&params, input)?,
            had_key: input.key().is_some(),
            keep_old: params.old_key.is_some(),
        })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let key = rows.column(self.column);
        if key.null_count() > 0 {
            return Err(Error::invalid(format!(
                "{} rows have no value in the column to become the key",
                key.null_count()
            )));
        }
        let key_type = self.output.arrow().field(0).data_type();
        let mut columns: Vec<ArrayRef> = vec![arrow_cast::cast(key, key_type)?];
        for (i, column) in rows.columns().iter().enumerate() {
            let is_old_key = i == 0 && self.had_key;
            if i != self.column && (!is_old_key || self.keep_old) {
                columns.push(column.clone());
            }
        }
        self.output.batch(columns)
    }
}

/// Kernel `table.drop_key`: the same rows without ids.
#[derive(Debug, Serialize, Deserialize)]
pub struct DropKey;

impl MapKernel for DropKey {
    type Params = DropKey;
    const NAME: &'static str = "table.drop_key";
    const KEEPS: Keeps = Keeps::Rows;

    fn output(_: &DropKey, input: &TableSchema) -> Result<TableSchema> {
        TableSchema::new(None, input.fields().to_vec())
    }

    fn open(params: DropKey, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        input.expect_key("drop_key")?;
        Ok(params)
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut rest = rows.clone();
        rest.remove_column(0);
        Ok(rest)
    }
}

/// Adds a `UInt64` column with each row's number. The input must be laid out in `Rows`.
#[derive(Debug, Serialize, Deserialize)]
pub struct NumberRows {
    /// Name of the new column, the last one.
    pub column: String,
}

impl MapKernel for NumberRows {
    type Params = NumberRows;
    const NAME: &'static str = "table.number_rows";
    const KEEPS: Keeps = Keeps::Both;

    fn output(params: &NumberRows, input: &TableSchema) -> Result<TableSchema> {
        let mut fields = input.fields().to_vec();
        fields.push(Field::new(&params.column, DataType::UInt64));
        input.with_fields(fields)
    }

    fn open(params: NumberRows, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }

    fn map(&self, first_row: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let first = first_row
            .ok_or_else(|| Error::invalid("rows have no numbers in this layout; use keep_rows first"))?;
        let numbers: UInt64Array = (first..first + rows.num_rows() as u64).collect();
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(numbers));
        let mut fields = rows.schema().fields().to_vec();
        fields.push(Arc::new(arrow_schema::Field::new(&self.column, DataType::UInt64, false)));
        Ok(RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), columns)?)
    }
}

/// The columns that rows of both tables can have, in the order of the first: a column is of both's type, or of the wider one of two
/// types of numbers. `InvalidInput` for other columns, keys or purposes on one side.
pub fn widened(first: &TableSchema, other: &TableSchema) -> Result<TableSchema> {
    if first.key() != other.key() {
        return Err(Error::invalid(format!("ids of {first:?} and {other:?}, expected the same")));
    }
    let names =
        |schema: &TableSchema| schema.fields().iter().map(|f| f.name.clone()).collect::<BTreeSet<_>>();
    let one_sided: Vec<String> = names(first).symmetric_difference(&names(other)).take(20).cloned().collect();
    if !one_sided.is_empty() {
        let shown = crate::shown::Shown::new(&one_sided.join(", ")).to_string();
        return Err(Error::invalid(format!("columns that only one has: {shown}")));
    }
    let wide = |field: &Field| {
        let found = other.fields().iter().find(|f| f.name == field.name);
        let found = found.ok_or_else(|| Error::bug("a column that both have"))?;
        let wrong =
            |what: &str| Error::invalid(format!("column {:?} has another {what} in one of them", field.name));
        if found.purpose != field.purpose {
            return Err(wrong("purpose"));
        }
        let data_type = wider(&field.data_type, &found.data_type).ok_or_else(|| wrong("type"))?;
        Ok(Field { data_type, nullable: field.nullable || found.nullable, ..field.clone() })
    };
    first.with_fields(first.fields().iter().map(wide).collect::<Result<_>>()?)
}

fn wider(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType as T;
    let is_number = |t: &T| t.is_integer() || matches!(t, T::Float32 | T::Float64);
    match (a, b) {
        (a, b) if a == b => Some(a.clone()),
        (
            T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32,
            T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32,
        ) => Some(T::Int64),
        (a, b) if is_number(a) && is_number(b) => Some(T::Float64),
        _ => None,
    }
}

/// Kernel `table.conform`: the columns of a table in another order, types and nullability.
#[derive(Debug)]
pub struct Conform {
    indices: Vec<usize>,
    output: TableSchema,
}

impl MapKernel for Conform {
    type Params = TableSchema;
    const NAME: &'static str = "table.conform";
    const KEEPS: Keeps = Keeps::Both;

    fn output(params: &TableSchema, input: &TableSchema) -> Result<TableSchema> {
        match widened(params, input)? == *params {
            true => Ok(params.clone()),
            false => Err(Error::invalid(format!("{input:?} does not fit into {params:?}"))),
        }
    }

    fn open(params: TableSchema, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let key = input.key().map(|_| Ok(0));
        let columns = params.fields().iter().map(|field| input.column_index(&field.name));
        Ok(Self { indices: key.into_iter().chain(columns).collect::<Result<_>>()?, output: params })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let types = self.output.arrow().fields().iter().map(|field| field.data_type());
        let columns =
            self.indices.iter().zip(types).map(|(at, to)| Ok(arrow_cast::cast(rows.column(*at), to)?));
        self.output.batch(columns.collect::<Result<_>>()?)
    }
}
