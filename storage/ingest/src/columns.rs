//! The columns that a table gets from those of a file: roles by name, in the order sample id, match id, label, weight, the
//! rest.

mod fit;
mod notes;

use std::collections::HashSet;

use arrow_schema::DataType;
use data_encoding::HEXLOWER;
use tributary_core::bound::MadeIds;
use tributary_core::schema::Key;
use tributary_core::{Error, Field, KeyType, Purpose, Result, TableSchema};
use tributary_csv::ValueType;
use tributary_document::{quoted, suggestion};
use tributary_system::random;

use crate::options::{ColumnOptions, SampleId, UploadOptions};
use crate::summary::Role;

/// Name of the key column when ids are made.
const MADE_ID: &str = "extend_sid";

/// The table's columns from a file's columns, before their types are known.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub key: KeySource,
    key_name: String,
    /// Why the ids are taken from this column.
    id_why: String,
    /// Why the other roles have their columns.
    role_why: &'static str,
    /// Notes for the user about this choice.
    pub notes: Vec<String>,
    /// Spellings of a missing id.
    pub key_nulls: Vec<String>,
    pub values: Vec<Column>,
}

/// What the files themselves say about their columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hints {
    /// Position of the column with the ids, unless the options name one, and why.
    pub id: Option<(usize, String)>,
    /// Positions of columns that are left out, unless the options name them.
    pub left_out: Vec<usize>,
    /// Notes for the user about that.
    pub notes: Vec<String>,
}

/// Where keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// The values of a column of the file.
    Column(usize),
    /// A prefix and the row's number.
    Made(MadeIds),
}

/// One column of the table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub name: String,
    /// Position in the file.
    pub position: usize,
    pub purpose: Purpose,
    /// The type that was given.
    pub given: Option<ValueType>,
    /// The type in the existing table, if rows are added to one.
    pub stored: Option<DataType>,
    pub nulls: Vec<String>,
}

impl Column {
    /// Whether values may be missing: only those of features may.
    pub fn may_be_missing(&self) -> bool {
        self.purpose == Purpose::Value
    }
}

/// A column whose type is known.
#[derive(Debug, Clone)]
pub(crate) struct TypedColumn {
    pub column: Column,
    pub value_type: ValueType,
    pub nullable: bool,
}

impl TypedColumn {
    /// The purpose of the column, which for a category depends on its type.
    pub fn purpose(&self) -> Purpose {
        match (self.value_type, &self.column.purpose) {
            (ValueType::Category, Purpose::Value) => Purpose::Category,
            (_, purpose) => purpose.clone(),
        }
    }
}

impl Columns {
    /// Finds the columns that the options name among those of the file. `InvalidInput` for a missing column, or for one with
    /// two roles.
    pub fn resolve(options: &UploadOptions, names: &[String], hints: &Hints) -> Result<Self> {
        let find = |what: &str, name: &str| find(names, what, name);
        for name in options.columns.keys() {
            find("options are given for column", name)?;
        }
        let mut skipped =
            options.skip.iter().map(|name| find("skip", name)).collect::<Result<HashSet<_>>>()?;
        let (id, id_why) = match (&options.sample_id, &hints.id) {
            (SampleId::FirstColumn, Some((position, why))) => (Some(*position), why.clone()),
            (SampleId::FirstColumn, None) => (Some(0), "the first column".to_owned()),
            (SampleId::Column(name), _) => (Some(find("sample id", name)?), "as given".to_owned()),
            (SampleId::Made, _) => (None, "made".to_owned()),
        };
        let named = [&options.match_id, &options.label, &options.weight];
        let is_named =
            |name: &String| options.columns.contains_key(name) || named.contains(&&Some(name.clone()));
        skipped.extend(hints.left_out.iter().filter(|i| id != Some(**i) && !is_named(&names[**i])));
        let mut taken = Roles { names, skipped: &skipped, taken: id.into_iter().collect() };
        if let Some(id) = id {
            taken.check_kept(id)?;
        }
        let role = |taken: &mut Roles, what: &str, name: &Option<String>, purpose: Purpose| {
            let Some(name) = name else { return Ok(None) };
            let position = find(what, name)?;
            if purpose == Purpose::MatchId && id == Some(position) {
                return Ok(None); // parties match on the key itself
            }
            taken.take(position)?;
            Ok::<_, Error>(Some(column(options, names, position, purpose)))
        };
        let match_id = role(&mut taken, "match id", &options.match_id, Purpose::MatchId)?;
        let label = role(&mut taken, "label", &options.label, Purpose::Label)?;
        let weight = role(&mut taken, "weight", &options.weight, Purpose::Weight)?;
        let rest = (0..names.len()).filter(|i| !taken.taken.contains(i) && !skipped.contains(i));
        let rest = rest.map(|i| column(options, names, i, Purpose::Value));
        let values: Vec<Column> = [match_id, label, weight].into_iter().flatten().chain(rest).collect();
        Ok(Self {
            id_why,
            role_why: "as given",
            notes: notes::of(options, names, id, &values, hints),
            key: id.map_or_else(|| made_ids().map(KeySource::Made), |i| Ok(KeySource::Column(i)))?,
            key_name: id.map_or(MADE_ID.to_owned(), |i| names[i].clone()),
            key_nulls: id.map_or(Vec::new(), |i| nulls(options, &names[i])),
            values,
        })
    }

