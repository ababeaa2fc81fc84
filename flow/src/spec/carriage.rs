//! What jobs of FATE 1 hand to the clients of its brokers, `rabbitmq_run` and `pulsar_run`, taken in `dag.conf` under their own names.
//!
//! A wish that has a meaning here becomes part of a [`Carriage`]; every other one that a job of FATE may hold is checked and answered by name with a
//! note that says why nothing follows from it. What its clients do not know either is a mistake, as it is there.

use std::collections::BTreeMap;

use tributary_core::federation::Carriage;
use tributary_document::{Item, Keys};

/// Bytes and messages.
const MOST: u32 = i32::MAX as u32;
/// Ten years of milliseconds.
const MOST_MS: u64 = 315_360_000_000;

/// What the value of a key without effect has to be.
#[derive(Debug, Clone, Copy)]
enum Form {
    Bool,
    Count,
    Seconds,
    Text,
    Anything,
}

/// Keys without effect, and why.
type Told = (&'static [(&'static str, Form)], &'static str);

const QUEUES: &[Told] = &[
    (&[("durable", Form::Bool)], "what a job sends is always kept on disk until it was taken"),
    (
        &[("auto_delete", Form::Bool), ("exclusive", Form::Bool), ("passive", Form::Bool)],
        "a job makes its queues, two sites use them, and they go at its end",
    ),
];
const CONNECTIONS: &[Told] = &[(
    &[
        ("host", Form::Text),
        ("port", Form::Count),
        ("virtual_host", Form::Text),
        ("heartbeat", Form::Count),
        ("blocked_connection_timeout", Form::Seconds),
        ("socket_timeout", Form::Seconds),
        ("stack_timeout", Form::Seconds),
        ("connection_attempts", Form::Count),
        ("retry_delay", Form::Seconds),
        ("channel_max", Form::Count),
        ("frame_max", Form::Count),
        ("locale", Form::Text),
        ("client_properties", Form::Anything),
        ("tcp_options", Form::Anything),
    ],
    "all jobs of a site share its connections, and its service_conf.yaml says how they are made and how long they are waited for",
)];
const UPSTREAMS: &[Told] = &[(
    &[
        ("prefetch-count", Form::Count),
        ("reconnect-delay", Form::Seconds),
        ("ack-mode", Form::Text),
        ("trust-user-id", Form::Bool),
        ("expires", Form::Count),
        ("message-ttl", Form::Count),
        ("max-hops", Form::Count),
        ("consumer-tag", Form::Text),
    ],
    "all jobs share the link between two brokers",
)];
const PRODUCERS: &[Told] = &[
    (
        &[("block_if_queue_full", Form::Bool), ("send_timeout_millis", Form::Count)],
        "a sender always waits, as long as the site's away and patience allow",
    ),
    (
        &[
            ("batching_enabled", Form::Bool),
            ("batching_max_messages", Form::Count),
            ("batching_max_publish_delay_ms", Form::Count),
            ("batching_type", Form::Anything),
            ("chunking_enabled", Form::Bool),
        ],
        "what waits anyway is packed together, and nothing waits for more",
    ),
    (
        &[
            ("compression_type", Form::Anything),
            ("crypto_key_reader", Form::Anything),
            ("encryption_key", Form::Text),
        ],
        "what a job sends is compressed and sealed before the broker gets it",
    ),
    (
        &[
            ("producer_name", Form::Text),
            ("initial_sequence_id", Form::Count),
            ("properties", Form::Anything),
            ("schema", Form::Anything),
            ("access_mode", Form::Anything),
            ("message_routing_mode", Form::Anything),
            ("lazy_start_partitioned_producers", Form::Bool),
            ("max_pending_messages_across_partitions", Form::Count),
        ],
        "a channel is one topic with one producer, and this program writes in it as it needs",
    ),
];
const CONSUMERS: &[Told] = &[
    (
        &[
            ("unacked_messages_timeout_ms", Form::Count),
            ("negative_ack_redelivery_delay_ms", Form::Count),
            ("consumer_type", Form::Anything),
            ("initial_position", Form::Anything),
            ("is_read_compacted", Form::Bool),
            ("replicate_subscription_state_enabled", Form::Bool),
        ],
        "a channel has one reader, that takes all of it from the first message on",
    ),
    (
        &[
            ("consumer_name", Form::Text),
            ("broker_consumer_stats_cache_time_ms", Form::Count),
            ("max_total_receiver_queue_size_across_partitions", Form::Count),
            ("pattern_auto_discovery_period", Form::Count),
            ("properties", Form::Anything),
            ("schema", Form::Anything),
            ("crypto_key_reader", Form::Anything),
        ],
        "a channel is one topic with one subscription, and this program reads it as it needs",
    ),
];
const CLIENTS: &[Told] = &[(
    &[
        ("authentication", Form::Anything),
        ("operation_timeout_seconds", Form::Count),
        ("connection_timeout_ms", Form::Count),
        ("io_threads", Form::Count),
        ("message_listener_threads", Form::Count),
        ("concurrent_lookup_requests", Form::Count),
        ("stats_interval_in_seconds", Form::Count),
        ("use_tls", Form::Bool),
        ("tls_trust_certs_file_path", Form::Text),
        ("tls_allow_insecure_connection", Form::Bool),
        ("tls_validate_hostname", Form::Bool),
        ("log_conf_file_path", Form::Text),
        ("logger", Form::Anything),
    ],
    CONNECTIONS[0].1,
)];

