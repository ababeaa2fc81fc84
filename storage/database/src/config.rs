//! The keys of a server, by the names that FATE has for them.

use tributary_core::settings::{Key, Kind};

use crate::product::Product;
use crate::server::Tls;

/// What the key with the name of the database is called: FATE has two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKey {
    /// As in its `database` section.
    Name,
    /// As in the addresses of its tables.
    Db,
}

impl DatabaseKey {
    /// The key's name.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Db => "db",
        }
    }
}

/// Where the server is: the keys that every engine declares for itself.
pub const fn keys(product: Product, database: DatabaseKey, host: &'static str) -> [Key; 3] {
    [
        Key::optional("host", Kind::Text, host),
        Key::new("port", Kind::Int { least: 1, most: 65_535 }, product.port(), "Port of the server."),
        Key::optional(
            database.key(),
            Kind::Text,
            "The database; it must exist. The user needs to create tables in it.",
        ),
    ]
}

/// The keys of all engines that are in a server.
pub const COMMON: &[Key] = &[
    Key::optional("user", Kind::Text, "Who logs in."),
    Key::optional("passwd", Kind::Secret, "The password; see [secrets](#secrets)."),
    Key::optional(
        "tls",
        Kind::OneOf(&Tls::WORDS),
        "`verify-full`: encrypted, and the server's certificate is checked, also for its name; `require`: encrypted, unchecked; `prefer`: \
         encrypted if the server can; `off`. If it is not given: `verify-full` with a `ca_file`, else `prefer`.",
    ),
    Key::optional(
        "ca_file",
        Kind::Path,
        "Certificates (PEM) that may have signed the server's, besides those that this machine trusts. A relative path is under the \
         party's home.",
    ),
    Key::new(
        "max_connections",
        Kind::Int { least: 1, most: 10_000 },
        "100",
        "Most connections of one process at once. Those of partitions that are being read or written are not counted: each has one.",
    ),
    Key::new("stale_timeout", Kind::Seconds, "30", "After this time without use, a connection is closed."),
    Key::new(
        "patience",
        Kind::Seconds,
        "60",
        "How long a server that cannot be reached, or restarts, is tried again, with growing pauses.",
    ),
];