    /// The columns of a table that rows are added to, found by name among those of a file, in the table's order.
    /// `InvalidInput` if the file has others, or the options ask for others.
    pub fn of_table(
        options: &UploadOptions,
        names: &[String],
        file: &str,
        table: &TableSchema,
    ) -> Result<Self> {
        let sample_id = fit::check(options, names, table)?;
        // the other options agree with the table
        let own = |own: &ColumnOptions| ColumnOptions { value_type: None, ..own.clone() };
        let plain = UploadOptions {
            sample_id,
            match_id: None,
            label: None,
            weight: None,
            default_type: None,
            columns: options.columns.iter().map(|(name, column)| (name.clone(), own(column))).collect(),
            ..options.clone()
        };
        let found = Self::resolve(&plain, names, &Hints::default())?;
        let values = fit::columns(found.values, file, table)?;
        let why = "as in the table";
        Ok(Self { values, id_why: why.to_owned(), role_why: why, notes: options.notes.clone(), ..found })
    }

    /// `InvalidInput` for a column of the table whose type CSV cells cannot have.
    pub fn check_cells(&self) -> Result<()> {
        let other = self.values.iter().filter(|column| column.given.is_none());
        match other.into_iter().find_map(|column| Some((column, column.stored.as_ref()?))) {
            Some((column, stored)) => Err(Error::invalid(format!(
                "column {} is {stored} in the table, which CSV values cannot become; add rows of a Parquet file",
                quoted(&column.name)
            ))),
            None => Ok(()),
        }
    }

    /// The columns with the ids, the label and other roles, and why.
    pub fn roles(&self) -> Vec<Role> {
        let role = |role: &str, column: &str, why: &str| Role {
            role: role.to_owned(),
            column: column.to_owned(),
            why: why.to_owned(),
        };
        let named = self.values.iter().filter_map(|column| {
            let name = match column.purpose {
                Purpose::MatchId => "match id",
                Purpose::Label => "label",
                Purpose::Weight => "weight",
                _ => return None,
            };
            Some(role(name, &column.name, self.role_why))
        });
        [role("sample id", &self.key_name, &self.id_why)].into_iter().chain(named).collect()
    }

    /// The schema, once types are known.
    pub fn schema(&self, typed: &[TypedColumn]) -> Result<TableSchema> {
        let fields = typed.iter().map(|typed| Field {
            name: typed.column.name.clone(),
            data_type: typed.value_type.data_type(),
            nullable: typed.nullable,
            purpose: typed.purpose(),
        });
        self.schema_of(KeyType::Utf8, fields.collect())
    }

    /// The schema of the key and these columns after it.
    pub fn schema_of(&self, key_type: KeyType, fields: Vec<Field>) -> Result<TableSchema> {
        TableSchema::new(Some(Key { name: self.key_name.clone(), key_type }), fields)
    }

    /// The part of a table's schema that is in the files: all but a generated key.
    pub fn in_files(&self, schema: &TableSchema) -> Result<TableSchema> {
        match self.key {
            KeySource::Column(_) => Ok(schema.clone()),
            KeySource::Made(_) => TableSchema::new(None, schema.fields().to_vec()),
        }
    }

    /// Where the columns of [`Columns::in_files`] are in records of CSV, and how they are written.
    pub fn in_records(&self, typed: &[TypedColumn]) -> Vec<tributary_csv::Column> {
        let id = match self.key {
            KeySource::Made(_) => None,
            KeySource::Column(position) => {
                let mut nulls = self.key_nulls.clone();
                if nulls.iter().all(|spelling| !spelling.is_empty()) {
                    nulls.push(String::new()); // an empty id is missing
                }
                Some(tributary_csv::Column { position, value_type: ValueType::Text, nulls })
            }
        };
        let values = typed.iter().map(|typed| tributary_csv::Column {
            position: typed.column.position,
            value_type: typed.value_type,
            nulls: typed.column.nulls.clone(),
        });
        id.into_iter().chain(values).collect()
    }
}

/// Which columns have a role already.
struct Roles<'a> {
    names: &'a [String],
    skipped: &'a HashSet<usize>,
    taken: HashSet<usize>,
}

