//! The server of this test binary, and places in it.

use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tributary_core::settings::Secret;
use tributary_object::{S3Config, S3Keys, Way};
use tributary_services::Service;

/// What a place in the server is made of, by the names of the script.
const VALUES: [&str; 5] = ["S3_BUCKET", "S3_ENDPOINT", "S3_REGION", "S3_ACCESS_KEY", "S3_SECRET_KEY"];

/// The server; the first caller waits for it.
pub fn server() -> &'static Service {
    static SERVER: LazyLock<Service> = LazyLock::new(|| Service::start("s3", &[]));
    &SERVER
}

/// A place of its own for a test.
pub fn fresh() -> S3Config {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    config(|name| server().value(name), &prefix)
}

/// The host and port that the server listens on.
pub fn address() -> String {
    server().value("S3_ENDPOINT").trim_start_matches("http://").to_owned()
}

/// Tells a test's child process what it needs to reach the same server.
pub fn tell(child: &mut Command) {
    child.envs(VALUES.map(|name| (name, server().value(name))));
}

/// In a child process: a place in the server that its parent started.
pub fn told(prefix: &str) -> S3Config {
    config(|name| std::env::var(name).unwrap(), prefix)
}

fn config(value: impl Fn(&str) -> String, prefix: &str) -> S3Config {
    let secret = |name| Secret::new(value(name));
    S3Config {
        bucket: value("S3_BUCKET"),
        region: value("S3_REGION"),
        path_style: true,
        keys: Some(S3Keys { id: secret("S3_ACCESS_KEY"), key: secret("S3_SECRET_KEY"), token: None }),
        copied_at_once: tributary_object::COPIED_AT_ONCE,
        way: Way {
            prefix: prefix.into(),
            endpoint: Some(value("S3_ENDPOINT")),
            ca_file: None,
            patience: Duration::from_secs(20),
        },
    }
}

/// The same by another way to the server, with this patience.
pub fn by(endpoint: &str, patience: Duration, config: S3Config) -> S3Config {
    S3Config { way: Way { endpoint: Some(endpoint.into()), patience, ..config.way }, ..config }
}
