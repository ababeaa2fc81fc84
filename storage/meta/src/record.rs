//! A record as it is stored, checked on the way in and out.

use tributary_core::meta::{TableRecord, Version};
use tributary_core::{Error, ErrorKind, Result, TableName};
use tributary_database::Value;

use crate::schema::MAX_RECORD_BYTES;

/// Checks that the public fields of a record do not ensure.
fn check(record: &TableRecord) -> Result<()> {
    TableName::new(record.table.namespace.as_str(), record.table.name.as_str())?;
    record.layout.check()?;
    if record.preview.len() > TableRecord::MAX_PREVIEW_ROWS {
        return Err(Error::invalid(format!(
            "a preview of {} rows, at most {} are kept",
            record.preview.len(),
            TableRecord::MAX_PREVIEW_ROWS
        )));
    }
    Ok(())
}

pub(crate) fn encode(record: &TableRecord) -> Result<String> {
    check(record)?;
    let text = serde_json::to_string(record)
        .map_err(|e| Error::invalid("the record cannot be written as JSON").because(e))?;
    if text.len() > MAX_RECORD_BYTES / 2 {
        return Err(Error::new(
            ErrorKind::Exhausted,
            format!(
                "the record has {} bytes, at most {} are kept; shorten its preview",
                text.len(),
                MAX_RECORD_BYTES / 2
            ),
        ));
    }
    Ok(text)
}

/// Of a row (version, namespace, name, record). `place`: where it is from.
pub(crate) fn decode(place: &str, row: &[Value]) -> Result<(Version, TableRecord)> {
    let [version, namespace, name, text] = row else {
        return Err(Error::bug("a row of a record has four columns"));
    };
    let (namespace, name) = (namespace.text().unwrap_or_default(), name.text().unwrap_or_default());
    let broken = |what: &str| corrupt(place, format!("the record of {namespace}/{name} {what}"));
    let text = text.text().ok_or_else(|| broken("is no text, or too long"))?;
    let record: TableRecord = serde_json::from_str(text).map_err(|e| broken("cannot be read").because(e))?;
    check(&record).map_err(|e| broken("is impossible").because(e))?;
    if (record.table.namespace.as_str(), record.table.name.as_str()) != (namespace, name) {
        return Err(broken(&format!("is of {}", record.table)));
    }
    Ok((version_of(place, version)?, record))
}

pub(crate) fn version_of(place: &str, value: &Value) -> Result<Version> {
    let number = value.int().and_then(|number| u64::try_from(number).ok());
    number.map(Version).ok_or_else(|| corrupt(place, "a version is negative"))
}

fn corrupt(place: &str, what: impl Into<String>) -> Error {
    let text =
        format!("meta database {place}: {}; restore it from a backup, or remove that record", what.into());
    Error::new(ErrorKind::Corrupt, text)
}
