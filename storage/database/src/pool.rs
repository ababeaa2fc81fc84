//! Connections that are kept, and what is done on them until it is done.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use tributary_core::{Error, Result};
use tributary_threads::Threads;

use crate::connection::Connection;
use crate::failure::{Failure, shown};
use crate::file::{self, FileKind};
use crate::product::Product;
use crate::server::Server;

/// The first pause before another try.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server that accepts no connection for so long is tried again.
const CONNECT: Duration = Duration::from_secs(10);

/// Where a database is.
#[derive(Debug, Clone)]
pub enum Source {
    /// In a file of this machine, with SQLite.
    File(PathBuf, FileKind),
    /// In a server.
    Server(Server),
}

impl Source {
    /// Which database it is.
    pub fn product(&self) -> Product {
        match self {
            Self::File(..) => Product::Sqlite,
            Self::Server(server) => server.product,
        }
    }

    /// For people.
    pub fn address(&self) -> String {
        match self {
            Self::File(path, _) => shown(path),
            Self::Server(server) => server.address(),
        }
    }

    fn patience(&self) -> Duration {
        match self {
            // SQLite itself waits for other processes.
            Self::File(..) => Duration::ZERO,
            Self::Server(server) => server.patience,
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let made = async {
            match self {
                Self::File(path, kind) => file::open(path, *kind).await,
                Self::Server(server) if server.product == Product::MySql => {
                    let made = server.mysql().connect().await.map(Connection::MySql);
                    made.map_err(|why| Failure::new(Product::MySql, why))
                }
                Self::Server(server) => {
                    let made = server.postgres().connect().await.map(Connection::PostgreSql);
                    made.map_err(|why| Failure::new(Product::PostgreSql, why))
                }
            }
        };
        match self {
            Self::File(..) => made.await,
            Self::Server(server) => tokio::time::timeout(CONNECT, made).await.unwrap_or_else(|_| {
                let why = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer within 10 s");
                Err(Failure::new(server.product, why.into()))
            }),
        }
    }
}

/// What is done on one connection. Nothing of it stays if it fails, but what it committed.
pub trait Operation: Send + Sync + 'static {
    /// What it gives.
    type Output: Send + 'static;

    /// One try.
    fn attempt(
        &self,
        connection: &mut Connection,
        which: Try,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

/// Which try it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Try {
    /// Nothing of it has happened.
    First,
    /// An earlier one may have happened: its answer was lost.
    Again,
}

/// A database, and the connections to it. Nothing is opened before the first call.
#[derive(Debug)]
pub struct Database {
    pool: Arc<Pool>,
    threads: OnceLock<Threads>,
}

impl Database {
    /// The database there.
    pub fn new(source: Source) -> Self {
        let most = match &source {
            // One writes at a time, and reads take microseconds.
            Source::File(..) => 1,
            Source::Server(server) => server.connections,
        };
        let (idle, permits) = (Mutex::new(Vec::new()), Arc::new(Semaphore::new(most)));
        Self { pool: Arc::new(Pool { source, idle, permits }), threads: OnceLock::new() }
    }

    /// Where it is.
    pub fn source(&self) -> &Source {
        &self.pool.source
    }

    /// The threads on which its client works.
    pub fn threads(&self) -> Result<&Threads> {
        if let Some(threads) = self.threads.get() {
            return Ok(threads);
        }
        let threads = Threads::start("database")?;
        Ok(self.threads.get_or_init(|| threads))
    }

    /// Its connections, for work on its threads.
    pub fn pool(&self) -> Arc<Pool> {
        self.pool.clone()
    }

    /// Does it, and again while the database cannot be reached or others are in the way, as long as patience lasts.
    pub async fn patiently<O: Operation>(&self, operation: O) -> Result<O::Output> {
        let pool = self.pool();
        self.threads()?.run(async move { pool.patiently(&operation).await }).await
    }
}

/// Connections that are kept for the next who needs one.
pub struct Pool {
    source: Source,
    idle: Mutex<Vec<(Instant, Connection)>>,
    permits: Arc<Semaphore>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("source", &self.source).finish_non_exhaustive()
    }
}

/// A connection of its own for a while. It goes back only by [`Lease::done`]: whatever was left in the middle is closed.
#[derive(Debug)]
pub struct Lease {
    connection: Connection,
    pool: Arc<Pool>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Lease {
    /// The connection.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Keeps it for others: nothing is under way on it.
    pub fn done(self) {
        self.pool.idle().push((Instant::now(), self.connection));
    }
}

impl Pool {
    /// Where it is.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// A failure as an error, with the place.
    pub fn error(&self, why: Failure) -> Error {
        why.into_error(&self.source.address())
    }

    /// Does it, and again while that may help.
    pub async fn patiently<O: Operation>(self: &Arc<Self>, operation: &O) -> Result<O::Output> {
        let (mut pauses, mut which) = (Pauses::new(self.source.patience()), Try::First);
        loop {
            match self.attempt(operation, which).await {
                Ok(output) => return Ok(output),
                Err(why) if why.is_lost() || why.is_contended() => {
                    if why.is_undecided() {
                        which = Try::Again;
                    }
                    if !pauses.pause().await {
                        return Err(self.error(why));
                    }
                }
                Err(why) => return Err(self.error(why)),
            }
        }
    }

    async fn attempt<O: Operation>(
        self: &Arc<Self>,
        operation: &O,
        which: Try,
    ) -> Result<O::Output, Failure> {
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|why| Error::bug("connections are given out no more").because(why))?;
        let mut lease = self.take(Some(permit)).await?;
        let done = operation.attempt(&mut lease.connection, which).await;
        match &done {
            Err(why) if why.is_lost() => self.idle().clear(), // the others are of the same server
            _ => lease.done(),
        }
        done
    }

    /// A connection beside those that are counted, which waits for nobody; the database is waited for.
    pub async fn lease(self: &Arc<Self>) -> Result<Lease> {
        let mut pauses = Pauses::new(self.source.patience());
        loop {
            match self.take(None).await {
                Ok(lease) => return Ok(lease),
                Err(why) if (why.is_lost() || why.is_contended()) && pauses.pause().await => {}
                Err(why) => return Err(self.error(why)),
            }
        }
    }

    async fn take(self: &Arc<Self>, permit: Option<OwnedSemaphorePermit>) -> Result<Lease, Failure> {
        let connection = match self.kept().await {
            Some(kept) => kept,
            None => self.source.connect().await?,
        };
        Ok(Lease { connection, pool: self.clone(), _permit: permit })
    }

    /// One that still works.
    async fn kept(&self) -> Option<Connection> {
        let Source::Server(server) = &self.source else { return self.idle().pop().map(|(_, kept)| kept) };
        loop {
            let (since, mut kept) = self.idle().pop()?;
            if since.elapsed() < server.idle && kept.ping().await.is_ok() {
                return Some(kept);
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, Connection)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Growing pauses, until patience ends.
struct Pauses {
    end: Instant,
    next: Duration,
}

impl Pauses {
    fn new(patience: Duration) -> Self {
        Self { end: Instant::now() + patience, next: FIRST_PAUSE }
    }

    /// False if no time is left.
    async fn pause(&mut self) -> bool {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        tokio::time::sleep(self.next.min(left)).await;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        true
    }
}
