//! Versions of what is in a database, and the steps from one to the next.
//!
//! In a file the number is `user_version`, as it always was. In a server it is a row of the table `tributary_versions`, by the name of
//! what it is of. Steps run one after another under a lock, so that of two programs that start at once one finds them done. MySQL
//! commits every definition by itself: the number is raised after each step, and a step that was interrupted must be one that can
//! run again (`IF NOT EXISTS`).

use tributary_core::{Error, ErrorKind};

use crate::connection::{Connection, Value};
use crate::failure::Failure;
use crate::file::{FileKind, number};
use crate::product::Product;

/// The statements of one step. Never change those of a release: add another.
pub type Step = Vec<String>;

const VERSIONS: &str = "tributary_versions";
/// Names the lock of PostgreSQL: "trbm".
const LOCK: i64 = 0x7472_626d;
/// How long MySQL waits for the lock, in seconds.
const MYSQL_WAITS: u32 = 60;

/// What has a version.
#[derive(Debug, Clone, Copy)]
pub struct Versioned<'a> {
    /// Its name in a server.
    pub what: &'a str,
    /// The kind of a file of it.
    pub kind: FileKind,
    /// The steps that make it, from nothing to the newest version.
    pub steps: &'a [Step],
    /// Where it is, for people.
    pub place: &'a str,
}

/// Brings what is in a database to the newest version. `Unsupported` if a newer program was here.
pub async fn bring_up_to_date(connection: &mut Connection, it: Versioned<'_>) -> Result<(), Failure> {
    let Versioned { what, steps, .. } = it;
    if connection.product() == Product::Sqlite {
        return it.in_file(connection).await;
    }
    // Most often, all is done.
    if matches!(version(connection, what).await, Ok(found) if found == steps.len() as i64) {
        return Ok(());
    }
    match connection.product() {
        Product::PostgreSql => {
            connection.begin().await?;
            connection.rows("SELECT 1::bigint FROM pg_advisory_xact_lock(?)", &[LOCK.into()]).await?;
            let done = it.in_server(connection).await;
            connection.end(done).await
        }
        _ => {
            let lock = format!("SELECT GET_LOCK('tributary', {MYSQL_WAITS})");
            if number(connection, &lock).await? != 1 {
                let text = format!(
                    "another program has held the lock of {what} for {MYSQL_WAITS} s; try again later"
                );
                return Err(Error::new(ErrorKind::Unavailable, text).into());
            }
            let done = it.in_server(connection).await;
            number(connection, "SELECT RELEASE_LOCK('tributary')").await?;
            done
        }
    }
}

impl Versioned<'_> {
    async fn in_server(self, connection: &mut Connection) -> Result<(), Failure> {
        let Self { what, steps, .. } = self;
        let made = format!(
            "CREATE TABLE IF NOT EXISTS {VERSIONS} (what VARCHAR(64) PRIMARY KEY, version BIGINT NOT NULL)"
        );
        connection.say(&made).await?;
        let found = version(connection, what).await?;
        for (step, next) in steps.iter().zip(1i64..).skip(self.done(found)?) {
            for statement in step {
                connection.say(statement).await?;
            }
            let raised = format!("UPDATE {VERSIONS} SET version = ? WHERE what = ?");
            if connection.execute(&raised, &[next.into(), what.into()]).await? == 0 {
                let first = format!("INSERT INTO {VERSIONS} (version, what) VALUES (?, ?)");
                connection.execute(&first, &[next.into(), what.into()]).await?;
            }
        }
        Ok(())
    }

    async fn in_file(self, connection: &mut Connection) -> Result<(), Failure> {
        let found = number(connection, "PRAGMA user_version").await?;
        if self.done(found)? == self.steps.len() {
            return Ok(());
        }
        connection.begin().await?;
        let done = self.step_in_file(connection).await;
        connection.end(done).await
    }

    async fn step_in_file(self, connection: &mut Connection) -> Result<(), Failure> {
        // Another process may have done it while this one waited.
        let found = number(connection, "PRAGMA user_version").await?;
        for statement in self.steps.iter().skip(self.done(found)?).flatten() {
            connection.say(statement).await?;
        }
        let mark =
            format!("PRAGMA user_version = {}; PRAGMA application_id = {}", self.steps.len(), self.kind.0);
        connection.say(&mark).await
    }

    /// How many steps are done.
    fn done(self, found: i64) -> Result<usize, Failure> {
        let (what, place, known) = (self.what, self.place, self.steps.len());
        match usize::try_from(found) {
        Ok(done) if done <= known => Ok(done),
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            format!("{what} in database {place} has version {found}, this program knows up to {known}; use a newer one"),
        )
        .into()),
    }
    }
}

async fn version(connection: &mut Connection, what: &str) -> Result<i64, Failure> {
    let query = format!("SELECT version FROM {VERSIONS} WHERE what = ?");
    let row = connection.first(&query, &[what.into()]).await?;
    Ok(row.and_then(|row| row.first().and_then(Value::int)).unwrap_or_default())
}
