//! Which certificates of a cluster a site accepts.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use tributary_core::ErrorKind;
use tributary_pulsar::Config;
use tributary_wire::Queue;

use crate::setup::{CLUSTERS, channel, config, fresh, queue};

fn certificates() -> PathBuf {
    CLUSTERS.value("PULSAR_CERTIFICATES").into()
}

/// A site that calls the cluster with TLS.
fn encrypted(port: u16) -> Config {
    let ca = Some(certificates().join("ca.pem"));
    let away = Duration::from_secs(5);
    Config { host: "localhost".into(), port, tls: true, ca, away, ..config("A", "tls") }
}

/// Somebody in between who shows another certificate.
struct Impostor(Child, u16);

impl Impostor {
    fn new(certificate: &str, key: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
        command.arg("-cert").arg(certificates().join(certificate));
        command.arg("-key").arg(certificates().join(key));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self(child, port)
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What a site says that calls with TLS.
async fn refused(config: Config) -> String {
    let site = queue("1", config);
    let channel = channel(&fresh("tls"));
    site.open(&channel).await.unwrap();
    let error = site.receive(&channel).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    site.remove(&channel).await.unwrap();
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_right_is_accepted_and_frames_arrive() {
    let port = CLUSTERS.port("PULSAR_A_TLS_PORT");
    let (a, b) = (queue("1", encrypted(port)), queue("2", config("A", "tls")));
    let channel = channel(&fresh("tls"));
    a.open(&channel).await.unwrap();
    b.open(&channel).await.unwrap();
    a.send(&channel, &[Bytes::from_static(b"sealed")]).await.unwrap();
    a.flush(&channel).await.unwrap();
    assert_eq!(b.receive(&channel).await.unwrap().frame, "sealed");
    b.remove(&channel).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_wrong_is_refused_and_the_error_says_why() {
    let port = CLUSTERS.port("PULSAR_A_TLS_PORT");
    let said = refused(Config { ca: None, ..encrypted(port) }).await;
    assert!(said.contains("UnknownIssuer") && said.contains("see federation.pulsar.ca and host"), "{said}");
    let said = refused(Config { host: "127.0.0.1".into(), ..encrypted(port) }).await;
    assert!(said.contains("not valid for name"), "{said}");
    let expired = Impostor::new("expired.pem", "server.key");
    let said = refused(encrypted(expired.1)).await;
    assert!(said.contains("Expired"), "{said}");
    let selfsigned = Impostor::new("selfsigned.pem", "selfsigned.key");
    let said = refused(encrypted(selfsigned.1)).await;
    assert!(said.contains("shows a certificate that is not accepted here"), "{said}");
}
