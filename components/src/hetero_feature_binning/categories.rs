//! Columns of text to measure by value: numbers of their categories in place of the texts, and the names for the model.

use std::collections::BTreeMap;

use arrow_schema::DataType;
use tributary_binning::{CodeCategories, CodeParams, Cuts, ListCategories, ListParams, TextCategories};
use tributary_core::kernel::KernelCall;
use tributary_core::{Result, Table};

/// A table whose chosen columns all hold numbers.
pub(crate) struct Coded {
    pub table: Table,
    /// Names of categories by column of text.
    pub texts: BTreeMap<String, Vec<String>>,
}

impl Coded {
    /// A table without columns of text to measure.
    pub(crate) fn as_is(table: &Table) -> Self {
        Self { table: table.clone(), texts: BTreeMap::new() }
    }

    /// With numbers in place of the texts of those columns that hold any.
    pub(crate) async fn of(table: &Table, columns: &[String]) -> Result<Self> {
        let is_text = |name: &&String| {
            table.schema().field(name).is_some_and(|field| field.data_type == DataType::Utf8)
        };
        let features: Vec<String> = columns.iter().filter(is_text).cloned().collect();
        if features.is_empty() {
            return Ok(Self::as_is(table));
        }
        let list = KernelCall::fold::<ListCategories>(&ListParams { features: features.clone() })?;
        let columns = TextCategories::read(&table.map(list)?.collect().await?, &features)?;
        let code = KernelCall::map::<CodeCategories>(&CodeParams { columns: columns.clone() })?;
        let texts = columns.into_iter().map(|TextCategories { column, categories }| (column, categories));
        Ok(Self { table: table.map(code)?, texts: texts.collect() })
    }

    /// Names of the categories of a column with these cut points.
    pub(crate) fn names(&self, column: &str, cuts: &Cuts) -> Vec<String> {
        let numbers = || cuts.points().iter().map(f64::to_string).collect();
        self.texts.get(column).cloned().unwrap_or_else(numbers)
    }
}
