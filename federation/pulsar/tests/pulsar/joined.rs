//! Two clusters, each with one site, joined by geo-replication over a cable.

use std::sync::Arc;
use std::time::Duration;

use tributary_core::federation::{Broker, Direction};
use tributary_core::{ErrorKind, Party};
use tributary_pulsar::{Config, Operator, Pulsar};
use tributary_services::{Cable, Faults};
use tributary_wire::{Channel, KeyRing, Queue, SecretKey};

use crate::faults::{ALONE, check, send};
use crate::setup::{CLUSTERS, config, id, queue, routes};

/// How site 1 at cluster A reaches site 2 at cluster B, and back.
fn configs(namespace: &str) -> [Config; 2] {
    let port = |key: &str| CLUSTERS.port(key);
    let table = |site: u8, port: u16| routes(&format!("{site}: {{host: 127.0.0.1, port: {port}}}\n"));
    [
        Config { routes: Some(table(2, port("PULSAR_B_CABLE_PORT"))), ..config("A", namespace) },
        Config { routes: Some(table(1, port("PULSAR_A_PORT"))), ..config("B", namespace) },
    ]
}

/// A channel as sessions have them, from site 1 to site 2.
fn channel() -> Channel {
    let [own, other] = [(); 2].map(|()| SecretKey::generate().unwrap());
    let key = KeyRing::new(own).with(id("2"), other.public()).unwrap().channel_key(&id("2")).unwrap();
    let [from, to] = [("guest", "1"), ("host", "2")].map(|(role, id)| Party::new(role, id).unwrap());
    Channel::between(&key, &"job.task.0".parse().unwrap(), &from, &to).unwrap()
}

async fn cable() -> Cable {
    let (near, far) = (CLUSTERS.port("PULSAR_B_CABLE_PORT"), CLUSTERS.port("PULSAR_B_BEHIND_PORT"));
    Cable::between(near, &format!("127.0.0.1:{far}"), Faults::default()).await
}

/// What the first site's operator sees of the way to the second one, once it is so.
async fn link_is(operator: &Operator, up: bool) -> String {
    let looks = async {
        loop {
            match (operator.link(&id("2")).await, up) {
                (Ok(said), true) => return said.unwrap(),
                (Err(error), false) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable);
                    return error.chain();
                }
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), looks).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_down_for_a_minute_loses_nothing_and_is_reported() {
    let _alone = ALONE.lock().await;
    let line = cable().await;
    // The second site is away from its own cluster too, and its topic must not go meanwhile.
    let [at_a, at_b] = configs("link").map(|config| Config { topic_ttl: Duration::from_secs(600), ..config });
    let operator = Operator::new(id("1"), at_a.clone()).unwrap();
    let (a, b): (Arc<Pulsar>, Arc<Pulsar>) = (queue("1", at_a), queue("2", at_b));
    let channel = channel();
    a.open(&channel).await.unwrap();
    // The receiver comes later: what was sent before waits in the sender's cluster.
    send(&a, &channel, 10).await.unwrap();
    b.open(&channel).await.unwrap();
    check(&b, &channel, 10).await;
    assert!(link_is(&operator, true).await.contains("replication to cluster 2"));

    drop(line);
    let down = link_is(&operator, false).await;
    assert!(down.contains("replication to cluster 2") && down.contains("route table"), "{down}");
    send(&a, &channel, 300).await.unwrap();
    let held = operator.held().await.unwrap();
    assert!(held.iter().any(|held| held.direction == Direction::Sent && held.frames > 0), "{held:?}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let _line = cable().await;
    check(&b, &channel, 300).await;

    a.finish(&channel).await.unwrap();
    b.remove(&channel).await.unwrap();
    assert_eq!(operator.held().await.unwrap(), []);
    assert_eq!(operator.unlink().await.unwrap(), 1, "the namespace of both sites");
    assert_eq!(operator.unlink().await.unwrap(), 0);
}
