//! One connection, and the few things that are done with it.

use sqlx::mysql::{MySql, MySqlConnection};
use sqlx::postgres::{PgConnection, Postgres};
use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{Arguments, IntoArguments};
use sqlx::{AssertSqlSafe, ColumnIndex, Connection as _, Database, Decode, Encode, Executor, Type};

use crate::failure::Failure;
use crate::product::Product;

/// A connection. What wants to stream rows takes the client's own out of it.
#[derive(Debug)]
pub enum Connection {
    /// To a file.
    Sqlite(SqliteConnection),
    /// To a PostgreSQL server.
    PostgreSql(PgConnection),
    /// To a MySQL server.
    MySql(MySqlConnection),
}

/// A value of a statement, or of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Value {
    /// The number, if it is one.
    pub fn int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A row of whole numbers and texts.
pub type Row = Vec<Value>;

impl Connection {
    /// Which database it is to.
    pub fn product(&self) -> Product {
        match self {
            Self::Sqlite(_) => Product::Sqlite,
            Self::PostgreSql(_) => Product::PostgreSql,
            Self::MySql(_) => Product::MySql,
        }
    }

    /// Runs a statement, and returns how many rows it changed.
    pub async fn execute(&mut self, statement: &str, values: &[Value]) -> Result<u64, Failure> {
        let product = self.product();
        let text = AssertSqlSafe(product.numbered(statement));
        let done = match self {
            Self::Sqlite(to) => {
                let query = sqlx::query_with(text, arguments::<Sqlite>(values)?);
                to.execute(query).await.map(|done| done.rows_affected())
            }
            Self::PostgreSql(to) => {
                let query = sqlx::query_with(text, arguments::<Postgres>(values)?);
                to.execute(query).await.map(|done| done.rows_affected())
            }
            Self::MySql(to) => {
                let query = sqlx::query_with(text, arguments::<MySql>(values)?);
                to.execute(query).await.map(|done| done.rows_affected())
            }
        };
        done.map_err(|why| Failure::new(product, why))
    }

    /// Runs a query. All rows are held: for small results.
    pub async fn rows(&mut self, query: &str, values: &[Value]) -> Result<Vec<Row>, Failure> {
        let product = self.product();
        let text = AssertSqlSafe(product.numbered(query));
        let found = match self {
            Self::Sqlite(to) => {
                let rows = to.fetch_all(sqlx::query_with(text, arguments::<Sqlite>(values)?)).await;
                rows.and_then(|rows| rows.iter().map(read).collect())
            }
            Self::PostgreSql(to) => {
                let rows = to.fetch_all(sqlx::query_with(text, arguments::<Postgres>(values)?)).await;
                rows.and_then(|rows| rows.iter().map(read).collect())
            }
            Self::MySql(to) => {
                let rows = to.fetch_all(sqlx::query_with(text, arguments::<MySql>(values)?)).await;
                rows.and_then(|rows| rows.iter().map(read).collect())
            }
        };
        found.map_err(|why| Failure::new(product, why))
    }

    /// The first row of a query, if it has one.
    pub async fn first(&mut self, query: &str, values: &[Value]) -> Result<Option<Row>, Failure> {
        Ok(self.rows(query, values).await?.into_iter().next())
    }

    /// Runs statements without values, which cannot all be prepared: those that define tables, or begin and end transactions.
    pub async fn say(&mut self, statements: &str) -> Result<(), Failure> {
        let product = self.product();
        let text = sqlx::raw_sql(AssertSqlSafe(statements));
        let said = match self {
            Self::Sqlite(to) => to.execute(text).await.map(drop),
            Self::PostgreSql(to) => to.execute(text).await.map(drop),
            Self::MySql(to) => to.execute(text).await.map(drop),
        };
        said.map_err(|why| Failure::new(product, why))
    }

    /// Begins a transaction, in which others' changes are seen as soon as they are committed.
    pub async fn begin(&mut self) -> Result<(), Failure> {
        match self.product() {
            Product::Sqlite => self.say("BEGIN IMMEDIATE").await,
            Product::PostgreSql => self.say("BEGIN ISOLATION LEVEL READ COMMITTED").await,
            Product::MySql => {
                self.say("SET TRANSACTION ISOLATION LEVEL READ COMMITTED; START TRANSACTION").await
            }
        }
    }

    /// Ends it: all of it happened, or nothing.
    pub async fn end<T>(&mut self, done: Result<T, Failure>) -> Result<T, Failure> {
        match done {
            Ok(result) => match self.say("COMMIT").await {
                Ok(()) => Ok(result),
                Err(why) if why.is_lost() => Err(why.undecided()),
                Err(why) => self.say("ROLLBACK").await.map_or_else(Err, |()| Err(why)),
            },
            Err(why) if why.is_lost() => Err(why),
            Err(why) => self.say("ROLLBACK").await.map_or_else(Err, |()| Err(why)),
        }
    }

    pub(crate) async fn ping(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(to) => to.ping().await,
            Self::PostgreSql(to) => to.ping().await,
            Self::MySql(to) => to.ping().await,
        }
    }
}

fn arguments<DB>(values: &[Value]) -> Result<DB::Arguments, Failure>
where
    DB: Database,
    for<'q> i64: Encode<'q, DB>,
    for<'q> Option<String>: Encode<'q, DB>,
    for<'q> String: Encode<'q, DB>,
    i64: Type<DB>,
    Option<String>: Type<DB>,
    String: Type<DB>,
    DB::Arguments: IntoArguments<DB>,
{
    let mut all = DB::Arguments::default();
    for value in values {
        let added = match value {
            Value::Null => all.add(None::<String>),
            Value::Int(number) => all.add(*number),
            Value::Text(text) => all.add(text.clone()),
        };
        added.map_err(|why| Failure::bug(sqlx::Error::Encode(why)))?;
    }
    Ok(all)
}

fn read<R>(row: &R) -> Result<Row, sqlx::Error>
where
    R: sqlx::Row,
    usize: ColumnIndex<R>,
    for<'r> Option<i64>: Decode<'r, R::Database>,
    for<'r> Option<String>: Decode<'r, R::Database>,
    Option<i64>: Type<R::Database>,
    Option<String>: Type<R::Database>,
{
    let value = |at: usize| {
        let number = row.try_get::<Option<i64>, _>(at).map(|found| found.map(Value::Int));
        let value =
            number.or_else(|_| row.try_get::<Option<String>, _>(at).map(|found| found.map(Value::Text)));
        value.map(|value| value.unwrap_or(Value::Null))
    };
    (0..row.len()).map(value).collect()
}
