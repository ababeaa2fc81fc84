//! The table of records: one in a file of a party's own; in a server, one for all parties, told apart by a column.
//!
//! Names are compared byte by byte in all three. A record is JSON, as text: databases differ in what they do to JSON of their own.

use tributary_database::{FileKind, Product, Step, Value};

/// "trbm": distinguishes our file from another program's.
pub(crate) const FILE: FileKind = FileKind(0x7472_626d);
/// What the table's versions are noted under in a server.
pub(crate) const WHAT: &str = "meta";
/// Largest record read or written, in bytes.
pub(crate) const MAX_RECORD_BYTES: usize = 64 << 20;

/// The steps from nothing to the newest version. Never change a released one: add another.
pub(crate) fn steps(product: Product) -> Vec<Step> {
    let first = match product {
        Product::Sqlite => {
            "
    CREATE TABLE tables (
        version INTEGER PRIMARY KEY AUTOINCREMENT,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        record TEXT NOT NULL,
        UNIQUE (namespace, name)
    ) STRICT;
"
        }
        Product::PostgreSql => {
            "
    CREATE TABLE IF NOT EXISTS tributary_records (
        version BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        party TEXT COLLATE \"C\" NOT NULL,
        namespace TEXT COLLATE \"C\" NOT NULL,
        name TEXT COLLATE \"C\" NOT NULL,
        record TEXT NOT NULL,
        UNIQUE (party, namespace, name)
    )"
        }
        Product::MySql => {
            "
    CREATE TABLE IF NOT EXISTS tributary_records (
        version BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
        party VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        namespace VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        name VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
        record LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
        UNIQUE (party, namespace, name)
    ) ENGINE = InnoDB"
        }
    };
    vec![vec![first.to_owned()]]
}

/// The statements about one party's records.
#[derive(Debug)]
pub(crate) struct Statements {
    pub get: String,
    pub list: String,
    pub list_namespace: String,
    pub names: String,
    pub names_namespace: String,
    pub version: String,
    pub delete: String,
    pub insert: String,
    /// None in a file, which is one party's.
    party: Option<String>,
}

impl Statements {
    /// `party`: none for a file.
    pub(crate) fn of(party: Option<String>) -> Self {
        let (table, column, value, mine) = match party {
            None => ("tables", "", "", "1 = 1"),
            Some(_) => ("tributary_records", "party, ", "?, ", "party = ?"),
        };
        // What is too long is not even read.
        let record = format!("CASE WHEN octet_length(record) <= {MAX_RECORD_BYTES} THEN record END");
        let select = format!("SELECT version, namespace, name, {record} FROM {table} WHERE {mine}");
        let names = format!("SELECT namespace, name FROM {table} WHERE {mine}");
        let (one, some, order) =
            ("AND namespace = ? AND name = ?", "AND namespace = ?", "ORDER BY namespace, name");
        Self {
            get: format!("{select} {one}"),
            list: format!("{select} {order}"),
            list_namespace: format!("{select} {some} {order}"),
            names: format!("{names} {order}"),
            names_namespace: format!("{names} {some} {order}"),
            version: format!("SELECT version FROM {table} WHERE {mine} {one}"),
            delete: format!("DELETE FROM {table} WHERE {mine} {one} AND version = ?"),
            insert: format!("INSERT INTO {table} ({column}namespace, name, record) VALUES ({value}?, ?, ?)"),
            party,
        }
    }

    /// The values of a statement, after the party's.
    pub(crate) fn values<'a>(&'a self, others: impl IntoIterator<Item = &'a str>) -> Vec<Value> {
        self.party.iter().map(String::as_str).chain(others).map(Value::from).collect()
    }
}
