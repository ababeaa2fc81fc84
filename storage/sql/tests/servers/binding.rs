//! Tables and views of other programs, bound.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use tributary_core::bound::ForeignTable;
use tributary_core::storage::{IfExists, Storage, StoredTable, WriteOptions};
use tributary_core::wanted::Wanted;
use tributary_core::{ErrorKind, Purpose, Result};
use tributary_sql::{Config, Product};

use crate::place::{BOTH, count, fresh, open, place, read, say};

/// As FATE has it in MySQL, and with numbers; in a PostgreSQL schema of its own. `x` differs from row to row.
const POSTGRESQL: &str = "
    DROP SCHEMA IF EXISTS bank CASCADE; CREATE SCHEMA bank;
    CREATE TABLE bank.customers (id BIGINT PRIMARY KEY, name VARCHAR(20), x DOUBLE PRECISION NOT NULL, price NUMERIC(12,2), at TIMESTAMPTZ, note JSONB);
    INSERT INTO bank.customers SELECT n, 'n' || n, n / 3.0, n / 100.0, to_timestamp(n), '{}' FROM generate_series(-500, 499) n;
    CREATE VIEW bank.names AS SELECT name, x FROM bank.customers;
    CREATE TABLE bank.without (id VARCHAR(10), x INTEGER); INSERT INTO bank.without VALUES ('a', 1), (NULL, 2);
";
const MYSQL: &str = "
    DROP DATABASE IF EXISTS bank; CREATE DATABASE bank;
    CREATE TABLE bank.customers (id BIGINT PRIMARY KEY, name VARCHAR(20), x DOUBLE NOT NULL, price DECIMAL(12,2), at TIMESTAMP NULL, note JSON, t TIME);
    INSERT INTO bank.customers SELECT n, CONCAT('n', n), n / 3e0, n / 100, FROM_UNIXTIME(n + 501), '{}', '10:00' FROM (SELECT CAST(seq AS SIGNED) - 500 AS n FROM seq_0_to_999) AS numbers;
    CREATE VIEW bank.names AS SELECT name, x FROM bank.customers;
    CREATE TABLE bank.without (id VARCHAR(10), x INT); INSERT INTO bank.without VALUES ('a', 1), (NULL, 2);
";

fn made(product: Product) -> Config {
    let config = fresh(product);
    tributary_conformance::run(say(&config, if product == Product::MySql { MYSQL } else { POSTGRESQL }));
    config
}

fn foreign(product: Product, table: &str, id: &str) -> ForeignTable {
    let skip: &[&str] = match (product, table) {
        (Product::MySql, "bank.customers") => &["t", "note"],
        (_, "bank.customers") => &["note"],
        _ => &[],
    };
    ForeignTable {
        table: table.into(),
        id: id.into(),
        purposes: BTreeMap::from([("x".to_owned(), Purpose::Label)]),
        skip: skip.iter().map(|name| (*name).to_owned()).collect(),
        partitions: 3,
    }
}

async fn bind(store: &dyn Storage, foreign: &ForeignTable) -> Result<StoredTable> {
    let options = WriteOptions::default().with_if_exists(IfExists::Replace);
    store.bind_table(&place(store, "b"), foreign, options).await
}

/// Ids and `x` of all partitions, by id.
async fn pairs(store: &dyn Storage, table: &StoredTable) -> BTreeMap<String, f64> {
    let at = table.schema.column_index("x").unwrap();
    let mut found = BTreeMap::new();
    for partition in 0..table.layout.partitions() {
        for batch in read(store, table, partition).await.unwrap() {
            let ids = batch.column(0).as_string::<i32>();
            let x = batch.column(at).as_primitive::<arrow_array::types::Float64Type>();
            found.extend(ids.iter().zip(x.iter()).map(|(id, x)| (id.unwrap().to_owned(), x.unwrap())));
        }
    }
    found
}

