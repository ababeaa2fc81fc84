//! Columns and first rows of a table, as people and programs see them.

use serde_json::{Value, json};
use tributary_core::meta::TableRecord;
use tributary_core::{Purpose, Result, TableSchema};

use crate::render;

/// The columns, as `table schema --json` shows them.
pub(crate) fn json(schema: &TableSchema) -> Vec<Value> {
    let key = schema.key().map(|key| {
        json!({"name": key.name, "type": key.key_type.data_type().to_string(), "purpose": "key", "nullable": false})
    });
    let fields = schema.fields().iter().map(|field| {
        let purpose = purpose(&field.purpose);
        json!({"name": field.name, "type": field.data_type.to_string(), "purpose": purpose, "nullable": field.nullable})
    });
    key.into_iter().chain(fields).collect()
}

fn purpose(purpose: &Purpose) -> String {
    match purpose {
        Purpose::MatchId => "match_id".into(),
        // the anonymous key has no use for a reader
        Purpose::Ciphertext(_) => "ciphertext".into(),
        other => format!("{other:?}").to_lowercase(),
    }
}

pub(crate) fn show(schema: &TableSchema) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |column: &Value| {
        let null = if column["nullable"] == true { "may be" } else { "never" };
        vec![
            render::short(&text(&column["name"])),
            word(&text(&column["type"])),
            text(&column["purpose"]),
            null.to_owned(),
        ]
    };
    render::table(
        &["column", "type", "purpose", "missing"],
        &json(schema).iter().map(row).collect::<Vec<_>>(),
    )
}

/// The name of a type as `--types` takes it, of Arrow's name.
fn word(arrow: &str) -> String {
    match arrow {
        "Utf8" => "text".to_owned(),
        "Boolean" => "bool".to_owned(),
        "Date32" => "date".to_owned(),
        "Int32" | "Int64" | "Float32" | "Float64" => arrow.to_lowercase(),
        other if other.starts_with("Timestamp(") && other.contains("UTC") => "timestamp_utc".to_owned(),
        other if other.starts_with("Timestamp(") => "timestamp".to_owned(),
        other => match other.strip_prefix("Decimal128(") {
            Some(digits) => format!("decimal({}", digits.replace(' ', "")),
            None => other.to_owned(),
        },
    }
}

/// The first rows of a table.
pub(crate) fn rows(record: &TableRecord, count: usize) -> Result<()> {
    let key = record.schema.key().map(|k| k.name.as_str());
    let names = key.into_iter().chain(record.schema.fields().iter().map(|f| f.name.as_str()));
    preview(names, record.preview.iter().take(count))
}

/// The first rows under the names of their columns, in bounded width.
pub(crate) fn preview<'a>(
    names: impl Iterator<Item = &'a str>,
    rows: impl IntoIterator<Item = &'a Vec<Option<String>>>,
) -> Result<()> {
    let names: Vec<String> = names.map(render::short).collect();
    let row = |row: &Vec<Option<String>>| {
        row.iter().map(|cell| render::short(cell.as_deref().unwrap_or_default())).collect()
    };
    let header: Vec<&str> = names.iter().map(String::as_str).collect();
    render::table(&header, &rows.into_iter().map(row).collect::<Vec<_>>())
}
