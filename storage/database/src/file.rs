//! The file of an SQLite database: creation, owner, and settings.

use std::fs::{DirBuilder, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use tributary_core::{Error, Result};

use crate::connection::{Connection, Value};
use crate::failure::Failure;
use crate::product::Product;

/// How long to wait for another process.
const PATIENCE: Duration = Duration::from_secs(10);

/// By which number in its head a file of ours is told from another program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileKind(pub i64);

/// Opens the file, which is created if it does not exist.
pub(crate) async fn open(path: &Path, kind: FileKind) -> Result<Connection, Failure> {
    make_private(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(PATIENCE)
        .pragma("trusted_schema", "OFF") // the file's schema cannot run code
        .thread_name(|number| format!("sqlite {number}"))
        .disable_statement_logging();
    let opened = options.connect().await.map_err(|why| Failure::new(Product::Sqlite, why))?;
    let mut connection = Connection::Sqlite(opened);
    check_owner(&mut connection, path, kind).await?;
    write_ahead(&mut connection).await?;
    Ok(connection)
}

/// SQLite would create the file readable for all; its other files copy the mode of this one.
fn make_private(path: &Path) -> Result<()> {
    let io = |e: std::io::Error| Error::from(e).at(format!("create meta database {}", path.display()));
    if path.exists() {
        return Ok(());
    }
    let mut folder = DirBuilder::new();
    let mut file = OpenOptions::new();
    folder.recursive(true);
    file.append(true).create(true);
    #[cfg(unix)]
    {
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    }
    if let Some(above) = path.parent() {
        folder.create(above).map_err(io)?;
    }
    file.open(path).map(drop).map_err(io)
}

/// Before any change: checks that the file is ours or empty. In this order, because another process may be creating it: once
/// there are tables, the application id is set.
async fn check_owner(connection: &mut Connection, path: &Path, kind: FileKind) -> Result<(), Failure> {
    let tables = number(connection, "SELECT count(*) FROM sqlite_schema").await?;
    let owner = number(connection, "PRAGMA application_id").await?;
    if owner == kind.0 || (owner == 0 && tables == 0) {
        return Ok(());
    }
    let text = format!("{} is a database of another program; choose another path", path.display());
    Err(Error::invalid(text).into())
}

/// The first switch needs exclusive access to the file, and SQLite does not wait for that. A medium without support keeps
/// the rollback journal, which is as durable.
async fn write_ahead(connection: &mut Connection) -> Result<(), Failure> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match connection.say("PRAGMA journal_mode = wal").await {
            Err(why) if why.is_contended() && Instant::now() < give_up => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            done => break done?,
        }
    }
    connection.say("PRAGMA synchronous = full").await
}

/// The one number of a query.
pub(crate) async fn number(connection: &mut Connection, query: &str) -> Result<i64, Failure> {
    let row = connection.first(query, &[]).await?;
    Ok(row.and_then(|row| row.first().and_then(Value::int)).unwrap_or_default())
}
