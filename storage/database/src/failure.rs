//! What goes wrong with a database: whether another try can help, and as an error for people.
//!
//! Databases say in their messages which values they do not like, and values are people's rows. So of an answer we pass on its code,
//! and its message only where it is about something else.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::path::Path;

use sqlx::mysql::MySqlDatabaseError;

use tributary_core::{Error, ErrorKind, Shown};

use crate::product::Product;

/// An error of a database.
#[derive(Debug)]
pub struct Failure {
    product: Product,
    why: Why,
    is_undecided: bool,
}

#[derive(Debug)]
enum Why {
    Client(sqlx::Error),
    Ours(Error),
}

/// Codes of PostgreSQL (all of its five letters, or the class that they begin with) and numbers of MySQL, what they mean, and what
/// helps.
const CODES: &[(&[&str], &[u16], ErrorKind, &str)] = &[
    (
        &["28"],
        &[1044, 1045, 1698],
        ErrorKind::Denied,
        "the server refuses the login; check user and passwd in service_conf.yaml",
    ),
    (
        &["3D"],
        &[1049],
        ErrorKind::InvalidInput,
        "there is no such database; make it, or name another in service_conf.yaml",
    ),
    (
        &["42501"],
        &[1142, 1143, 1227, 1370],
        ErrorKind::Denied,
        "the user may not do it; grant it in the database",
    ),
    (&["42P01", "3F"], &[1146, 1051], ErrorKind::NotFound, "there is no such table in the database"),
    (&["42703"], &[1054], ErrorKind::NotFound, "the table has no such column"),
    (&["23505", "42P07"], &[1050, 1062, 1586], ErrorKind::AlreadyExists, "it exists"),
    (
        &["40", "55P03"],
        &[1205, 1213],
        ErrorKind::Conflict,
        "others change the same thing at the same time; try again",
    ),
    (
        &["53300"],
        &[1040, 1203, 1226],
        ErrorKind::Unavailable,
        "the server has no connection left; try again later",
    ),
    (
        &["53"],
        &[1021, 1114, 1041, 1153],
        ErrorKind::Exhausted,
        "the server has no space or memory left, or its limit is too low for it",
    ),
    (
        &["54"],
        &[1117, 1118, 1139],
        ErrorKind::Unsupported,
        "the table has more or longer columns than the database can hold; leave columns out, or use another store",
    ),
    (
        &["25006"],
        &[1290, 1836],
        ErrorKind::Denied,
        "the server is read-only; name the one that is written to",
    ),
    (&["57014"], &[1317, 3024], ErrorKind::Cancelled, "the server stopped the statement"),
];

/// Codes of a server that goes down or comes up, or that ended a connection.
const LOST: (&[&str], &[u16]) =
    (&["08", "57P0"], &[1053, 1077, 1078, 1079, 1080, 1152, 1159, 1927, 2006, 2013]);
/// Codes whose messages may hold values.
const WITH_VALUES: (&[&str], &[u16]) =
    (&["22", "23"], &[1048, 1062, 1264, 1265, 1292, 1366, 1406, 1411, 1525, 1690, 3140]);

impl Failure {
    pub(crate) fn new(product: Product, why: sqlx::Error) -> Self {
        Self { product, why: Why::Client(why), is_undecided: false }
    }

    pub(crate) fn bug(why: sqlx::Error) -> Self {
        Error::bug("a value cannot be given to the database").because(why).into()
    }

    /// An error of the client itself, of a connection that was taken out.
    pub fn of_client(product: Product, why: sqlx::Error) -> Self {
        Self::new(product, why)
    }

    /// The same of a commit: whether it happened is not known, if the connection was lost.
    pub(crate) fn undecided(self) -> Self {
        Self { is_undecided: self.is_lost(), ..self }
    }

    /// Whether what failed may have happened all the same.
    pub(crate) fn is_undecided(&self) -> bool {
        self.is_undecided
    }

    /// Whether the connection is of no use any more, and another may be.
    pub fn is_lost(&self) -> bool {
        match &self.why {
            Why::Ours(_) => false,
            Why::Client(why) if self.product == Product::Sqlite => matches!(why, sqlx::Error::WorkerCrashed),
            Why::Client(sqlx::Error::Io(why)) => !is_about_certificates(why),
            Why::Client(sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed) => {
                true
            }
            Why::Client(_) => self.has(LOST),
        }
    }

    /// Whether the same may succeed when others have done what they do.
    pub fn is_contended(&self) -> bool {
        match self.product {
            Product::Sqlite => matches!(self.sqlite_code(), Some(5 | 6)),
            _ => self.has((&["40", "55P03", "53300"], &[1205, 1213, 1040, 1203])),
        }
    }

    /// Whether there is a row with this key, or a table of this name.
    pub fn is_taken(&self) -> bool {
        match &self.why {
            Why::Client(sqlx::Error::Database(why)) => {
                why.is_unique_violation() || self.has((&["42P07"], &[1050]))
            }
            _ => false,
        }
    }

