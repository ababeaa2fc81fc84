//! Groups the rows of one id, and separates them again: `psi.group` makes one row of all rows of a key, `psi.ungroup`
//! undoes it.
//!
//! A guest may have several rows of one match id. Its points must not repeat, for then a host would see how often each
//! occurs; so it masks its rows, keeps the numbers of the rows of each point in a list, and takes the lists apart when the
//! common points are known. A host does the same with the positions that a row of its own has among the common rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, ListArray, RecordBatch, UInt32Array, UInt64Array};
use arrow_buffer::OffsetBuffer;
use arrow_ord::cmp;
use arrow_schema::DataType;
use arrow_select::concat::concat;
use arrow_select::take::take;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, Keeps, PartContext};
use tributary_core::{Error, Field, Result, TableSchema};

/// Most rows of a batch that a group becomes.
const BATCH_ROWS: usize = 8_192;

fn item() -> Arc<arrow_schema::Field> {
    Arc::new(arrow_schema::Field::new_list_field(DataType::UInt64, true))
}

/// Kernel `psi.group`: rows of one key, which are adjacent, become one.
///
/// Shape: the key and one column of `UInt64`; that column becomes a list of its numbers, in the order of the rows. Cost:
/// the numbers of one key are held at once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupNumbers {
    /// The column of numbers; the only one besides the key.
    pub column: String,
}

/// The last key that was seen, and its numbers so far: more may follow.
#[derive(Debug, Default)]
pub struct OpenGroup {
    key: Option<ArrayRef>,
    numbers: Vec<u64>,
}

impl GroupNumbers {
    fn batch(
        &self,
        key: &TableSchema,
        keys: ArrayRef,
        lengths: Vec<usize>,
        numbers: Vec<u64>,
    ) -> Result<RecordBatch> {
        let numbers = Arc::new(UInt64Array::from(numbers));
        let lists = ListArray::try_new(item(), OffsetBuffer::from_lengths(lengths), numbers, None)?;
        key.batch(vec![keys, Arc::new(lists)])
    }
}

/// An opened [`GroupNumbers`].
#[derive(Debug)]
pub struct Group {
    params: GroupNumbers,
    output: TableSchema,
}

impl FoldKernel for Group {
    type Params = GroupNumbers;
    type State = OpenGroup;
    const NAME: &'static str = "psi.group";
    const KEEPS: Keeps = Keeps::Groups;

    fn output(params: &GroupNumbers, input: &TableSchema) -> Result<TableSchema> {
        let key = input.expect_key("grouping by key")?.clone();
        match input.fields() {
            [field] if field.name == params.column && field.data_type == DataType::UInt64 => {
                TableSchema::new(Some(key), vec![Field::new(&params.column, DataType::List(item()))])
            }
            _ => Err(Error::invalid(format!("grouping of {input:?}, expected one column of UInt64"))),
        }
    }

    fn open(params: GroupNumbers, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self { output: Self::output(&params, input)?, params })
    }

    fn start(&self, _: PartContext) -> Result<OpenGroup> {
        Ok(OpenGroup::default())
    }

    fn fold(&self, open: &mut OpenGroup, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let (keys, numbers) = (rows.column(0), rows.column(1).as_primitive::<UInt64Type>().values());
        let mut starts = starts(keys)?;
        let (mut lengths, mut done, mut first) = (Vec::new(), Vec::new(), None);
        if let Some(key) = open.key.take() {
            if !starts.is_empty() && cmp::eq(&key, &keys.slice(0, 1))?.value(0) {
                open.numbers.extend(&numbers[..starts.get(1).copied().unwrap_or(numbers.len())]);
                starts.remove(0);
            }
            if starts.is_empty() {
                open.key = Some(key);
                return Ok(());
            }
            done.append(&mut open.numbers);
            lengths.push(done.len());
            first = Some(key);
        }
        let Some(last) = starts.pop() else { return Ok(()) };
        let begin = starts.first().copied().unwrap_or(last);
        lengths
            .extend(starts.iter().zip(starts.iter().skip(1).chain([&last])).map(|(start, end)| end - start));
        done.extend(&numbers[begin..last]);
        (open.key, open.numbers) = (Some(keys.slice(last, 1)), numbers[last..].to_vec());
        if lengths.is_empty() {
            return Ok(());
        }
        let complete =
            take(keys, &UInt64Array::from_iter_values(starts.iter().map(|start| *start as u64)), None)?;
        let keys = match first {
            Some(first) => concat(&[&first, &complete])?,
            None => complete,
        };
        out.emit(self.params.batch(&self.output, keys, lengths, done)?)
    }

    fn finish(&self, open: OpenGroup, out: &mut dyn Emit) -> Result<()> {
        match open.key {
            Some(key) => {
                let length = open.numbers.len();
                out.emit(self.params.batch(&self.output, key, vec![length], open.numbers)?)
            }
            None => Ok(()),
        }
    }
}

/// The rows at which another key than the one before begins.
fn starts(keys: &ArrayRef) -> Result<Vec<usize>> {
    let rows = keys.len();
    if rows == 0 {
        return Ok(Vec::new());
    }
    let changes = cmp::neq(&keys.slice(0, rows - 1), &keys.slice(1, rows - 1))?;
    Ok(std::iter::once(0).chain(changes.values().set_indices().map(|row| row + 1)).collect())
}

