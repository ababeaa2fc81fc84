//! Which of a party's tables an input was made of: what releases about it are booked against.
//!
//! A table that a task stored carries the names and contents of the tables that the task read in the origin of its record, so
//! that a chain of jobs leads back to what was uploaded or bound. Any other table is its own source.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use tributary_component::release::Source;
use tributary_core::meta::TableRecord;
use tributary_core::storage::StoredTable;
use tributary_core::{Error, ErrorKind, Result, ResultExt, Site};

/// The key of an origin under which sources are stored: `namespace/name@content`, with spaces between them.
pub(crate) const SOURCES: &str = "sources";

/// The key of an origin under which changed columns stand: a JSON list of their names.
pub(crate) const RECODED: &str = "recoded";

/// Changed columns by input key.
pub(crate) type Recoded = BTreeMap<String, BTreeSet<String>>;

/// Sources by input key.
pub(crate) type Sources = BTreeMap<String, Vec<Source>>;

/// The tables of the site that a table was made of.
pub(crate) async fn of(site: &Site, record: &TableRecord) -> Result<Vec<Source>> {
    let made_of = made_of(record)?;
    // A table that a task made of nothing is its own source.
    if !made_of.is_empty() {
        return Ok(made_of);
    }
    let stored = site.storage.open(&record.uri).await.at(|| format!("open table {}", record.table))?;
    Ok(vec![itself(record, &stored)])
}

/// A table as a source.
pub(crate) fn itself(record: &TableRecord, stored: &StoredTable) -> Source {
    Source { table: record.table.to_string(), content: content(stored) }
}

/// What the record of a table says that it was made of; nothing if it is its own source.
pub(crate) fn made_of(record: &TableRecord) -> Result<Vec<Source>> {
    let text = record.origin.get(SOURCES).map_or("", String::as_str);
    read(text).at(|| format!("record of table {}", record.table))
}

/// All sources of a task's inputs, as the origin of its outputs says them.
pub(crate) fn text(sources: &Sources) -> String {
    let all: BTreeSet<&Source> = sources.values().flatten().collect();
    let all = all.into_iter().map(|Source { table, content }| format!("{table}@{content}"));
    all.collect::<Vec<_>>().join(" ")
}

/// The columns of a table that no longer have the values of its sources.
pub(crate) fn recoded(record: &TableRecord) -> Result<BTreeSet<String>> {
    let Some(text) = record.origin.get(RECODED) else { return Ok(BTreeSet::new()) };
    serde_json::from_str(text).map_err(|why| {
        let text = format!("record of table {}: its origin has no list of changed columns", record.table);
        Error::new(ErrorKind::Corrupt, text).because(why)
    })
}

fn read(text: &str) -> Result<Vec<Source>> {
    let wrong = |word: &str| {
        Error::new(ErrorKind::Corrupt, format!("its origin has the source {word:?}, expected table@content"))
    };
    let source = |word: &str| {
        let (table, content) = word.rsplit_once('@').ok_or_else(|| wrong(word))?;
        Ok(Source { table: table.to_owned(), content: content.to_owned() })
    };
    text.split(' ').filter(|word| !word.is_empty()).map(source).collect()
}

/// Digest of the rows as they are stored, whatever the order of the parts: the same files stored again have it.
pub(crate) fn content(stored: &StoredTable) -> String {
    let mut digests: Vec<&str> = stored.parts.iter().map(|part| part.digest.as_str()).collect();
    digests.sort_unstable();
    let digest =
        digests.into_iter().fold(Sha256::new(), |hash, digest| hash.chain_update(digest).chain_update([0u8]));
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_back_from_an_origin() {
        let source = |table: &str| Source { table: table.into(), content: "0f".into() };
        let sources = Sources::from([
            ("a".to_string(), vec![source("n/x"), source("n/y")]),
            ("b".to_string(), vec![source("n/x")]),
        ]);
        assert_eq!(text(&sources), "n/x@0f n/y@0f");
        assert_eq!(read(&text(&sources)).unwrap(), [source("n/x"), source("n/y")]);
        assert!(read("").unwrap().is_empty());
        assert_eq!(read("n/x").unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
