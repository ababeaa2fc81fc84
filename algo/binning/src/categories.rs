//! Categories of text: the distinct ones of a column, and the numbers that replace them.
//!
//! A category's number is its place among the categories in alphabetic order. A column of numbers is what everything else
//! here works on, so a column of text is measured by value as one of integers is.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt16Array, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, Keeps, MapKernel, PartContext};
use tributary_core::{Error, Field, Result, TableSchema};

use crate::cuts::Cuts;
use crate::features::feature_schema;
use crate::model::MISSING;

fn text_column(name: &str, input: &TableSchema) -> Result<usize> {
    let column = input.column_index(name)?;
    match input.arrow().field(column).data_type() {
        DataType::Utf8 => Ok(column),
        other => Err(Error::invalid(format!("column {name:?} has type {other}, expected text"))),
    }
}

/// Parameters of [`ListCategories`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListParams {
    /// Columns of text. A feature's number is its place here.
    pub features: Vec<String>,
}

/// Kernel `binning.categories`: the distinct values of each column in a partition; at most one more than
/// [`Cuts::MAX_CATEGORIES`], which shows that there are too many.
///
/// Shape: rows (feature; `category`). Read them with [`TextCategories::read`].
#[derive(Debug)]
pub struct ListCategories {
    columns: Vec<usize>,
}

fn list_schema() -> Result<TableSchema> {
    feature_schema(vec![Field::new("category", DataType::Utf8)])
}

impl FoldKernel for ListCategories {
    type Params = ListParams;
    type State = Vec<BTreeSet<String>>;
    const NAME: &'static str = "binning.categories";

    fn output(params: &ListParams, input: &TableSchema) -> Result<TableSchema> {
        params.features.iter().try_for_each(|name| text_column(name, input).map(drop))?;
        list_schema()
    }

    fn open(params: ListParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let columns = params.features.iter().map(|name| text_column(name, input));
        Ok(Self { columns: columns.collect::<Result<_>>()? })
    }

    fn start(&self, _: PartContext) -> Result<Self::State> {
        Ok(vec![BTreeSet::new(); self.columns.len()])
    }

    fn fold(&self, found: &mut Self::State, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        for (column, found) in self.columns.iter().zip(found) {
            for value in rows.column(*column).as_string::<i32>().iter().flatten() {
                if found.len() <= Cuts::MAX_CATEGORIES && !found.contains(value) {
                    found.insert(value.to_owned());
                }
            }
        }
        Ok(())
    }

    fn finish(&self, found: Self::State, out: &mut dyn Emit) -> Result<()> {
        for (feature, found) in (0u64..).zip(found).filter(|(_, found)| !found.is_empty()) {
            let features = UInt64Array::from(vec![feature; found.len()]);
            let categories = StringArray::from_iter_values(found);
            out.emit(list_schema()?.batch(vec![Arc::new(features), Arc::new(categories)])?)?;
        }
        Ok(())
    }
}

/// A column of text and its categories, in alphabetic order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextCategories {
    /// The column.
    pub column: String,
    /// Its categories.
    pub categories: Vec<String>,
}

impl TextCategories {
    /// From the rows of [`ListCategories`]. Errors: `InvalidInput` for more categories than [`Cuts::MAX_CATEGORIES`], or
    /// one with the name of the bin of missing values.
    pub fn read(rows: &[RecordBatch], features: &[String]) -> Result<Vec<Self>> {
        let mut found = vec![BTreeSet::new(); features.len()];
        for rows in rows {
            list_schema()?.check(rows)?;
            let feature = rows.column(0).as_primitive::<UInt64Type>().values();
            for (feature, category) in feature.iter().zip(rows.column(1).as_string::<i32>().iter()) {
                let of_feature = found.get_mut(*feature as usize);
                let of_feature =
                    of_feature.ok_or_else(|| Error::bug("a category of an unexpected feature"))?;
                of_feature.extend(category.map(str::to_owned));
            }
        }
        let checked = |(column, categories): (&String, BTreeSet<String>)| {
            if categories.len() > Cuts::MAX_CATEGORIES {
                return Err(Error::invalid(format!(
                    "column {column:?} has more than {} different values, too many for a category",
                    Cuts::MAX_CATEGORIES
                )));
            }
            if categories.contains(MISSING) {
                return Err(Error::invalid(format!(
                    "column {column:?} has a category {MISSING:?}, which is the name of the bin of missing values; \
                     give it another name"
                )));
            }
            Ok(Self { column: column.clone(), categories: categories.into_iter().collect() })
        };
        features.iter().zip(found).map(checked).collect()
    }
}

/// Parameters of [`CodeCategories`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CodeParams {
    /// The columns to change.
    pub columns: Vec<TextCategories>,
}

/// Kernel `binning.code`: the named columns become the numbers of their categories, `UInt16`; what is no category is missing.
#[derive(Debug)]
pub struct CodeCategories {
    columns: Vec<(usize, HashMap<String, u16>)>,
    output: TableSchema,
}

impl MapKernel for CodeCategories {
    type Params = CodeParams;
    const NAME: &'static str = "binning.code";
    const KEEPS: Keeps = Keeps::Both;

    fn output(params: &CodeParams, input: &TableSchema) -> Result<TableSchema> {
        let mut fields = input.fields().to_vec();
        for TextCategories { column, categories } in &params.columns {
            if categories.len() > Cuts::MAX_CATEGORIES {
                return Err(Error::invalid(format!("{} categories of column {column:?}", categories.len())));
            }
            let at = text_column(column, input)? - usize::from(input.key().is_some());
            fields[at] = Field::new(column, DataType::UInt16).nullable();
        }
        input.with_fields(fields)
    }

    fn open(params: CodeParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let output = Self::output(&params, input)?;
        let columns = params.columns.into_iter().map(|TextCategories { column, categories }| {
            Ok((text_column(&column, input)?, categories.into_iter().zip(0..).collect()))
        });
        Ok(Self { columns: columns.collect::<Result<_>>()?, output })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        for (column, numbers) in &self.columns {
            let texts = rows.column(*column).as_string::<i32>().iter();
            let coded: UInt16Array = texts.map(|text| numbers.get(text?).copied()).collect();
            columns[*column] = Arc::new(coded) as ArrayRef;
        }
        self.output.batch(columns)
    }
}
