//! The bare client library: a queue in each direction, persistent messages, confirms, acknowledgements, a bounded number of messages on their way.

use std::collections::VecDeque;

use futures::StreamExt;
use lapin::options::*;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use tributary_services::Service;

const WINDOW: usize = 16;
const THERE: &str = "bare.there";
const BACK: &str = "bare.back";

/// Two ends.
pub struct Pair {
    guest: End,
    host: End,
    _connections: Vec<Connection>,
}

struct End {
    out: Channel,
    to: &'static str,
    consumer: Consumer,
}

impl Pair {
    /// On the first broker, or joined with the second one.
    pub async fn new(brokers: &Service, joined: bool) -> Self {
        let mut connections = Vec::new();
        let letters = if joined { ["A", "B"] } else { ["A", "A"] };
        if joined {
            join(brokers).await;
        }
        let mut ends = Vec::new();
        for (letter, to, from) in [(letters[0], THERE, BACK), (letters[1], BACK, THERE)] {
            let uri = format!(
                "amqp://{}:{}@127.0.0.1:{}/%2f",
                brokers.value("RABBITMQ_USER"),
                brokers.value("RABBITMQ_PASSWORD"),
                brokers.value(&format!("RABBITMQ_{letter}_PORT"))
            );
            let (sending, receiving) = (connect(&uri).await, connect(&uri).await);
            let (out, input) = (channel(&sending).await, channel(&receiving).await);
            for queue in [to, from] {
                let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
                input.queue_declare(queue.into(), options, FieldTable::default()).await.expect("a queue");
            }
            out.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
            input.basic_qos(32, BasicQosOptions::default()).await.expect("a prefetch");
            let consumer = input.basic_consume(
                from.into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            );
            ends.push(End { out, to, consumer: consumer.await.expect("a consumer") });
            connections.extend([sending, receiving]);
        }
        let host = ends.pop().expect("two ends");
        let guest = ends.pop().expect("two ends");
        Self { guest, host, _connections: connections }
    }

    /// Sends so many messages, and receives them.
    pub async fn transfer(&mut self, piece: &[u8], count: usize) {
        let Self { guest, host, .. } = self;
        let sends = async {
            let mut open = VecDeque::new();
            for _ in 0..count {
                if open.len() == WINDOW {
                    confirmed(open.pop_front()).await;
                }
                open.push_back(guest.publish(piece).await);
            }
            while let Some(confirm) = open.pop_front() {
                confirmed(Some(confirm)).await;
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
        let there = self.guest.publish(b"").await;
        self.host.receive().await;
        let back = self.host.publish(b"").await;
        self.guest.receive().await;
        confirmed(Some(there)).await;
        confirmed(Some(back)).await;
    }
}

impl End {
    async fn publish(&self, body: &[u8]) -> lapin::PublisherConfirm {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let sent = self.out.basic_publish(
            "".into(),
            self.to.into(),
            BasicPublishOptions::default(),
            body,
            properties,
        );
        sent.await.expect("a message is sent")
    }

    async fn receive(&mut self) {
        let delivery = self.consumer.next().await.expect("a message").expect("a message");
        delivery.acker.ack(BasicAckOptions::default()).await.expect("an acknowledgement");
    }
}

async fn confirmed(confirm: Option<lapin::PublisherConfirm>) {
    if let Some(confirm) = confirm {
        assert!(confirm.await.expect("a confirm").is_ack());
    }
}

async fn connect(uri: &str) -> Connection {
    Connection::connect(uri, ConnectionProperties::default()).await.expect("a connection")
}

async fn channel(connection: &Connection) -> Channel {
    connection.create_channel().await.expect("a channel")
}

/// Each broker fetches its queue from the other.
async fn join(brokers: &Service) {
    for (own, other, queue) in [("A", "B", BACK), ("B", "A", THERE)] {
        let ctl = brokers.value(&format!("RABBITMQ_{own}_CTL"));
        let uri = format!(
            "amqp://{}:{}@127.0.0.1:{}/%2f",
            brokers.value("RABBITMQ_USER"),
            brokers.value("RABBITMQ_PASSWORD"),
            brokers.value(&format!("RABBITMQ_{other}_PORT"))
        );
        let upstream = format!(r#"{{"uri": "{uri}", "prefetch-count": 32}}"#);
        let (pattern, definition) =
            (format!("^{}$", queue.replace('.', r"\.")), r#"{"federation-upstream": "bare"}"#);
        for arguments in [
            &["set_parameter", "federation-upstream", "bare", &upstream][..],
            &["set_policy", "--apply-to", "queues", "bare", &pattern, definition],
        ] {
            let done = std::process::Command::new(&ctl).args(arguments).output().expect("rabbitmqctl runs");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
    }
}
