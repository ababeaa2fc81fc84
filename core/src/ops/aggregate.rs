//! Sums, minima, maxima and counts: over a whole table, or by key.
//!
//! Two kernels: [`Aggregate`] goes over rows in any order (in one group, or by key with a hash table) and [`Combine`] over
//! rows sorted by key. Integer sums are exact and checked, so they are equal for every number of partitions; float sums are
//! equal up to rounding, since partitions are added up in another order.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, PrimitiveArray, RecordBatch, UInt64Array,
};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::blob::Blob;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{Emit, FoldKernel, Keeps, PartContext};
use crate::layout::Keys;
use crate::schema::{Field, KeyType, TableSchema};

/// What to compute of a column. Missing values are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    /// Sum: integers become `Int64` or `UInt64` (`Exhausted` when it, or the sum so far, does not fit 64 bits), floats `Float64`.
    Sum,
    /// Smallest, widened like a sum; a float that is not a number counts as larger than all others.
    Min,
    /// Largest, widened like a sum.
    Max,
    /// Number of values that are not missing, `UInt64`.
    Count,
}

/// One result column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// Column to compute it of; any column for a count.
    pub column: String,
    /// What to compute.
    pub function: Function,
    /// Name of the result.
    pub name: String,
}

impl Measure {
    /// The function of a column, under the column's own name.
    pub fn of(function: Function, column: impl Into<String>) -> Self {
        let column = column.into();
        Self { name: column.clone(), column, function }
    }

    /// Under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How to combine results of parts.
    pub(crate) fn combined(&self) -> Self {
        let function = if self.function == Function::Count { Function::Sum } else { self.function };
        Self { column: self.name.clone(), name: self.name.clone(), function }
    }
}

/// Which rows go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grouping {
    /// All rows of the partition; no rows give no row.
    All,
    /// Rows of one key.
    Key,
}

/// Parameters of both kernels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AggregateParams {
    /// Which rows go together.
    pub grouping: Grouping,
    /// The result columns.
    pub measures: Vec<Measure>,
}

impl AggregateParams {
    fn output(&self, input: &TableSchema) -> Result<TableSchema> {
        let field = |measure: &Measure| {
            let index = input.column_index(&measure.column)? - usize::from(input.key().is_some());
            let source = &input.fields()[index];
            let data_type = match measure.function {
                Function::Count => DataType::UInt64,
                _ => widened(source)?,
            };
            let field = Field::new(&measure.name, data_type);
            let missing = source.nullable && measure.function != Function::Count;
            Ok(if missing { field.nullable() } else { field })
        };
        let fields = self.measures.iter().map(field).collect::<Result<_>>()?;
        match self.grouping {
            Grouping::All => TableSchema::new(None, fields),
            Grouping::Key => {
                input.expect_key("an aggregate by key")?;
                input.with_fields(fields)
            }
        }
    }
}

fn widened(field: &Field) -> Result<DataType> {
    use DataType as T;
    match field.data_type {
        T::Int32 | T::Int64 => Ok(T::Int64),
        T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => Ok(T::UInt64),
        T::Float32 | T::Float64 => Ok(T::Float64),
        ref other => Err(Error::invalid(format!(
            "column {:?} of type {other} cannot be summed or compared, expected a number",
            field.name
        ))),
    }
}

/// The result so far of one measure: a value and whether there was one, for each group.
struct Accumulator {
    column: usize,
    function: Function,
    values: Values,
    seen: Vec<bool>,
    nullable: bool,
}

enum Values {
    Int(Vec<i64>),
    UInt(Vec<u64>),
    Float(Vec<f64>),
}

impl Accumulator {
    fn new(measure: &Measure, input: &TableSchema, output: &Field) -> Result<Self> {
        let values = match output.data_type {
            DataType::Int64 => Values::Int(Vec::new()),
            DataType::UInt64 => Values::UInt(Vec::new()),
            _ => Values::Float(Vec::new()),
        };
        let column = input.column_index(&measure.column)?;
        Ok(Self { column, function: measure.function, values, seen: Vec::new(), nullable: output.nullable })
    }

