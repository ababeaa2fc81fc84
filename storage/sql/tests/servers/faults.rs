//! Servers that refuse, restart, or are others than they should be; values that a database cannot hold.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Date32Array, StringArray};
use arrow_schema::DataType;
use futures::executor::block_on;
use futures::{StreamExt, stream};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use tributary_core::settings::Secret;
use tributary_core::storage::{Storage, WriteOptions};
use tributary_core::{ErrorKind, Field, KeyType, Layout, TableSchema};
use tributary_services::Service;
use tributary_sql::{Config, Product, Server, Tls};

use crate::place::{BOTH, config, count, fresh, open, place, read, words, write};

fn refused(config: &Config, kind: ErrorKind, text: &str) {
    let store = open(config);
    let error = block_on(store.open(&place(&*store, "t"))).unwrap_err();
    let chain = error.chain();
    assert!(error.kind() == kind && chain.contains(text), "{:?} {chain}", error.kind());
    let secret = config.server.password.as_ref().unwrap().expose();
    assert!(!chain.contains(secret) && !format!("{store:?}").contains(secret), "{chain}");
}

fn changed(product: Product, change: impl FnOnce(Server) -> Server) -> Config {
    let config = fresh(product);
    let server = Server { patience: Duration::from_millis(300), ..config.server };
    Config { server: change(server), ..config }
}

#[test]
fn what_is_wrong_with_a_server_is_named() {
    for product in BOTH {
        let password = Some(Secret::new("hunter2".into()));
        refused(&changed(product, |s| Server { password, ..s }), ErrorKind::Denied, "check user and passwd");
        let database = "no_such_database".to_owned();
        refused(&changed(product, |s| Server { database, ..s }), ErrorKind::InvalidInput, "no such database");
        refused(&changed(product, |s| Server { port: 1, ..s }), ErrorKind::Unavailable, "cannot be reached");
        let stranger = |s: &Server| s.ca_file.as_ref().unwrap().with_file_name("selfsigned.pem");
        let untrusted = changed(product, |s| Server { ca_file: Some(stranger(&s)), ..s });
        refused(&untrusted, ErrorKind::Denied, "ca_file");
        refused(
            &changed(product, |s| Server { host: "127.0.0.1".into(), ..s }),
            ErrorKind::Denied,
            "of that host",
        );
        let unchecked = changed(product, |s| Server { tls: Tls::Require, ca_file: None, ..s });
        refused(&unchecked, ErrorKind::NotFound, "no table");
    }
}

#[test]
fn a_server_killed_in_mid_read_is_an_error_and_its_tables_are_there_when_it_is_back() {
    for product in BOTH {
        let service = Service::start(words(product).0, &[]);
        let store = open(&config(product, "tributary_", |key| service.value(key)));
        block_on(async {
            let table = write(&*store, "t", 400_000).await.unwrap();
            let mut rows = store.scan(&table, 0).await.unwrap();
            rows.next().await.unwrap().unwrap();
            let pid: i32 = service.value(&format!("{}_PID", words(product).1)).parse().unwrap();
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            let mut found = 0;
            let end = loop {
                match rows.next().await {
                    Some(Ok(batch)) => found += batch.num_rows(),
                    end => break end,
                }
            };
            // what was on its way may have been all
            match end {
                Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain()),
                _ => assert!(found > 390_000, "{found}"),
            }
            service.start_again();
            let table = store.open(&table.uri).await.unwrap();
            assert_eq!(count(&read(&*store, &table, 0).await.unwrap()), 400_000);
            store.verify(&table).await.unwrap();
            write(&*store, "t", 10).await.unwrap();
        });
    }
}

async fn write_column(
    store: &dyn Storage,
    field: Field,
    column: arrow_array::ArrayRef,
) -> tributary_core::Error {
    let schema = TableSchema::keyed("id", KeyType::Utf8, vec![field]).unwrap();
    let ids = StringArray::from_iter_values((0..column.len()).map(|row| format!("secret{row}")));
    let rows = schema.batch(vec![Arc::new(ids), column]).unwrap();
    let write =
        store.begin(&place(store, "t"), &schema, &Layout::Loose(1), WriteOptions::default()).await.unwrap();
    let refused = store.write_part(&write, 0, stream::iter([Ok(rows)]).boxed()).await.unwrap_err();
    store.abort(write).await.unwrap();
    refused
}

#[test]
fn a_value_that_a_database_cannot_hold_is_named_by_its_place() {
    for product in BOTH {
        let store = open(&fresh(product));
        block_on(async {
            let days = Date32Array::from(vec![0, i32::MIN]);
            let error = write_column(&*store, Field::new("day", DataType::Date32), Arc::new(days)).await;
            let text = error.chain();
            assert!(error.kind() == ErrorKind::InvalidInput && text.contains("\"day\", row 1"), "{text}");
            assert!(!text.contains("secret"), "{text}");
        });
    }
    let store = open(&fresh(Product::PostgreSql));
    let texts = StringArray::from(vec!["a", "b\0c"]);
    let error = block_on(write_column(&*store, Field::new("text", DataType::Utf8), Arc::new(texts)));
    assert!(
        error.chain().contains("\"text\", row 1") && !error.chain().contains("b\0c"),
        "{}",
        error.chain()
    );
}
