//! Columns and first rows of a table, as people and programs see them.

use serde_json::{Value, json};
use tributary_core::meta::TableRecord;
use tributary_core::{Purpose, Result, TableSchema};

use crate::render;

/// As `table schema --json` shows them.
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
        // under which key is nothing to look at
        Purpose::Ciphertext(_) => "ciphertext".into(),
        other => format!("{other:?}").to_lowercase(),
    }
}

pub(crate) fn show(schema: &TableSchema) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |column: &Value| {
        let null = if column["nullable"] == true { "may be" } else { "never" };
        vec![text(&column["name"]), text(&column["type"]), text(&column["purpose"]), null.to_owned()]
    };
    render::table(
        &["column", "type", "purpose", "missing"],
        &json(schema).iter().map(row).collect::<Vec<_>>(),
    )
}

/// The first rows of a table.
pub(crate) fn rows(record: &TableRecord, count: usize) -> Result<()> {
    let key = record.schema.key().map(|k| k.name.as_str());
    let header: Vec<&str> =
        key.into_iter().chain(record.schema.fields().iter().map(|f| f.name.as_str())).collect();
    let row = |row: &Vec<Option<String>>| row.iter().map(|cell| cell.clone().unwrap_or_default()).collect();
    render::table(&header, &record.preview.iter().take(count).map(row).collect::<Vec<_>>())
}