    fn fold(&mut self, rows: &RecordBatch, groups: &[u32], group_count: usize) -> Result<()> {
        let column = rows.column(self.column);
        self.seen.resize(group_count, false);
        if self.function == Function::Count {
            let Values::UInt(counts) = &mut self.values else {
                return Err(Error::bug("a count is UInt64"));
            };
            counts.resize(group_count, 0);
            for (row, group) in groups.iter().enumerate() {
                counts[*group as usize] += u64::from(column.is_valid(row));
            }
            return Ok(());
        }
        let seen = &mut self.seen;
        match &mut self.values {
            Values::Int(values) => {
                let column = arrow_cast::cast(column, &DataType::Int64)?;
                let add = |a: i64, b: i64| a.checked_add(b);
                fold_values::<Int64Type>(values, seen, self.function, &column, groups, add)
            }
            Values::UInt(values) => {
                let column = arrow_cast::cast(column, &DataType::UInt64)?;
                let add = |a: u64, b: u64| a.checked_add(b);
                fold_values::<UInt64Type>(values, seen, self.function, &column, groups, add)
            }
            Values::Float(values) => {
                let column = arrow_cast::cast(column, &DataType::Float64)?;
                fold_values::<Float64Type>(values, seen, self.function, &column, groups, |a, b| Some(a + b))
            }
        }
    }

    fn into_array(self) -> ArrayRef {
        let nulls = self.nullable.then(|| NullBuffer::from(self.seen));
        match self.values {
            Values::Int(values) => Arc::new(PrimitiveArray::<Int64Type>::new(values.into(), nulls)),
            Values::UInt(values) => Arc::new(PrimitiveArray::<UInt64Type>::new(values.into(), nulls)),
            Values::Float(values) => Arc::new(PrimitiveArray::<Float64Type>::new(values.into(), nulls)),
        }
    }
}

/// One pass over a column. The function is chosen outside of the loop.
fn fold_values<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    seen: &mut [bool],
    function: Function,
    column: &ArrayRef,
    groups: &[u32],
    add: impl Fn(T::Native, T::Native) -> Option<T::Native>,
) -> Result<()>
where
    T::Native: ArrowNativeTypeOp,
{
    let column = column.as_primitive::<T>();
    values.resize(seen.len(), T::Native::default());
    match function {
        Function::Min => fold_with(values, seen, column, groups, |least, v, any| {
            Some(if any && least.is_le(v) { least } else { v })
        }),
        Function::Max => fold_with(values, seen, column, groups, |most, v, any| {
            Some(if any && most.is_ge(v) { most } else { v })
        }),
        Function::Sum | Function::Count => fold_with(values, seen, column, groups, |sum, v, _| add(sum, v)),
    }
}

/// Changes the value of each row's group to `change(value so far, value of the row, whether there was one)`.
fn fold_with<T: ArrowPrimitiveType>(
    values: &mut [T::Native],
    seen: &mut [bool],
    column: &PrimitiveArray<T>,
    groups: &[u32],
    change: impl Fn(T::Native, T::Native, bool) -> Option<T::Native>,
) -> Result<()> {
    for (row, (group, value)) in groups.iter().zip(column.values()).enumerate() {
        let group = *group as usize;
        if column.is_valid(row) {
            values[group] = change(values[group], *value, seen[group])
                .ok_or_else(|| Error::new(ErrorKind::Exhausted, "an integer sum does not fit 64 bits"))?;
            seen[group] = true;
        }
    }
    Ok(())
}

/// The distinct keys of the groups, in the order they came.
enum GroupKeys {
    UInt64(Vec<u64>),
    Bytes { data: Vec<u8>, ends: Vec<usize>, utf8: bool },
}

