//! What an operator should know of a database beside what a probe finds: which server answers, how the line to it is protected, what time it is
//! there, and how large it is. How much its disk has left, no server says.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tributary_core::check::{self, Finding, milliseconds, timed};
use tributary_core::storage::Storage;
use tributary_database::{Connection, Database, Failure, Operation, Product, Server, Source, Tls, Value};

use crate::catalog::Catalog;

/// Asks the server, and then probes its tables.
pub(crate) async fn examine(
    database: &Database,
    catalog: &Arc<Catalog>,
    tables: &impl Storage,
) -> Vec<Finding> {
    let (about, took) = match timed(database.patiently(Ask(catalog.clone()))).await {
        Ok(answer) => answer,
        Err(error) => {
            let skipped = Finding::skipped("tables", "the server does not answer");
            return vec![Finding::of_error("server", &error), skipped];
        }
    };
    let mut findings = vec![Finding::good(
        "server",
        format!("{} {}, answers in {}", catalog.names.product.name(), about.version, milliseconds(took)),
    )];
    if let Source::Server(server) = database.source() {
        findings.push(line(server, about.protection.as_deref()));
    }
    let shows = SystemTime::UNIX_EPOCH + Duration::from_millis(about.now_ms);
    findings.push(check::clock(shows, took));
    let size =
        format!("the database has {:.1} MB; how much its disk has left, no server says", about.bytes / 1e6);
    findings.push(Finding::good("size", size));
    findings.extend(check::storage(tables).await);
    findings
}

/// How the line is protected. One that stays on this machine needs no protection.
fn line(server: &Server, protection: Option<&str>) -> Finding {
    const WHAT: &str = "protection of the line";
    let stays =
        server.host == "localhost" || server.host.parse().is_ok_and(|host: IpAddr| host.is_loopback());
    let change = "set ca_file in the section, and leave tls out or have it verify-full";
    let found = match protection {
        Some(how) if server.tls == Tls::VerifyFull => {
            return Finding::good(WHAT, format!("{how}, and the server's certificate is checked"));
        }
        Some(how) => format!("{how}, but whoever answers is believed"),
        None => "none: passwords and rows cross the network as they are".to_owned(),
    };
    if stays {
        Finding::good(WHAT, "the server is on this machine")
    } else {
        Finding::doubtful(WHAT, found, change)
    }
}

/// What a server says of itself.
struct About {
    version: String,
    /// Protocol of the encryption, if the line is encrypted.
    protection: Option<String>,
    now_ms: u64,
    bytes: f64,
}

struct Ask(Arc<Catalog>);

impl Operation for Ask {
    type Output = About;

    async fn attempt(&self, to: &mut Connection, _: tributary_database::Try) -> Result<About, Failure> {
        let now = self.0.now();
        let is_mysql = self.0.names.product == Product::MySql;
        let (about, protection) = match is_mysql {
            true => (
                format!(
                    "SELECT VERSION(), {now}, (SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS SIGNED) \
                     FROM information_schema.tables WHERE table_schema = DATABASE())"
                ),
                "SHOW SESSION STATUS LIKE 'Ssl_version'",
            ),
            false => (
                format!(
                    "SELECT current_setting('server_version'), {now}, pg_database_size(current_database())"
                ),
                "SELECT 'ssl', version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl",
            ),
        };
        let row = to.first(&about, &[]).await?.unwrap_or_default();
        let protection = to.first(protection, &[]).await?;
        let text = |value: Option<&Value>| match value {
            Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let number = |value: Option<&Value>| match value {
            Some(Value::Int(number)) => number.unsigned_abs(),
            _ => 0,
        };
        Ok(About {
            version: text(row.first()).unwrap_or_else(|| "of an unknown version".to_owned()),
            protection: protection.and_then(|row| text(row.get(1))),
            now_ms: number(row.get(1)),
            bytes: number(row.get(2)) as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use tributary_core::check::State;

    use super::*;

    #[test]
    fn a_line_that_leaves_the_machine_unprotected_is_doubtful() {
        let state = |host: &str, tls, protection| {
            let server = Server {
                product: Product::PostgreSql,
                host: host.into(),
                port: 5432,
                database: "d".into(),
                user: "u".into(),
                password: None,
                tls,
                ca_file: None,
                connections: 1,
                idle: Duration::ZERO,
                patience: Duration::ZERO,
            };
            line(&server, protection).state
        };
        for (host, tls, protection) in [
            ("localhost", Tls::Prefer, None),
            ("127.0.0.1", Tls::Off, None),
            ("db", Tls::VerifyFull, Some("TLSv1.3")),
        ] {
            assert!(matches!(state(host, tls, protection), State::Good { .. }), "{host}");
        }
        for (tls, protection, said) in [
            (Tls::Prefer, None, "as they are"),
            (Tls::Require, Some("TLSv1.3"), "TLSv1.3, but whoever answers"),
        ] {
            let State::Doubtful { found, changes } = state("db", tls, protection) else { panic!("{said}") };
            assert!(found.contains(said) && changes[0].contains("ca_file"), "{found}");
        }
    }
}
