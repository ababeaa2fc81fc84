//! A condition on batches. Truth has three values, kept as two masks: where it is true, and where it is false.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, Scalar, StringArray};
use arrow_buffer::BooleanBuffer;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_ord::cmp;
use arrow_schema::DataType;
use arrow_select::filter::filter_record_batch;
use tributary_core::{Error, Result, TableSchema};
use tributary_suggest::suggestion;

use super::parse::{Column, Comparison, Literal, Tree, Value, wrong};

/// A condition on the rows of a table.
#[derive(Debug, Clone)]
pub struct Filter {
    test: Test,
    /// Places of its columns among those of the table, in ascending order.
    places: Vec<usize>,
}

/// Columns are by their place in the table.
#[derive(Debug, Clone)]
enum Test {
    Or(Box<Test>, Box<Test>),
    And(Box<Test>, Box<Test>),
    Not(Box<Test>),
    Compare(usize, Comparison, ArrayRef),
    In(usize, Vec<ArrayRef>),
    IsNull(usize),
}

struct Truth {
    yes: BooleanBuffer,
    no: BooleanBuffer,
}

impl Filter {
    pub(super) fn of(tree: Tree, schema: &TableSchema) -> Result<Self> {
        let mut places = Vec::new();
        let test = resolve(tree, schema, &mut places)?;
        places.sort_unstable();
        places.dedup();
        Ok(Self { test, places })
    }

    /// The places of its columns among those of the table's batches.
    pub fn columns(&self) -> &[usize] {
        &self.places
    }

    /// The rows of a batch for which it is true. `read`: the places of the batch's columns among those of the table.
    pub fn keep(&self, batch: &RecordBatch, read: &[usize]) -> Result<RecordBatch> {
        let yes = self.test.on(batch, read)?.yes;
        Ok(filter_record_batch(batch, &BooleanArray::new(yes, None))?)
    }
}

fn resolve(tree: Tree, schema: &TableSchema, places: &mut Vec<usize>) -> Result<Test> {
    let mut column = |column: &Column| {
        let place = place(column, schema)?;
        places.push(place);
        Ok::<_, Error>((place, schema.arrow().field(place).data_type()))
    };
    Ok(match tree {
        Tree::Or(one, other) => {
            Test::Or(Box::new(resolve(*one, schema, places)?), Box::new(resolve(*other, schema, places)?))
        }
        Tree::And(one, other) => {
            Test::And(Box::new(resolve(*one, schema, places)?), Box::new(resolve(*other, schema, places)?))
        }
        Tree::Not(tree) => Test::Not(Box::new(resolve(*tree, schema, places)?)),
        Tree::IsNull(named) => Test::IsNull(column(&named)?.0),
        Tree::Compare(named, comparison, value) => {
            let (place, data_type) = column(&named)?;
            Test::Compare(place, comparison, typed(&named.name, data_type, &value)?)
        }
        Tree::In(named, values) => {
            let (place, data_type) = column(&named)?;
            let values = values.iter().map(|value| typed(&named.name, data_type, value));
            Test::In(place, values.collect::<Result<_>>()?)
        }
    })
}

fn place(column: &Column, schema: &TableSchema) -> Result<usize> {
    let fields = schema.arrow().fields();
    fields.iter().position(|field| *field.name() == column.name).ok_or_else(|| {
        let help = suggestion(&column.name, fields.iter().map(|field| field.name().as_str()));
        let help = help.map_or(String::new(), |help| format!(" ({help})"));
        wrong(column.at, format!("there is no column {:?}{help}", column.name))
    })
}