impl GroupKeys {
    fn new(key_type: KeyType) -> Self {
        match key_type {
            KeyType::UInt64 => Self::UInt64(Vec::new()),
            other => Self::Bytes { data: Vec::new(), ends: vec![0], utf8: other == KeyType::Utf8 },
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::UInt64(keys) => keys.len(),
            Self::Bytes { ends, .. } => ends.len() - 1,
        }
    }

    fn equals(&self, group: usize, keys: &Keys<'_>, row: usize) -> bool {
        match (self, keys) {
            (Self::UInt64(own), Keys::UInt64(keys)) => own[group] == keys[row],
            (Self::Bytes { data, ends, .. }, Keys::Utf8(keys)) => {
                data[ends[group]..ends[group + 1]] == *keys.value(row).as_bytes()
            }
            (Self::Bytes { data, ends, .. }, Keys::Binary(keys)) => {
                data[ends[group]..ends[group + 1]] == *keys.value(row)
            }
            _ => false,
        }
    }

    fn push(&mut self, keys: &Keys<'_>, row: usize) {
        match (self, keys) {
            (Self::UInt64(own), Keys::UInt64(keys)) => own.push(keys[row]),
            (Self::Bytes { data, ends, .. }, keys) => {
                match keys {
                    Keys::Utf8(keys) => data.extend_from_slice(keys.value(row).as_bytes()),
                    Keys::Binary(keys) => data.extend_from_slice(keys.value(row)),
                    Keys::UInt64(_) => {}
                }
                ends.push(data.len());
            }
            _ => {}
        }
    }

    fn into_array(self) -> Result<ArrayRef> {
        let (data, ends, utf8) = match self {
            Self::UInt64(keys) => return Ok(Arc::new(UInt64Array::from(keys))),
            Self::Bytes { data, ends, utf8 } => (data, ends, utf8),
        };
        if i32::try_from(data.len()).is_err() {
            return Err(Error::new(
                ErrorKind::Exhausted,
                "the distinct keys of one partition exceed 2 GiB; use more partitions",
            ));
        }
        let slices = ends.windows(2).map(|w| &data[w[0]..w[1]]);
        let bytes = arrow_array::BinaryArray::from_iter_values(slices);
        if utf8 { Ok(arrow_cast::cast(&bytes, &DataType::Utf8)?) } else { Ok(Arc::new(bytes)) }
    }
}

/// What a partition gathers.
pub struct Groups {
    keys: Option<GroupKeys>,
    index: HashTable<u32>,
    seed: u64,
    hashes: Vec<u64>,
    accumulators: Vec<Accumulator>,
    rows: u64,
    row_groups: Vec<u32>,
}

struct Opened {
    params: AggregateParams,
    input: TableSchema,
    output: TableSchema,
}

impl Opened {
    fn new(params: AggregateParams, input: &TableSchema) -> Result<Self> {
        let output = params.output(input)?;
        Ok(Self { params, input: input.clone(), output })
    }

    fn start(&self) -> Result<Groups> {
        let measures = self.params.measures.iter().zip(self.output.fields());
        let keys = match self.params.grouping {
            Grouping::All => None,
            Grouping::Key => Some(GroupKeys::new(self.input.expect_key("an aggregate by key")?.key_type)),
        };
        Ok(Groups {
            keys,
            index: HashTable::new(),
            seed: RandomState::new().build_hasher().finish(),
            hashes: Vec::new(),
            accumulators: measures
                .map(|(m, f)| Accumulator::new(m, &self.input, f))
                .collect::<Result<_>>()?,
            rows: 0,
            row_groups: Vec::new(),
        })
    }

    fn finish(&self, groups: Groups, out: &mut dyn Emit) -> Result<()> {
        if groups.rows == 0 {
            return Ok(());
        }
        let keys = groups.keys.map(GroupKeys::into_array);
        let measures = groups.accumulators.into_iter().map(|a| Ok(a.into_array()));
        out.emit(self.output.batch(keys.into_iter().chain(measures).collect::<Result<_>>()?)?)
    }
}

