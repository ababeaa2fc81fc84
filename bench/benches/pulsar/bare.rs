//! The bare client library: a persistent topic in each direction, receipts, acknowledgements, a bounded number of messages on their way.

use std::collections::VecDeque;

use futures::StreamExt;
use pulsar::consumer::InitialPosition;
use pulsar::producer::SendFuture;
use pulsar::{Authentication, Consumer, ConsumerOptions, Producer, ProducerOptions, SubType, TokioExecutor};
use tributary_broker::{Admin, Endpoint, Login};
use tributary_core::settings::Secret;
use tributary_services::Service;

const WINDOW: usize = 16;

/// Two ends.
pub struct Pair {
    guest: End,
    host: End,
}

struct End {
    producer: Producer<TokioExecutor>,
    consumer: Consumer<Vec<u8>, TokioExecutor>,
}

impl Pair {
    /// At the first cluster, or at both.
    pub async fn new(clusters: &Service, joined: bool) -> Self {
        let at = if joined { ["A", "B"] } else { ["A", "A"] };
        let namespace = if joined { "bare/joined" } else { "bare/shared" };
        for cluster in at {
            prepare(clusters, cluster, namespace, joined).await;
        }
        let topic = |name: &str| format!("persistent://{namespace}/{name}");
        let guest = End::new(clusters, at[0], topic("there"), topic("back")).await;
        let host = End::new(clusters, at[1], topic("back"), topic("there")).await;
        Self { guest, host }
    }

    /// Sends so many messages, and receives them.
    pub async fn transfer(&mut self, piece: &[u8], count: usize) {
        let Self { guest, host } = self;
        let sends = async {
            let mut open = VecDeque::new();
            for _ in 0..count {
                if open.len() == WINDOW {
                    confirmed(open.pop_front()).await;
                }
                open.push_back(guest.send(piece).await);
            }
            while let Some(receipt) = open.pop_front() {
                confirmed(Some(receipt)).await;
            }
        };
        let receives = async {
            for _ in 0..count {
                host.receive().await;
            }
        };
        futures::future::join(sends, receives).await;
    }

    /// One empty message there and back.
    pub async fn round_trip(&mut self) {
        let there = self.guest.send(b"").await;
        self.host.receive().await;
        let back = self.host.send(b"").await;
        self.guest.receive().await;
        confirmed(Some(there)).await;
        confirmed(Some(back)).await;
    }
}

impl End {
    async fn new(clusters: &Service, cluster: &str, to: String, from: String) -> Self {
        let url = format!("pulsar://127.0.0.1:{}", clusters.port(&format!("PULSAR_{cluster}_PORT")));
        let token = Authentication { name: "token".into(), data: clusters.value("PULSAR_TOKEN").into() };
        let client = pulsar::Pulsar::builder(url, TokioExecutor).with_auth(token).build().await;
        let client = client.expect("a connection");
        let options = ConsumerOptions {
            initial_position: InitialPosition::Earliest,
            receiver_queue_size: Some(16),
            ..ConsumerOptions::default()
        };
        let consumer = client.consumer().with_topic(&from).with_subscription("bare");
        let consumer =
            consumer.with_subscription_type(SubType::Exclusive).with_options(options).build().await;
        let options = ProducerOptions { block_queue_if_full: true, ..ProducerOptions::default() };
        let producer = client.producer().with_topic(&to).with_options(options).build().await;
        Self { producer: producer.expect("a producer"), consumer: consumer.expect("a consumer") }
    }

    async fn send(&mut self, piece: &[u8]) -> SendFuture {
        self.producer.send_non_blocking(piece).await.expect("a message is sent")
    }

    async fn receive(&mut self) {
        let message = self.consumer.next().await.expect("a message").expect("a message");
        self.consumer.ack(&message).await.expect("an acknowledgement");
    }
}

async fn confirmed(receipt: Option<SendFuture>) {
    if let Some(receipt) = receipt {
        receipt.await.expect("a receipt");
    }
}

/// The namespace, at one cluster; topics make themselves.
async fn prepare(clusters: &Service, cluster: &str, namespace: &str, joined: bool) {
    let admin = Admin::new(Endpoint {
        service: "Pulsar's REST interface",
        url: format!("http://127.0.0.1:{}", clusters.port(&format!("PULSAR_{cluster}_HTTP_PORT"))),
        login: Login::Token(Secret::new(clusters.value("PULSAR_TOKEN"))),
        ca: None,
        identity: None,
        patience: std::time::Duration::from_secs(20),
        settings: "the bench".into(),
    });
    let admin = admin.expect("a client");
    let own = cluster.to_lowercase();
    let other = if own == "a" { "B" } else { "A" };
    let port = clusters.port(&format!("PULSAR_{other}_PORT"));
    let mut names = vec![own];
    if joined {
        names.push(other.to_lowercase());
        let entry = serde_json::json!({ "brokerServiceUrl": format!("pulsar://127.0.0.1:{port}") });
        // It may be there from an earlier pair.
        drop(admin.put(&format!("/admin/v2/clusters/{}", names[1]), &entry).await);
    }
    let tenant = serde_json::json!({ "adminRoles": [], "allowedClusters": names });
    if admin.put("/admin/v2/tenants/bare", &tenant).await.is_err() && joined {
        admin.post("/admin/v2/tenants/bare", &tenant).await.expect("a tenant");
    }
    let policies = serde_json::json!({ "replication_clusters": names });
    drop(admin.put(&format!("/admin/v2/namespaces/{namespace}"), &policies).await);
}
