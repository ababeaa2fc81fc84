//! What other programs see in the database.

use sqlx::Row;
use tributary_core::ErrorKind;
use tributary_sql::Product;

use crate::place::{fresh, open, read, write};

/// The layout is a promise to those who read it by SQL.
#[test]
fn rows_lie_in_a_table_with_their_numbers_and_their_columns() {
    let config = fresh(Product::PostgreSql);
    let store = open(&config);
    tributary_conformance::run(async {
        let table = write(&*store, "t", 7).await.unwrap();
        let server = &config.server;
        let options = sqlx::postgres::PgConnectOptions::new_without_pgpass()
            .host(&server.host)
            .port(server.port)
            .username(&server.user)
            .password(server.password.as_ref().unwrap().expose())
            .database(&server.database);
        let mut to = sqlx::ConnectOptions::connect(&options).await.unwrap();
        let query = format!(
            "SELECT tributary_part, tributary_row, CAST(id AS BIGINT), x FROM {}data_{} ORDER BY 1, 2",
            config.prefix, table.snapshot
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut to).await.unwrap();
        let found: Vec<(i32, i64, i64, f64)> =
            rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
        assert_eq!(found, (0..7).map(|n| (0, n, n, n as f64)).collect::<Vec<_>>());
        let meddled = format!("DELETE FROM {}data_{} WHERE tributary_row = 3", config.prefix, table.snapshot);
        sqlx::query(sqlx::AssertSqlSafe(meddled)).execute(&mut to).await.unwrap();
        let error = read(&*store, &table, 0).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    });
}