/// The value as one of the column's type.
fn typed(column: &str, data_type: &DataType, value: &Value) -> Result<ArrayRef> {
    use DataType as T;
    let expected = match data_type {
        T::Utf8 => "a text in single quotes",
        T::Boolean => "true or false",
        T::Date32 => "a day in single quotes, as '2024-01-31'",
        T::Timestamp(_, _) => "a time in single quotes, as '2024-01-31T12:30:00'",
        _ if data_type.is_numeric() => "a number that it can hold",
        _ => {
            let text = format!(
                "column {column:?} is {data_type}, which has no values here; only \"is null\" can be asked of it"
            );
            return Err(wrong(value.at, text));
        }
    };
    let text = match (&value.literal, data_type) {
        (Literal::Text(text), T::Utf8 | T::Date32 | T::Timestamp(_, _)) => text.clone(),
        (Literal::Bool(truth), T::Boolean) => truth.to_string(),
        (Literal::Number(text), _) if data_type.is_numeric() => text.trim_start_matches('+').to_owned(),
        _ => return Err(wrong(value.at, format!("column {column:?} is {data_type}, expected {expected}"))),
    };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let cast = cast_with_options(&text, data_type, &strict);
    let exact = cast.ok().filter(|cast| is_exact(&text, cast));
    exact.ok_or_else(|| wrong(value.at, format!("column {column:?} is {data_type}, expected {expected}")))
}

/// Decimals are rounded to what a column keeps, which would change a comparison.
fn is_exact(text: &ArrayRef, cast: &ArrayRef) -> bool {
    let DataType::Decimal128(_, scale) = cast.data_type() else { return true };
    let text = text.as_string::<i32>().value(0);
    let digits = text.split_once('.').map_or("", |(_, digits)| digits.trim_end_matches('0'));
    digits.len() as i64 <= i64::from(*scale) && !text.contains(['e', 'E'])
}

impl Test {
    fn on(&self, batch: &RecordBatch, read: &[usize]) -> Result<Truth> {
        let column = |place: &usize| {
            let at =
                read.binary_search(place).map_err(|_| Error::bug("a column of a condition was not read"))?;
            batch.columns().get(at).ok_or_else(|| Error::bug("a column of a condition is not in the batch"))
        };
        Ok(match self {
            Self::Or(one, other) => one.on(batch, read)?.or(&other.on(batch, read)?),
            Self::And(one, other) => one.on(batch, read)?.not().or(&other.on(batch, read)?.not()).not(),
            Self::Not(test) => test.on(batch, read)?.not(),
            Self::IsNull(place) => {
                let column = column(place)?;
                let is_there = match column.logical_nulls() {
                    Some(nulls) => nulls.inner().clone(),
                    None => BooleanBuffer::new_set(column.len()),
                };
                Truth { yes: !&is_there, no: is_there }
            }
            Self::Compare(place, comparison, value) => compare(column(place)?, *comparison, value)?,
            Self::In(place, values) => {
                let column = column(place)?;
                let nothing = BooleanBuffer::new_unset(column.len());
                let mut truth = Truth { no: !&nothing, yes: nothing };
                for value in values {
                    truth = truth.or(&compare(column, Comparison::Equal, value)?);
                }
                truth
            }
        })
    }
}

fn compare(column: &ArrayRef, comparison: Comparison, value: &ArrayRef) -> Result<Truth> {
    let value = Scalar::new(value.clone());
    let compared = match comparison {
        Comparison::Equal => cmp::eq(column, &value),
        Comparison::NotEqual => cmp::neq(column, &value),
        Comparison::Less => cmp::lt(column, &value),
        Comparison::LessOrEqual => cmp::lt_eq(column, &value),
        Comparison::Greater => cmp::gt(column, &value),
        Comparison::GreaterOrEqual => cmp::gt_eq(column, &value),
    }?;
    let (values, nulls) = compared.into_parts();
    let no = !&values;
    Ok(match nulls {
        None => Truth { yes: values, no },
        Some(there) => Truth { yes: &values & there.inner(), no: &no & there.inner() },
    })
}

impl Truth {
    fn or(&self, other: &Self) -> Self {
        Self { yes: &self.yes | &other.yes, no: &self.no & &other.no }
    }

    fn not(self) -> Self {
        Self { yes: self.no, no: self.yes }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Date32Array, Decimal128Array, Float64Array, Int64Array};
    use proptest::prelude::*;
    use tributary_core::{Field, KeyType};

    use super::*;