// One after another: they share the schema.
#[test]
fn tables_and_views_of_other_programs_are_read_where_they_are() {
    for product in BOTH {
        let config = made(product);
        let store = open(&config);
        tributary_conformance::run(async {
            let table = bind(&*store, &foreign(product, "bank.customers", "id")).await.unwrap();
            assert_eq!((table.rows(), table.layout.partitions()), (1000, 3));
            assert!(store.is_bound(&table) && table.parts.iter().all(|part| part.size.rows > 300));
            let expected: BTreeMap<String, f64> =
                (-500..500).map(|n| (n.to_string(), f64::from(n) / 3.0)).collect();
            assert_eq!(pairs(&*store, &table).await, expected);
            assert_eq!(store.open(&table.uri).await.unwrap(), table);
            store.verify(&table).await.unwrap();

            let all = read(&*store, &table, 1).await.unwrap();
            let wanted = Wanted::default().with_columns([0, 2]).with_rows(10..20);
            let some: Vec<_> =
                futures::TryStreamExt::try_collect(store.scan_some(&table, 1, &wanted).await.unwrap())
                    .await
                    .unwrap();
            assert_eq!(some, [all[0].slice(10, 10).project(&[0, 2]).unwrap()]);

            let by_hash = bind(&*store, &foreign(product, "bank.names", "name")).await.unwrap();
            let expected: BTreeMap<String, f64> =
                (-500..500).map(|n| (format!("n{n}"), f64::from(n) / 3.0)).collect();
            assert_eq!(pairs(&*store, &by_hash).await, expected);
            assert!(by_hash.parts.iter().all(|part| part.size.rows > 200), "{:?}", by_hash.parts);

            let copy = store.copy(&by_hash, &place(&*store, "copy")).await.unwrap();
            store.delete(&by_hash.uri).await.unwrap();
            assert_eq!(pairs(&*store, &copy).await, expected);
            refuses(&*store, product).await;
            notices_changes(&*store, &config, product).await;
        });
    }
}

async fn refuses(store: &dyn Storage, product: Product) {
    let check = async |foreign: ForeignTable, kind, text: &str| {
        let error = bind(store, &foreign).await.unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(text), "{error}");
    };
    let whole = foreign(product, "bank.customers", "id");
    check(ForeignTable { skip: vec![], ..whole.clone() }, ErrorKind::Unsupported, "--skip").await;
    check(ForeignTable { id: "nobody".into(), ..whole.clone() }, ErrorKind::InvalidInput, "no column").await;
    check(ForeignTable { partitions: 0, ..whole.clone() }, ErrorKind::InvalidInput, "partitions").await;
    check(foreign(product, "bank.nothing", "id"), ErrorKind::NotFound, "no table or view").await;
    check(foreign(product, "bank.customers\"; DROP TABLE x; --", "id"), ErrorKind::NotFound, "no table")
        .await;
    check(foreign(product, "bank.without", "id"), ErrorKind::InvalidInput, "have an id").await;
}

async fn notices_changes(store: &dyn Storage, config: &Config, product: Product) {
    let table = bind(store, &foreign(product, "bank.customers", "id")).await.unwrap();
    let changed = async |statement: &'static str, text: &str| {
        say(config, statement).await;
        let error = store.verify(&table).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Corrupt && error.chain().contains(text), "{}", error.chain());
    };
    changed("DELETE FROM bank.customers WHERE id = 77", "its source has changed").await;
    say(config, "INSERT INTO bank.customers (id, x) VALUES (77, 1)").await;
    assert_eq!(count(&read(store, &table, 0).await.unwrap()), table.parts[0].size.rows);
    let altered = match product {
        Product::MySql => "ALTER TABLE bank.customers MODIFY price DOUBLE",
        _ => "ALTER TABLE bank.customers ALTER price TYPE DOUBLE PRECISION",
    };
    changed(altered, "\"price\"").await;
}