/// Kernel `psi.ungroup`: a row with a list of numbers becomes a row for each of them.
///
/// Shape: the column of lists becomes one of `UInt64`; all else is repeated. No key is unique any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UngroupNumbers {
    /// The column of lists.
    pub column: String,
}

/// An opened [`UngroupNumbers`].
#[derive(Debug)]
pub struct Ungroup {
    column: usize,
    output: TableSchema,
}

impl FoldKernel for Ungroup {
    type Params = UngroupNumbers;
    type State = ();
    const NAME: &'static str = "psi.ungroup";

    fn output(params: &UngroupNumbers, input: &TableSchema) -> Result<TableSchema> {
        let lists = DataType::List(item());
        let fields = input.fields().iter().map(|field| match field.name == params.column {
            true if field.data_type == lists => Ok(Field::new(&field.name, DataType::UInt64)),
            true => Err(Error::invalid(format!(
                "column {:?} has type {}, expected {lists}",
                field.name, field.data_type
            ))),
            false => Ok(field.clone()),
        });
        input.column_index(&params.column)?;
        input.with_fields(fields.collect::<Result<_>>()?)
    }

    fn open(params: UngroupNumbers, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self { column: input.column_index(&params.column)?, output: Self::output(&params, input)? })
    }

    fn start(&self, _: PartContext) -> Result<()> {
        Ok(())
    }

    fn fold(&self, _: &mut (), rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let lists = rows.column(self.column).as_list::<i32>();
        let numbers = lists.values().as_primitive::<UInt64Type>().values();
        let offsets = lists.value_offsets();
        let row_of = (0u32..)
            .zip(offsets.windows(2))
            .flat_map(|(row, ends)| (ends[0]..ends[1]).map(move |at| (row, at as usize)));
        let wanted: Vec<(u32, usize)> = row_of.collect();
        for part in wanted.chunks(BATCH_ROWS) {
            let from = UInt32Array::from_iter_values(part.iter().map(|(row, _)| *row));
            let mut columns = Vec::with_capacity(rows.num_columns());
            for (index, column) in rows.columns().iter().enumerate() {
                columns.push(match index == self.column {
                    true => Arc::new(UInt64Array::from_iter_values(part.iter().map(|(_, at)| numbers[*at]))),
                    false => take(column, &from, None)?,
                });
            }
            out.emit(self.output.batch(columns)?)?;
        }
        Ok(())
    }

    fn finish(&self, (): (), _: &mut dyn Emit) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::StringArray;
    use proptest::prelude::*;
    use tributary_core::KeyType;

    use super::*;

    fn run<K: FoldKernel>(params: K::Params, input: &TableSchema, rows: &[RecordBatch]) -> Vec<RecordBatch> {
        let output = K::output(&params, input).unwrap();
        let kernel = K::open(params, input, &[]).unwrap();
        let mut state = kernel.start(PartContext { partition: 0, partitions: 1, first_row: None }).unwrap();
        let mut out = Vec::<RecordBatch>::new();
        for rows in rows {
            kernel.fold(&mut state, rows, &mut out).unwrap();
        }
        kernel.finish(state, &mut out).unwrap();
        out.iter().for_each(|rows| output.check(rows).unwrap());
        out
    }

    proptest! {
        #[test]
        fn groups_have_all_numbers_and_come_apart_again(sizes in prop::collection::vec(1usize..5, 0..30), batch in 1usize..7) {
            let rows: Vec<(String, u64)> =
                sizes.iter().enumerate().flat_map(|(key, size)| vec![format!("k{key}"); *size]).zip(7..).collect();
            let schema = TableSchema::keyed("id", KeyType::Utf8, vec![Field::new("n", DataType::UInt64)]).unwrap();
            let batches: Vec<RecordBatch> = rows
                .chunks(batch)
                .map(|rows| {
                    let keys = StringArray::from_iter_values(rows.iter().map(|(key, _)| key));
                    let numbers = UInt64Array::from_iter_values(rows.iter().map(|(_, number)| *number));
                    schema.batch(vec![Arc::new(keys), Arc::new(numbers)]).unwrap()
                })
                .collect();
            let group = GroupNumbers { column: "n".into() };
            let grouped = run::<Group>(group.clone(), &schema, &batches);
            prop_assert_eq!(grouped.iter().map(RecordBatch::num_rows).sum::<usize>(), sizes.len());
            let grouped_schema = Group::output(&group, &schema).unwrap();
            let again = run::<Ungroup>(UngroupNumbers { column: "n".into() }, &grouped_schema, &grouped);
            let again: Vec<(String, u64)> = again
                .iter()
                .flat_map(|rows| {
                    let keys = rows.column(0).as_string::<i32>().iter().map(|key| key.unwrap().to_owned());
                    keys.zip(rows.column(1).as_primitive::<UInt64Type>().values().to_vec()).collect::<Vec<_>>()
                })
                .collect();
            prop_assert_eq!(again, rows);
        }
    }
}
