//! What a broker refuses is an error that says what to change.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tributary_core::federation::Broker as _;
use tributary_core::settings::Secret;
use tributary_core::{Error, ErrorKind};
use tributary_rabbitmq::{Config, Tls};
use tributary_wire::{Channel, Queue};

use crate::TURN;
use crate::setup::*;

/// What comes to 2 from 1.
const INBOUND: &str = "tributary.j.t.0.guest_1.host_2.0123456789abcdef0123456789abcdef";

fn channel() -> Channel {
    Channel::named(INBOUND, "1".parse().unwrap(), "2".parse().unwrap()).unwrap()
}

/// The error of a site on this broker, and of its operator's look at it.
async fn check(mut config: Config, kind: ErrorKind, expected: &[&str]) {
    config.away = Duration::from_secs(1);
    let of_job = rabbit(config.clone()).open(&channel()).await;
    let of_ping = inspector(config).look().await.map(drop);
    for error in [of_job, of_ping].map(Result::unwrap_err) {
        let text = Error::chain(&error);
        assert_eq!(error.kind(), kind, "{text}");
        for expected in expected {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_says_what_to_change() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "refusing").await);
    let config = broker.config("1");

    let mut wrong = config.clone();
    wrong.password = Secret::new("hunter2".into());
    check(
        wrong,
        ErrorKind::Denied,
        &["login refused to user tributary", "federation.rabbitmq.user and password"],
    )
    .await;

    let mut wrong = config.clone();
    wrong.vhost = "nowhere".into();
    check(wrong, ErrorKind::NotFound, &["no virtual host nowhere", "federation.rabbitmq.vhost"]).await;

    broker.ctl(&["add_user", "poor", "hunter3"]);
    let mut wrong = config.clone();
    (wrong.user, wrong.password) = ("poor".into(), Secret::new("hunter3".into()));
    check(wrong.clone(), ErrorKind::Denied, &["user poor may not use virtual host refusing"]).await;
    broker.ctl(&["set_permissions", "-p", &broker.vhost, "poor", "^other$", ".*", ".*"]);
    check(
        wrong,
        ErrorKind::Denied,
        &["user poor may not use queue tributary.", "give it configure, write and read"],
    )
    .await;

    let mut wrong = config;
    wrong.port = 1;
    check(
        wrong,
        ErrorKind::Unavailable,
        &["127.0.0.1:1 cannot be reached", "federation.rabbitmq.host and port"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "tls").await);
    let config = with_tls(broker.config("1"), &broker);
    rabbit(config.clone()).open(&channel()).await.unwrap();
    assert_eq!(broker.queues().await, [channel().as_str()]);

    let mut unknown = config.clone();
    unknown.tls = Some(Tls::default());
    check(
        unknown,
        ErrorKind::Denied,
        &["certificate that is not accepted here", "federation.rabbitmq.ca and host"],
    )
    .await;

    let mut elsewhere = config.clone();
    elsewhere.host = "127.0.0.1".into();
    check(elsewhere, ErrorKind::Denied, &["certificate that is not accepted here"]).await;

    for (certificate, key) in [("expired", "server"), ("selfsigned", "selfsigned")] {
        let (_server, port) = serve(certificate, key);
        let mut wrong = config.clone();
        wrong.port = port;
        check(wrong, ErrorKind::Denied, &["certificate that is not accepted here"]).await;
    }
}

/// A site that shows this certificate.
fn showing(config: &Config, certificate: &str) -> Config {
    let file = |ending: &str| Broker::certificates().join(format!("{certificate}.{ending}"));
    let tls = config.tls.clone().unwrap();
    Config { tls: Some(Tls { identity: Some((file("pem"), file("key"))), ..tls }), ..config.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_shows_its_certificate_and_may_log_in_by_it() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "certified").await);
    let config = showing(&with_tls(broker.config("1"), &broker), "client");
    rabbit(config.clone()).open(&channel()).await.unwrap();

    // The password counts for nothing, and the broker has no such user yet.
    let by_certificate =
        Config { by_certificate: true, password: Secret::new("hunter2".into()), ..config.clone() };
    let refused = "login refused to the holder of this site's certificate";
    check(by_certificate.clone(), ErrorKind::Denied, &[refused, "federation.rabbitmq.certificate"]).await;
    // The common name of all certificates of the tests.
    broker.ctl(&["add_user", "localhost", "hunter4"]);
    broker.ctl(&["clear_password", "localhost"]);
    broker.ctl(&["set_permissions", "-p", &broker.vhost, "localhost", ".*", ".*", ".*"]);
    let site = rabbit(by_certificate);
    site.open(&channel()).await.unwrap();
    site.send(&channel(), &["sealed".into()]).await.unwrap();
    assert_eq!(site.receive(&channel()).await.unwrap().frame, "sealed");

    // Which of both: whether the broker hangs up before its reason was read.
    let mut unknown = showing(&config, "selfsigned");
    unknown.away = Duration::from_secs(1);
    let error = rabbit(unknown).open(&channel()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Denied | ErrorKind::Unavailable), "{}", error.chain());
    assert!(error.chain().contains("federation.rabbitmq.certificate"), "{}", error.chain());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_a_partners_broker_is_checked() {
    let _turn = TURN.lock().await;
    let (a, b) = (Broker::new("a", "checks").await, Broker::new("b", "checks").await);
    let (_server, wrong) = serve("selfsigned", "selfsigned");
    for (port, is_right) in [(a.port("TLS_"), true), (wrong, false)] {
        let mut config = b.config("2");
        let route = format!("1: {{host: localhost, port: {port}, tls: true, vhost: {}}}\n", a.vhost);
        config.mode = replication(&route);
        let (own, partner) = ("2".parse().unwrap(), "1".parse().unwrap());
        rabbit(config.clone()).open(&Channel::named(INBOUND, partner, own).unwrap()).await.unwrap();
        let says = |text: &str| text.contains(if is_right { "fetches from" } else { "does not reach" });
        let link = async {
            let partner = "1".parse().unwrap();
            loop {
                let said = match inspector(config.clone()).link(&partner).await {
                    Ok(said) => said.unwrap_or_default(),
                    Err(error) => error.chain(),
                };
                if says(&said) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), link).await.unwrap();

        let operator = inspector(config);
        assert_eq!(operator.unlink().await.unwrap(), 0, "it is used");
        for held in operator.held().await.unwrap() {
            operator.remove(&held).await.unwrap();
        }
        assert_eq!(operator.unlink().await.unwrap(), 1);
        for what in ["policies", "parameters/federation-upstream"] {
            let left: Vec<serde::de::IgnoredAny> =
                b.admin().get(&format!("/api/{what}/{}", b.vhost)).await.unwrap();
            assert!(left.is_empty(), "{what}: {}", left.len());
        }
    }
}

/// Ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A server that shows one of the certificates of the tests.
fn serve(certificate: &str, key: &str) -> (Server, u16) {
    let (folder, port) = (
        Broker::certificates(),
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(),
    );
    let server = Command::new("openssl")
        .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}")])
        .arg("-cert")
        .arg(folder.join(format!("{certificate}.pem")))
        .arg("-key")
        .arg(folder.join(format!("{key}.key")))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let server = Server(server.unwrap());
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    (server, port)
}