impl Groups {
    fn fold(&mut self, rows: &RecordBatch, sorted: bool) -> Result<()> {
        self.rows += rows.num_rows() as u64;
        self.row_groups.clear();
        let count = match &mut self.keys {
            None => {
                self.row_groups.resize(rows.num_rows(), 0);
                1
            }
            Some(own) => {
                let keys = Keys::of(rows.column(0))?;
                if sorted {
                    find_runs(own, &keys, &mut self.row_groups);
                } else {
                    find_groups(
                        self.seed,
                        own,
                        &mut self.index,
                        &mut self.hashes,
                        &keys,
                        &mut self.row_groups,
                    );
                }
                own.len()
            }
        };
        let groups = &self.row_groups;
        self.accumulators.iter_mut().try_for_each(|a| a.fold(rows, groups, count))
    }
}

fn find_runs(own: &mut GroupKeys, keys: &Keys<'_>, row_groups: &mut Vec<u32>) {
    for row in 0..keys.len() {
        let last = own.len();
        if last == 0 || !own.equals(last - 1, keys, row) {
            own.push(keys, row);
        }
        row_groups.push((own.len() - 1) as u32);
    }
}

/// Not the hash of layouts: a peer can choose keys that collide there, and a table of them would be searched for ever.
fn seeded_hash(keys: &Keys<'_>, row: usize, seed: u64) -> u64 {
    match keys {
        Keys::UInt64(keys) => xxh3_64_with_seed(&keys[row].to_le_bytes(), seed),
        Keys::Utf8(keys) => xxh3_64_with_seed(keys.value(row).as_bytes(), seed),
        Keys::Binary(keys) => xxh3_64_with_seed(keys.value(row), seed),
    }
}

fn find_groups(
    seed: u64,
    own: &mut GroupKeys,
    index: &mut HashTable<u32>,
    hashes: &mut Vec<u64>,
    keys: &Keys<'_>,
    row_groups: &mut Vec<u32>,
) {
    for row in 0..keys.len() {
        let hash = seeded_hash(keys, row, seed);
        let found = index.find(hash, |g| hashes[*g as usize] == hash && own.equals(*g as usize, keys, row));
        let group = match found {
            Some(group) => *group,
            None => {
                let group = own.len() as u32;
                own.push(keys, row);
                hashes.push(hash);
                index.insert_unique(hash, group, |g| hashes[*g as usize]);
                group
            }
        };
        row_groups.push(group);
    }
}

/// Kernel `table.aggregate`: rows in any order.
pub struct Aggregate(Opened);

impl FoldKernel for Aggregate {
    type Params = AggregateParams;
    type State = Groups;
    const NAME: &'static str = "table.aggregate";

    fn output(params: &AggregateParams, input: &TableSchema) -> Result<TableSchema> {
        params.output(input)
    }

    fn open(params: AggregateParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self(Opened::new(params, input)?))
    }

    fn start(&self, _: PartContext) -> Result<Groups> {
        self.0.start()
    }

    fn fold(&self, groups: &mut Groups, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        groups.fold(rows, false)
    }

    fn finish(&self, groups: Groups, out: &mut dyn Emit) -> Result<()> {
        self.0.finish(groups, out)
    }
}

/// Kernel `table.combine`: rows sorted by key, one row for each.
pub struct Combine(Opened);

impl FoldKernel for Combine {
    type Params = AggregateParams;
    type State = Groups;
    const NAME: &'static str = "table.combine";
    const KEEPS: Keeps = Keeps::Groups;

    fn output(params: &AggregateParams, input: &TableSchema) -> Result<TableSchema> {
        if params.grouping != Grouping::Key {
            return Err(Error::invalid("combine works by key"));
        }
        params.output(input)
    }

    fn open(params: AggregateParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self(Opened::new(params, input)?))
    }

    fn start(&self, _: PartContext) -> Result<Groups> {
        self.0.start()
    }

    fn fold(&self, groups: &mut Groups, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        groups.fold(rows, true)
    }

    fn finish(&self, groups: Groups, out: &mut dyn Emit) -> Result<()> {
        self.0.finish(groups, out)
    }
}
