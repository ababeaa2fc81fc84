//! What the three databases say differently.

use tributary_core::{Error, Result};

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// SQLite, in a file.
    Sqlite,
    /// PostgreSQL.
    PostgreSql,
    /// MySQL, or MariaDB.
    MySql,
}

impl Product {
    /// For people, and the scheme of addresses of what is in a server.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::PostgreSql => "postgresql",
            Self::MySql => "mysql",
        }
    }

    /// Where its servers listen, unless told otherwise.
    pub const fn port(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::PostgreSql => "5432",
            Self::MySql => "3306",
        }
    }

    /// Longest name of a table or column, in bytes (MySQL counts characters).
    pub const MOST_NAME_BYTES: usize = 63;

    /// A name of a table or column, as it stands in a statement. `InvalidInput` for one that a server would cut or refuse, which is then
    /// another name.
    pub fn quote(self, name: &str) -> Result<String> {
        if name.is_empty() || name.len() > Self::MOST_NAME_BYTES || name.contains('\0') {
            return Err(Error::invalid(format!(
                "{name:?} as the name of a table or column, expected 1 to {} bytes without NUL",
                Self::MOST_NAME_BYTES
            )));
        }
        let mark = if self == Self::MySql { '`' } else { '"' };
        let inside: String =
            name.chars().flat_map(|c| std::iter::repeat_n(c, 1 + usize::from(c == mark))).collect();
        Ok(format!("{mark}{inside}{mark}"))
    }

    /// A statement as the client takes it: PostgreSQL numbers its values. None of our statements has `?` for anything else.
    pub(crate) fn numbered(self, statement: &str) -> String {
        if self != Self::PostgreSql {
            return statement.to_owned();
        }
        let mut parts = statement.split('?');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.zip(1..).fold(first, |text, (part, number)| format!("{text}${number}{part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_marks() {
        assert_eq!(Product::PostgreSql.quote("a\" b`").unwrap(), "\"a\"\" b`\"");
        assert_eq!(Product::MySql.quote("a\" b`").unwrap(), "`a\" b```");
        for bad in ["", "a\0b", &"x".repeat(64)] {
            assert!(Product::PostgreSql.quote(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn values_are_numbered_for_postgresql() {
        assert_eq!(Product::PostgreSql.numbered("a = ? AND b = ?"), "a = $1 AND b = $2");
        assert_eq!(Product::MySql.numbered("a = ? AND b = ?"), "a = ? AND b = ?");
    }
}