/// By the names of the transports that they are for. Keys without effect go to `notes`.
pub(super) fn read(keys: &mut Keys<'_>, notes: &mut Vec<String>) -> BTreeMap<String, Carriage> {
    let wishes = [
        ("rabbitmq", rabbitmq(&keys.take("rabbitmq_run"), notes)),
        ("pulsar", pulsar(&keys.take("pulsar_run"), notes)),
    ];
    let said = wishes.into_iter().filter(|(_, wish)| *wish != Carriage::default());
    said.map(|(name, wish)| (name.to_owned(), wish)).collect()
}

fn rabbitmq(run: &Item<'_>, notes: &mut Vec<String>) -> Carriage {
    run.map(|keys| {
        let mut wish =
            Carriage { message_bytes: count(&keys.take("max_message_size")), ..Carriage::default() };
        keys.take("queue").map(|keys| {
            arguments(&keys.take("arguments"), &mut wish, notes);
            tell(keys, QUEUES, notes);
        });
        keys.take("connection").map(|keys| tell(keys, CONNECTIONS, notes));
        keys.take("upstream").map(|keys| tell(keys, UPSTREAMS, notes));
        wish
    })
}

/// Of a queue, by RabbitMQ's own names.
fn arguments(given: &Item<'_>, wish: &mut Carriage, notes: &mut Vec<String>) {
    for (name, value) in given.entries() {
        match name {
            "x-expires" => wish.expires_ms = value.int_in(1..=MOST_MS),
            "x-max-length" => wish.waiting = count(&value),
            "x-max-length-bytes" => wish.waiting_bytes = value.int_in(1..=u64::from(MOST)),
            "x-queue-type" => match value.choice(&[("quorum", true), ("classic", false)]) {
                Some(true) => wish.replicated = true,
                Some(false) => note(&value, "each site's queue_type says which type is the least", notes),
                None => {}
            },
            "x-message-ttl" => note(&value, "a job loses nothing that it sends", notes),
            "x-overflow" => note(&value, "a sender always waits for its reader", notes),
            _ => note(&value, "a channel needs no such argument", notes),
        }
    }
}

fn pulsar(run: &Item<'_>, notes: &mut Vec<String>) -> Carriage {
    run.map(|keys| {
        let mut wish =
            Carriage { message_bytes: count(&keys.take("max_message_size")), ..Carriage::default() };
        keys.take("producer").map(|keys| {
            wish.unconfirmed = count(&keys.take("max_pending_messages"));
            let packed = count(&keys.take("batching_max_allowed_size_in_bytes"));
            wish.message_bytes = wish.message_bytes.into_iter().chain(packed).min();
            tell(keys, PRODUCERS, notes);
        });
        keys.take("consumer").map(|keys| {
            wish.ahead = count(&keys.take("receiver_queue_size"));
            tell(keys, CONSUMERS, notes);
        });
        keys.take("connection").map(|keys| tell(keys, CLIENTS, notes));
        wish
    })
}

fn count(item: &Item<'_>) -> Option<u32> {
    item.int_in(1..=MOST)
}

fn tell(keys: &mut Keys<'_>, told: &[Told], notes: &mut Vec<String>) {
    for (names, because) in told {
        for (name, form) in *names {
            let item = keys.take(name);
            form.check(&item);
            if item.is_given() {
                note(&item, because, notes);
            }
        }
    }
}

fn note(item: &Item<'_>, because: &str, notes: &mut Vec<String>) {
    notes.push(format!("{} has no effect because {because}", item.path()));
}

impl Form {
    fn check(self, item: &Item<'_>) {
        match self {
            Self::Bool => drop(item.bool()),
            Self::Count => drop(item.int_in(0..=MOST)),
            Self::Seconds => drop(item.float_in(0.0..=f64::from(MOST))),
            Self::Text => drop(item.text()),
            Self::Anything => {}
        }
    }
}