    fn schema() -> TableSchema {
        let fields = vec![
            Field::new("age", DataType::Int64).nullable(),
            Field::new("a b", DataType::Float64),
            Field::new("day", DataType::Date32),
            Field::new("ok", DataType::Boolean),
            Field::new("price", DataType::Decimal128(10, 2)),
            Field::new("raw", DataType::Binary),
        ];
        TableSchema::keyed("id", KeyType::Utf8, fields).unwrap()
    }

    /// The ids of rows a, b, c with ages 1, missing, 3.
    fn kept(text: &str) -> Result<String> {
        let filter = Filter::parse(text, &schema())?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["a", "b", "c"])),
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])),
            Arc::new(Float64Array::from(vec![0.5, f64::NAN, -1e3])),
            Arc::new(Date32Array::from(vec![0, 1, 2])),
            Arc::new(BooleanArray::from(vec![true, false, true])),
            Arc::new(Decimal128Array::from(vec![100, 150, 200]).with_precision_and_scale(10, 2).unwrap()),
            Arc::new(arrow_array::BinaryArray::from(vec![&b"x"[..], b"", b"y"])),
        ];
        let all = schema().batch(columns).unwrap();
        // the id is read besides
        let read: Vec<usize> =
            (0..7).filter(|place| *place == 0 || filter.columns().contains(place)).collect();
        let kept = filter.keep(&all.project(&read).unwrap(), &read)?;
        Ok(kept.column(0).as_string::<i32>().iter().flatten().collect())
    }

    #[test]
    fn rows_stay_where_the_condition_is_true() {
        for (text, expected) in [
            ("age = 1", "a"),
            ("age <> 1", "c"),
            ("not age = 1", "c"),
            ("age is null", "b"),
            ("age IS NOT NULL", "ac"),
            ("age in (1, 3)", "ac"),
            ("age not in (1)", "c"),
            ("age > 1 or id = 'b'", "bc"),
            ("age > 1 or id = 'b' and ok = true", "c"),
            ("(age > 1 or id = 'b') and ok = false", "b"),
            ("not (age > 1 and id = 'c')", "ab"),
            ("\"a b\" >= .5", "ab"),
            ("\"a b\" < -1e2", "c"),
            ("day >= '1970-01-02'", "bc"),
            ("ok == true", "ac"),
            ("price = 1.5", "b"),
            ("price < 2", "ab"),
            ("id > 'a' AND id <= 'c'", "bc"),
            ("raw is null", ""),
            ("id = 'it''s'", ""),
        ] {
            assert_eq!(kept(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_have_their_position_and_the_nearest_name() {
        for (text, expected) in [
            ("agee = 1", "position 1: there is no column \"agee\" (did you mean \"age\"?)"),
            ("age = 1 and", "position 12: expected the name of a column"),
            ("age = 1.5", "position 7: column \"age\" is Int64, expected a number that it can hold"),
            ("age = 'x'", "position 7: column \"age\" is Int64"),
            ("id = 1", "position 6: column \"id\" is Utf8, expected a text in single quotes"),
            ("day = '2024-31-01'", "expected a day in single quotes"),
            ("price = 1.505", "expected a number that it can hold"),
            ("age = null", "position 7: a missing value equals nothing"),
            ("age = 1 id = 'a'", "position 9: expected and, or, or the end, got \"id\""),
            ("age ~ 1", "position 5: unexpected '~'"),
            ("age = 'x", "position 7: a ' that is never closed"),
            ("age in 1", "position 8: expected \"(\""),
            ("age not = 1", "position 9: expected in after column \"age\", got a comparison"),
            ("(age = 1", "position 9: expected \")\", got the end"),
            ("raw = 'x'", "position 7: column \"raw\" is Binary, which has no values here"),
            ("", "position 1: expected the name of a column"),
        ] {
            let error = kept(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(kept(&"(".repeat(100_000)).is_err() && kept(&"not ".repeat(1000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-c =<>!()'\".,0-9eE+-]{0,40}|((age|id|not|and|or|in|is|null|true|\\(|\\)|,|=|1|'x') ){0,12}") {
            drop(kept(&text));
        }
    }
}