impl Roles<'_> {
    fn take(&mut self, position: usize) -> Result<()> {
        self.check_kept(position)?;
        if !self.taken.insert(position) {
            let name = quoted(&self.names[position]);
            return Err(Error::invalid(format!(
                "column {name} cannot be more than one of sample id, match id, label and weight"
            )));
        }
        Ok(())
    }

    fn check_kept(&self, position: usize) -> Result<()> {
        if self.skipped.contains(&position) {
            let name = quoted(&self.names[position]);
            return Err(Error::invalid(format!("column {name} cannot be skipped, because it has a role")));
        }
        Ok(())
    }
}

fn find(names: &[String], what: &str, name: &str) -> Result<usize> {
    names.iter().position(|known| known == name).ok_or_else(|| {
        let help = suggestion(name, names.iter().map(String::as_str));
        let help = help.map_or(String::new(), |help| format!(" ({help})"));
        Error::invalid(format!("{what} {}: the file has no such column{help}", quoted(name)))
    })
}

fn column(options: &UploadOptions, names: &[String], position: usize, purpose: Purpose) -> Column {
    let name = &names[position];
    let own = options.columns.get(name).and_then(|own: &ColumnOptions| own.value_type);
    let given = match purpose {
        Purpose::MatchId => Some(ValueType::Text),
        Purpose::Label => own.or(Some(ValueType::Int32)),
        Purpose::Weight => own.or(Some(ValueType::Float64)),
        _ => own.or(options.default_type),
    };
    Column { name: name.clone(), position, purpose, given, stored: None, nulls: nulls(options, name) }
}

fn nulls(options: &UploadOptions, name: &str) -> Vec<String> {
    let own = options.columns.get(name).and_then(|own| own.nulls.as_ref());
    own.unwrap_or(&options.nulls).clone()
}

/// A prefix with 16 random bytes as hex, so that ids of two tables never collide.
fn made_ids() -> Result<MadeIds> {
    let mut bytes = [0; 16];
    random::fill(&mut bytes)?;
    Ok(MadeIds { prefix: HEXLOWER.encode(&bytes), first: 0 })
}

#[cfg(test)]
mod tests {
    use tributary_core::TableName;

    use super::*;

    fn resolve(change: impl FnOnce(&mut UploadOptions)) -> Result<Columns> {
        let mut options = UploadOptions::new(TableName::new("ns", "name").unwrap(), ["file"]);
        change(&mut options);
        let names = ["id", "x0", "y", "w", "phone"].map(str::to_owned);
        Columns::resolve(&options, &names, &Hints::default())
    }

    fn refused(change: impl FnOnce(&mut UploadOptions), reason: &str) {
        let error = resolve(change).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn columns_with_roles_come_first() {
        let columns = resolve(|options| {
            options.label = Some("y".into());
            options.weight = Some("w".into());
            options.match_id = Some("phone".into());
        })
        .unwrap();
        assert_eq!(columns.key, KeySource::Column(0));
        let order: Vec<&str> = columns.values.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(order, ["phone", "y", "w", "x0"]);
        assert_eq!(columns.values[0].given, Some(ValueType::Text));
        assert_eq!(columns.values[1].given, Some(ValueType::Int32));
    }

    #[test]
    fn a_match_id_that_is_the_sample_id_is_no_second_column() {
        let columns = resolve(|options| options.match_id = Some("id".into())).unwrap();
        assert!(columns.values.iter().all(|column| column.purpose == Purpose::Value));
    }

    #[test]
    fn made_ids_leave_the_first_column_to_be_a_match_id() {
        let columns = resolve(|options| {
            options.sample_id = SampleId::Made;
            options.match_id = Some("id".into());
        })
        .unwrap();
        assert!(matches!(&columns.key, KeySource::Made(ids) if ids.prefix.len() == 32));
        assert_eq!((columns.values[0].name.as_str(), &columns.values[0].purpose), ("id", &Purpose::MatchId));
    }

    #[test]
    fn missing_columns_and_columns_with_two_roles_are_refused() {
        refused(
            |o| o.label = Some("Y".into()),
            "label \"Y\": the file has no such column (did you mean \"y\"?)",
        );
        refused(|o| o.skip = vec!["z".into()], "skip \"z\": the file has no such column");
        refused(|o| o.columns.entry("x1".into()).or_default().nulls = None, "did you mean \"x0\"?");
        refused(|o| (o.label, o.weight) = (Some("y".into()), Some("y".into())), "cannot be more than one of");
        refused(|o| o.label = Some("id".into()), "cannot be more than one of");
        refused(
            |o| (o.label, o.skip) = (Some("y".into()), vec!["y".into()]),
            "cannot be skipped, because it has a role",
        );
        refused(|o| o.skip = vec!["id".into()], "cannot be skipped, because it has a role");
    }
}
