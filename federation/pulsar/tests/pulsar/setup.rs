//! Clusters of the tests, and queues of sites at them.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tributary_broker::{Login, Routes};
use tributary_core::PartyId;
use tributary_core::settings::Secret;
use tributary_pulsar::{Config, Pulsar};
use tributary_services::Service;
use tributary_wire::Channel;

/// Both clusters, for all tests of this process.
pub static CLUSTERS: LazyLock<Service> = LazyLock::new(|| Service::start("pulsar", &[]));

/// How a site uses a cluster (`A` or `B`) that it shares with its partners.
pub fn config(cluster: &str, namespace: &str) -> Config {
    Config {
        host: "127.0.0.1".into(),
        port: CLUSTERS.port(&format!("PULSAR_{cluster}_PORT")),
        http_port: CLUSTERS.port(&format!("PULSAR_{cluster}_HTTP_PORT")),
        tls: false,
        http_tls: false,
        ca: None,
        login: Login::Token(Secret::new(CLUSTERS.value("PULSAR_TOKEN"))),
        cluster: cluster.to_lowercase(),
        tenant: "tests".into(),
        namespace: namespace.into(),
        routes: None,
        topic_ttl: Duration::from_secs(60),
        message_bytes: 1 << 20,
        away: Duration::from_secs(30),
    }
}

pub fn id(text: &str) -> PartyId {
    text.parse().unwrap()
}

pub fn queue(own: &str, config: Config) -> Arc<Pulsar> {
    Arc::new(Pulsar::new(id(own), config).unwrap())
}

/// A channel from site 1 to site 2.
pub fn channel(name: &str) -> Channel {
    Channel::named(name, id("1"), id("2")).unwrap()
}

/// A name that no other run uses.
pub fn fresh(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("tributary.{name}.{}", now.as_nanos())
}

/// A route table.
pub fn routes(text: &str) -> Routes {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Routes::read(file.path()).unwrap()
}