    /// Whether a table is not there.
    pub fn is_absent(&self) -> bool {
        self.has((&["42P01", "3F"], &[1146, 1051]))
    }

    /// As an error for people. `place`: the database's address, or file.
    pub fn into_error(self, place: &str) -> Error {
        let product = self.product;
        let why = match self.why {
            Why::Ours(error) => return error,
            Why::Client(_) if product == Product::Sqlite => return self.of_file(place),
            Why::Client(ref why) => why,
        };
        let database = format!("database {place}");
        match why {
            sqlx::Error::Database(answer) => {
                let (kind, advice) = self.meaning();
                let said = match self.has(WITH_VALUES) {
                    true => format!("the server's code is {}", Shown::new(&self.code())),
                    false => format!("the server says {}: {}", Shown::new(&self.code()), Shown::new(answer.message())),
                };
                Error::new(kind, advice).because(said).at(database)
            }
            sqlx::Error::Io(why) if is_about_certificates(why) => certificate(root(why)).at(database),
            sqlx::Error::Tls(why) => certificate(root(why.as_ref())).at(database),
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::BeginFailed => Error::new(
                ErrorKind::Unavailable,
                "the server cannot be reached or ended the connection; check its address in service_conf.yaml, and the network",
            )
            .because(Shown::new(&root(why)).to_string())
            .at(database),
            _ => Error::new(ErrorKind::Corrupt, "the database holds something else than was put there")
                .because(Shown::new(&root(why)).to_string())
                .at(database),
        }
    }

    fn meaning(&self) -> (ErrorKind, &'static str) {
        let known = CODES.iter().find(|(codes, numbers, ..)| self.has((codes, numbers)));
        match known {
            Some((_, _, kind, advice)) => (*kind, advice),
            None if self.has(LOST) => (
                ErrorKind::Unavailable,
                "the server is going down, or has ended the connection; try again later",
            ),
            None if self.has(WITH_VALUES) => {
                (ErrorKind::InvalidInput, "the database cannot hold a value as it is")
            }
            None => (ErrorKind::Io, "the server refuses it"),
        }
    }

    fn of_file(self, place: &str) -> Error {
        let (kind, advice) = match self.sqlite_code() {
            Some(5 | 6) => (
                ErrorKind::Unavailable,
                "another process has held its lock for a long time; try again when that process is done",
            ),
            Some(13) => (ErrorKind::Exhausted, "the disk is full; free space there"),
            Some(3 | 8 | 14) => {
                (ErrorKind::Denied, "this user needs read and write permission for the file and its folder")
            }
            Some(10) => (ErrorKind::Io, "the disk reported an error; see the reason"),
            _ => (
                ErrorKind::Corrupt,
                "the file is damaged or not a meta database; restore it from a backup, or move it away and register the tables again",
            ),
        };
        let error = Error::new(kind, format!("meta database {place}: {advice}"));
        match self.why {
            Why::Client(why) => error.because(why),
            Why::Ours(why) => error.because(why),
        }
    }

    /// The primary code of SQLite.
    fn sqlite_code(&self) -> Option<u32> {
        self.code().parse::<u32>().ok().map(|code| code & 0xff)
    }

    fn code(&self) -> String {
        match (&self.why, self.mysql_number()) {
            (_, Some(number)) => number.to_string(),
            (Why::Client(sqlx::Error::Database(why)), None) => {
                why.code().map(Cow::into_owned).unwrap_or_default()
            }
            _ => String::new(),
        }
    }

    fn mysql_number(&self) -> Option<u16> {
        match &self.why {
            Why::Client(sqlx::Error::Database(why)) => {
                why.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
            }
            _ => None,
        }
    }

    /// Whether its code is one of these.
    fn has(&self, (codes, numbers): (&[&str], &[u16])) -> bool {
        match (self.product, self.mysql_number()) {
            (Product::MySql, Some(number)) => numbers.contains(&number),
            (Product::PostgreSql, _) => {
                let code = self.code();
                codes.iter().any(|begin| code.starts_with(begin))
            }
            _ => false,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { product: Product::Sqlite, why: Why::Ours(error), is_undecided: false }
    }
}

fn certificate(said: String) -> Error {
    Error::new(
        ErrorKind::Denied,
        "the line to the server cannot be protected as service_conf.yaml asks; check host, tls and ca_file: the certificate must be of \
         that host, and signed by one in the ca_file",
    )
    .because(Shown::new(&said).to_string())
}

/// A server's certificate that is refused comes as an error of reading; it is not mended by another try.
fn is_about_certificates(why: &std::io::Error) -> bool {
    why.kind() == std::io::ErrorKind::InvalidData && why.to_string().contains("certificate")
}

/// The last reason, which names what the operating system or TLS said.
fn root(error: &dyn StdError) -> String {
    let mut error = error;
    while let Some(reason) = error.source() {
        error = reason;
    }
    error.to_string()
}

/// For messages about a file.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
