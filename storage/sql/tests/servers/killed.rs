//! A writer is killed again and again: each time the table is the old one or the new one, and what is left is swept.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures::executor::block_on;
use tributary_core::ErrorKind;
use tributary_core::storage::{Storage, Sweep, SweepMode};
use tributary_sql::{Config, Product};

use crate::place::{BOTH, batch, config, count, fresh, open, place, read, tell, write};

const PREFIX: &str = "TRIBUTARY_KILLED_PREFIX";
const PRODUCT: &str = "TRIBUTARY_KILLED_PRODUCT";
const KILLS: u64 = 12;
const ROWS: u64 = 3000;

#[test]
#[ignore = "the process that the other test kills"]
fn replace_again_and_again() {
    let name = std::env::var(PRODUCT).expect("run by the other test only");
    let product = BOTH.into_iter().find(|product| product.name() == name).unwrap();
    let config = config(product, &std::env::var(PREFIX).unwrap(), |key| std::env::var(key).unwrap());
    let store = open(&config);
    let first = block_on(rows(&*store)).map_or(1, |rows| rows - ROWS + 1);
    println!("ready");
    for more in first..first + 1000 {
        block_on(write(&*store, "t", ROWS + more)).unwrap();
        println!("committed {}", ROWS + more);
    }
}

/// The rows of the table, all of which are there.
async fn rows(store: &dyn Storage) -> Option<u64> {
    let table = match store.open(&place(store, "t")).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        table => table.unwrap(),
    };
    store.verify(&table).await.unwrap();
    let found = read(store, &table, 0).await.unwrap();
    assert_eq!(found[0].column(0), batch(0..found[0].num_rows() as u64).column(0));
    Some(count(&found))
}

/// Kills a writer some time after it is ready; the rows of the last table that it reported.
fn kill_after(time: Duration, config: &Config) -> u64 {
    let mut writer = Command::new(std::env::current_exe().unwrap());
    writer.env(PREFIX, &config.prefix).env(PRODUCT, config.server.product.name());
    writer.args(["--ignored", "--exact", "killed::replace_again_and_again", "--nocapture"]);
    tell(&mut writer, config);
    let mut child = writer.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.by_ref().any(|line| line.ends_with("ready")));
    // Where it is killed is chance; that it may be killed anywhere is the test.
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
    lines
        .filter_map(|line| line.strip_prefix("committed ").and_then(|rows| rows.parse().ok()))
        .last()
        .unwrap_or(0)
}

#[test]
fn a_killed_writer_leaves_the_old_table_or_the_new_one() {
    for product in BOTH {
        let config = fresh(product);
        let store = open(&config);
        let mut last = 0;
        for kill in 0..KILLS {
            let committed = kill_after(Duration::from_millis(3 + kill * 17), &config);
            let found = block_on(rows(&*store)).unwrap_or(0);
            assert!(found >= committed.max(last), "kill {kill}: {found} after {committed}");
            last = found;
        }
        block_on(async {
            write(&*store, "t", ROWS).await.unwrap();
            let old = Sweep { idle: Duration::ZERO, ..Sweep::default() };
            let counted =
                store.sweep(&Sweep { mode: SweepMode::Count, ..old.clone() }, &|_| false).await.unwrap();
            let swept = store.sweep(&old, &|_| false).await.unwrap();
            assert!(swept.failed.is_empty() && swept.files > 0, "{swept:?}");
            assert_eq!(counted.files, swept.files);
            assert_eq!(store.sweep(&old, &|_| false).await.unwrap().files, 0);
            assert_eq!(rows(&*store).await, Some(ROWS));
        });
    }
}

#[test]
fn clean_up_leaves_what_is_used_young_or_another_partys() {
    for product in BOTH {
        let config = fresh(product);
        let (store, other) = (open(&config), open(&Config { party: "10000".into(), ..config.clone() }));
        block_on(async {
            let first = write(&*store, "t", 10).await.unwrap();
            let second = write(&*store, "t", 20).await.unwrap();
            let uri = place(&*other, "t");
            let begun = other.begin(&uri, &first.schema, &first.layout, Default::default()).await.unwrap();
            let old = Sweep { idle: Duration::ZERO, ..Sweep::default() };
            for (what, in_use) in [(&Sweep::default(), false), (&old, true)] {
                assert_eq!(store.sweep(what, &|_| in_use).await.unwrap().files, 0);
                assert_eq!(count(&read(&*store, &first, 0).await.unwrap()), 10);
            }
            assert_eq!(store.sweep(&old, &|_| false).await.unwrap().files, 1);
            let gone = read(&*store, &first, 0).await.unwrap_err();
            assert_eq!(gone.kind(), ErrorKind::NotFound);
            assert_eq!(count(&read(&*store, &second, 0).await.unwrap()), 20);
            other.abort(begun).await.unwrap();
        });
    }
}

#[test]
fn a_write_that_was_swept_is_not_committed() {
    for product in [Product::PostgreSql, Product::MySql] {
        let store = open(&fresh(product));
        block_on(async {
            let table = write(&*store, "t", 10).await.unwrap();
            let uri = place(&*store, "u");
            let begun = store.begin(&uri, &table.schema, &table.layout, Default::default()).await.unwrap();
            let rows = futures::stream::iter([Ok(batch(0..5))]);
            let part = store.write_part(&begun, 0, Box::pin(rows)).await.unwrap();
            let old = Sweep { idle: Duration::ZERO, ..Sweep::default() };
            assert_eq!(store.sweep(&old, &|_| false).await.unwrap().files, 1);
            let late = store.commit(begun, vec![part]).await.unwrap_err();
            assert_eq!(late.kind(), ErrorKind::NotFound, "{late}");
            assert_eq!(store.open(&uri).await.unwrap_err().kind(), ErrorKind::NotFound);
        });
    }
}
