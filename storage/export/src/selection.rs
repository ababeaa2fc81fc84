//! Which part of a table goes out: columns, rows by a condition, a number of rows. No more is read than that, as far as the store can.

use arrow_array::RecordBatch;
use tributary_core::wanted::Wanted;
use tributary_core::{Error, Field, Result, TableSchema};
use tributary_suggest::suggestion;

use crate::filter::Filter;

/// Part of a table.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The columns that go out, in their order.
    schema: TableSchema,
    /// Places of the columns to read among those of the table, in ascending order; all of them if none are named.
    read: Option<Vec<usize>>,
    /// For each column that goes out, its position among those that are read.
    out: Option<Vec<usize>>,
    filter: Option<Filter>,
    limit: Option<u64>,
}

impl Selection {
    /// All of a table with this schema.
    pub fn all(schema: &TableSchema) -> Self {
        Self { schema: schema.clone(), read: None, out: None, filter: None, limit: None }
    }

    /// These columns, in this order. `InvalidInput`, with the nearest name, for one that the table does not have, or that is named twice.
    pub fn columns(self, names: &[String], of: &TableSchema) -> Result<Self> {
        let fields = of.arrow().fields();
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            let place = fields.iter().position(|field| field.name() == name).ok_or_else(|| {
                let help = suggestion(name, fields.iter().map(|field| field.name().as_str()));
                let help = help.map_or(String::new(), |help| format!(" ({help})"));
                Error::invalid(format!("there is no column {name:?}{help}"))
            })?;
            if places.contains(&place) {
                return Err(Error::invalid(format!("column {name:?} is named twice")));
            }
            places.push(place);
        }
        Ok(Self { schema: of_places(of, &places)?, out: Some(places), ..self }.planned())
    }

    /// The rows for which this is true; see [`Filter::parse`].
    #[must_use]
    pub fn filter(self, filter: Filter) -> Self {
        Self { filter: Some(filter), ..self }.planned()
    }

    /// So many rows at most, the first ones.
    #[must_use]
    pub fn limit(self, rows: u64) -> Self {
        Self { limit: Some(rows), ..self }
    }

    /// The columns that go out.
    pub fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// Whether all rows go out.
    pub(crate) fn has_all_rows(&self) -> bool {
        self.filter.is_none() && self.limit.is_none()
    }

    /// What to read: `out` comes with places in the table, and goes with positions among the columns that are read.
    fn planned(self) -> Self {
        let places = match (&self.read, &self.out) {
            (_, None) => return self,
            (Some(read), Some(out)) => out.iter().filter_map(|at| read.get(*at).copied()).collect(),
            (None, Some(out)) => out.clone(),
        };
        let mut read: Vec<usize> = places.clone();
        read.extend(self.filter.iter().flat_map(|filter| filter.columns().iter().copied()));
        read.sort_unstable();
        read.dedup();
        let out = places.iter().filter_map(|place| read.binary_search(place).ok()).collect();
        Self { read: Some(read), out: Some(out), ..self }
    }

    /// What is to be read of a partition of so many rows, if `left` more rows may go out.
    pub(crate) fn wanted(&self, rows: u64, left: u64) -> Wanted {
        let mut wanted = Wanted::default();
        if let Some(read) = &self.read {
            wanted = wanted.with_columns(read.iter().copied());
        }
        match self.filter {
            None if left < rows => wanted.with_rows(0..left),
            _ => wanted,
        }
    }

    /// How many rows may go out.
    pub(crate) fn most(&self) -> u64 {
        self.limit.unwrap_or(u64::MAX)
    }

    /// The part of a batch that goes out, if `left` more rows may.
    pub(crate) fn of(&self, batch: RecordBatch, left: u64) -> Result<RecordBatch> {
        let batch = match &self.filter {
            None => batch,
            Some(filter) => match &self.read {
                Some(read) => filter.keep(&batch, read)?,
                None => filter.keep(&batch, &(0..batch.num_columns()).collect::<Vec<_>>())?,
            },
        };
        let rows = usize::try_from(left).unwrap_or(usize::MAX).min(batch.num_rows());
        let batch = batch.slice(0, rows);
        match &self.out {
            None => Ok(batch),
            Some(out) => Ok(batch.project(out)?.with_schema(self.schema.arrow().clone())?),
        }
    }
}

/// A key that is not the first column is one like others.
fn of_places(schema: &TableSchema, places: &[usize]) -> Result<TableSchema> {
    let before = usize::from(schema.key().is_some());
    let key = schema.key().filter(|_| places.first() == Some(&0)).cloned();
    let rest = &places[usize::from(key.is_some())..];
    let field = |place: &usize| match (place.checked_sub(before), schema.key()) {
        (Some(place), _) => schema.fields().get(place).cloned(),
        (None, key) => key.map(|key| Field::new(key.name.as_str(), key.key_type.data_type())),
    };
    TableSchema::new(key, rest.iter().filter_map(field).collect())
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;
    use tributary_core::KeyType;

    use super::*;

    fn schema() -> TableSchema {
        let field = |name| Field::new(name, DataType::Int64);
        TableSchema::keyed("id", KeyType::Utf8, vec![field("a"), field("b"), field("c")]).unwrap()
    }

    fn names(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn no_more_is_read_than_columns_and_condition_need() {
        let all = Selection::all(&schema());
        assert_eq!(all.wanted(10, 20), Wanted::default());
        let filter = || Filter::parse("b > 1", &schema()).unwrap();
        let selected = |columns: &str| all.clone().columns(&names(columns), &schema()).unwrap();
        for both in [
            selected("c,id").filter(filter()),
            all.clone().filter(filter()).columns(&names("c,id"), &schema()).unwrap(),
        ] {
            assert_eq!(both.wanted(10, 5), Wanted::default().with_columns([0, 2, 3]));
            assert_eq!(both.out, Some(vec![2, 0]));
        }
        assert_eq!(selected("c").limit(3).wanted(10, 3), Wanted::default().with_columns([3]).with_rows(0..3));
        assert_eq!(all.clone().filter(filter()).wanted(10, 3), Wanted::default(), "all columns go out");
    }

    #[test]
    fn columns_go_out_as_they_are_named_or_not_at_all() {
        let selected = |columns: &str| Selection::all(&schema()).columns(&names(columns), &schema());
        assert_eq!(selected("id,c").unwrap().schema().key().unwrap().name, "id");
        let other = selected("c,id").unwrap();
        assert!(other.schema().key().is_none() && other.schema().arrow().field(1).name() == "id");
        assert!(selected("a,a").unwrap_err().to_string().contains("named twice"));
        let error = selected("idd").unwrap_err().to_string();
        assert!(error.contains("no column \"idd\" (did you mean \"id\"?)"), "{error}");
    }
}
