//! Columns of a file as those of a table that rows are added to: the table decides, and an error for other options or
//! columns names both.

use std::collections::HashMap;

use arrow_schema::DataType;
use tributary_core::schema::Key;
use tributary_core::{Error, Field, Purpose, Result, TableSchema};
use tributary_document::quoted;

use super::{Column, MADE_ID};
use crate::options::{SampleId, UploadOptions};
use tributary_csv::{Digits, ValueType};

/// Names that a message lists.
const LISTED: usize = 10;

/// The source of the ids; an error if the options contradict the table about any column.
pub(super) fn check(options: &UploadOptions, names: &[String], table: &TableSchema) -> Result<SampleId> {
    let key = table.expect_key("adding rows")?;
    for (what, given, purpose) in [
        ("match id", &options.match_id, Purpose::MatchId),
        ("label", &options.label, Purpose::Label),
        ("weight", &options.weight, Purpose::Weight),
    ] {
        let Some(given) = given else { continue };
        let stored = table.with_purpose(&purpose).map(|field| &field.name);
        // parties match on the key itself if no other column is for that
        let stored = stored.or((purpose == Purpose::MatchId).then_some(&key.name));
        if stored != Some(given) {
            let stored = stored.map_or("none".to_owned(), |name| quoted(name));
            return Err(contradiction(&format!("the {what} is to be {}", quoted(given)), &stored));
        }
    }
    check_types(options, table)?;
    sample_id(options, names, key)
}

fn contradiction(wanted: &str, stored: &str) -> Error {
    Error::invalid(format!(
        "{wanted}, but in the table it is {stored}; added rows have the columns of the table"
    ))
}

fn check_types(options: &UploadOptions, table: &TableSchema) -> Result<()> {
    for field in table.fields() {
        let own = options.columns.get(&field.name).and_then(|own| own.value_type);
        let is_feature = matches!(field.purpose, Purpose::Value | Purpose::Category);
        let Some(given) = own.or(options.default_type.filter(|_| is_feature)) else { continue };
        let is_category = (given == ValueType::Category) == (field.purpose == Purpose::Category);
        // match ids are text, whatever type is given
        if field.purpose != Purpose::MatchId && (given.data_type() != field.data_type || !is_category) {
            let stored = match field.purpose {
                Purpose::Category => "category".to_owned(),
                _ => {
                    value_type(field).map_or_else(|| field.data_type.to_string(), |stored| stored.to_string())
                }
            };
            return Err(contradiction(&format!("column {} is to be {given}", quoted(&field.name)), &stored));
        }
    }
    Ok(())
}

fn sample_id(options: &UploadOptions, names: &[String], key: &Key) -> Result<SampleId> {
    let is_made = key.name == MADE_ID;
    match &options.sample_id {
        SampleId::Column(name) if *name != key.name => {
            Err(contradiction(&format!("the sample id is to be {}", quoted(name)), &quoted(&key.name)))
        }
        SampleId::Made if !is_made => {
            Err(contradiction("the sample id is to be made (--extend-sid)", &quoted(&key.name)))
        }
        SampleId::Made => Ok(SampleId::Made),
        SampleId::FirstColumn if is_made && !names.contains(&key.name) => Ok(SampleId::Made),
        SampleId::FirstColumn | SampleId::Column(_) => Ok(SampleId::Column(key.name.clone())),
    }
}

/// The file's columns in the table's order, each with the table's type and purpose.
pub(super) fn columns(found: Vec<Column>, file: &str, table: &TableSchema) -> Result<Vec<Column>> {
    let mut found: HashMap<String, Column> =
        found.into_iter().map(|column| (column.name.clone(), column)).collect();
    let (mut columns, mut missing) = (Vec::new(), Vec::new());
    for field in table.fields() {
        match found.remove(&field.name) {
            Some(column) => columns.push(stored_as(column, field)),
            None => missing.push(field.name.as_str()),
        }
    }
    if !missing.is_empty() {
        let text = format!(
            "{file} lacks {}, which the table has; added rows need every column of the table",
            listed(&missing)
        );
        return Err(Error::invalid(text));
    }
    let mut more: Vec<&Column> = found.values().collect();
    more.sort_by_key(|column| column.position);
    let more: Vec<&str> = more.into_iter().map(|column| column.name.as_str()).collect();
    match more.is_empty() {
        true => Ok(columns),
        false => Err(Error::invalid(format!(
            "{file} has {}, which the table does not have; leave them out (--skip), or replace the table",
            listed(&more)
        ))),
    }
}

fn listed(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(LISTED).map(|name| quoted(name)).collect();
    let more = names.len() - shown.len();
    let what = if names.len() == 1 { "column" } else { "columns" };
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("the {what} {}{more}", shown.join(", "))
}

fn stored_as(column: Column, field: &Field) -> Column {
    let purpose = match &field.purpose {
        Purpose::Category => Purpose::Value, // its type makes it a category again
        purpose => purpose.clone(),
    };
    Column { purpose, given: value_type(field), stored: Some(field.data_type.clone()), ..column }
}

/// The type with which a CSV cell is parsed for this column, if there is one.
fn value_type(field: &Field) -> Option<ValueType> {
    match field.purpose {
        Purpose::Category => Some(ValueType::Category),
        _ => of_data_type(&field.data_type),
    }
}

fn of_data_type(data_type: &DataType) -> Option<ValueType> {
    if let DataType::Decimal128(precision, scale) = data_type {
        return Digits::new(*precision, u8::try_from(*scale).ok()?).ok().map(ValueType::Decimal);
    }
    let named = ValueType::NAMES.into_iter().map(|(_, value_type)| value_type);
    named.into_iter().find(|value_type| value_type.data_type() == *data_type)
}
