//! Who is not who it says, speaks another version, or nothing of the kind: refused by name, within a bounded time and memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tributary_direct::{Fingerprint, Identity, Node};
use tributary_wire::{Queue, SecretKey};

use crate::setup::*;

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until a node knows why a site is out of reach. The system may drop the last words of a refusal with the connection; the next call
/// hears them.
async fn why(node: &Arc<Node>, site: &Site) -> String {
    let known = async {
        loop {
            match node.reach(&site.id) {
                Err(why) if why != "no line was opened yet" && !why.contains("the connection broke") => {
                    break why;
                }
                Ok(()) => panic!("a line stands"),
                _ => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    timeout(PATIENCE, known).await.unwrap()
}

async fn refused(node: &Arc<Node>, part: &str) -> String {
    let known = async {
        loop {
            if let Some(why) = node.refusals().into_iter().find(|why| why.contains(part)) {
                break why;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, known).await.unwrap_or_else(|_| panic!("{part:?} is not in {:?}", node.refusals()))
}

fn check(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

/// The guest calls the host; both as they are changed.
fn meet(
    guest: impl FnOnce(&mut tributary_direct::Config),
    host: impl FnOnce(&mut tributary_direct::Config),
    tls: Tls,
) -> ([Site; 2], [Arc<Node>; 2]) {
    let mut sites = [Site::new("9999"), Site::new("10000")];
    let mut one = config(&mut sites, 0, tls, hasty());
    let mut other = config(&mut sites, 1, tls, hasty());
    other.peers.values_mut().for_each(|peer| peer.address = None);
    guest(&mut one);
    host(&mut other);
    (sites, [start(one), start(other)])
}

#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_than_the_registered_one_is_refused_with_both_fingerprints() {
    let registered = Fingerprint::of(b"another");
    let (sites, [guest, _host]) = meet(
        |guest| guest.peers.values_mut().for_each(|peer| peer.certificate = Some(registered)),
        |_| {},
        Tls::On,
    );
    let shown = sites[1].identity.fingerprint().to_string();
    check(
        &why(&guest, &sites[1]).await,
        &["site 10000", &shown, &registered.to_string(), "tributary site trust"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whose_certificate_is_not_known_is_refused_and_both_sides_see_it() {
    let registered = Fingerprint::of(b"another");
    let (sites, [guest, host]) = meet(
        |_| {},
        |host| host.peers.values_mut().for_each(|peer| peer.certificate = Some(registered)),
        Tls::On,
    );
    let shown = sites[0].identity.fingerprint().to_string();
    let own = sites[1].identity.fingerprint().to_string();
    check(&refused(&host, &shown).await, &["registered here for no site", &own, "tributary site trust"]);
    check(
        &why(&guest, &sites[1]).await,
        &["site 10000 does not know the certificate", &shown, "tributary site trust"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused_and_both_sides_see_it() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let made = params.self_signed(&key).unwrap();
    let old = Identity::new(made.der().to_vec(), key.serialize_der().into());
    let shown = old.fingerprint();
    let known = |config: &mut tributary_direct::Config| {
        let others = config.peers.iter_mut().filter(|(site, _)| **site != config.own);
        others.for_each(|(_, peer)| peer.certificate = Some(shown));
    };
    // As the caller's.
    let identity = old.clone();
    let (sites, [guest, host]) = meet(|guest| guest.identity = Some(identity), known, Tls::On);
    check(
        &refused(&host, "not valid now").await,
        &["site 9999", &shown.to_string(), "clocks", "tributary site rotate"],
    );
    check(&why(&guest, &sites[1]).await, &["site 10000 says", "not valid now", &shown.to_string()]);
    // As that of who is called.
    let (sites, [guest, _host]) = meet(known, |host| host.identity = Some(old.clone()), Tls::On);
    check(&why(&guest, &sites[1]).await, &["certificate of site 10000", "not valid now", &shown.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_than_the_registered_one_is_refused_with_and_without_tls() {
    for tls in [Tls::On, Tls::Off] {
        let forged = SecretKey::generate().unwrap();
        let mut sites = [Site::new("9999"), Site::new("10000")];
        let one = config(&mut sites, 0, tls, hasty());
        let mut other = config(&mut sites, 1, tls, hasty());
        other.peers.values_mut().for_each(|peer| peer.address = None);
        other.keys = ring(forged, &sites);
        let (guest, host) = (start(one), start(other));
        let registered = sites[1].secret.public().fingerprint();
        check(&why(&guest, &sites[1]).await, &["site 10000", "compare", &registered]);
        // The host is told by the guest, which found it first.
        check(&refused(&host, "site 9999 refused the line").await, &["compare"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_site_does_not_make_a_caller_that_site() {
    let mut sites = [Site::new("9999"), Site::new("10000"), Site::new("10001")];
    let mut thief = config(&mut sites, 0, Tls::On, hasty());
    thief.peers.remove(&sites[2].id);
    thief.identity = Some(sites[2].identity.clone());
    let mut host = config(&mut sites, 1, Tls::On, hasty());
    host.peers.values_mut().for_each(|peer| peer.address = None);
    let (_thief, host) = (start(thief), start(host));
    let shown = sites[2].identity.fingerprint().to_string();
    check(&refused(&host, &shown).await, &["site 9999 called", "registered for another site"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_side_with_tls_and_one_without_is_named() {
    let (sites, [guest, _host]) = meet(|_| {}, |host| host.identity = None, Tls::On);
    check(&why(&guest, &sites[1]).await, &["10000", "tls"]);
}

/// A host without TLS, so that strangers need none.
fn open_host() -> (Site, Arc<Node>, Site) {
    let mut sites = [Site::new("9999"), Site::new("10000")];
    let mut config = config(&mut sites, 1, Tls::Off, hasty());
    config.peers.values_mut().for_each(|peer| peer.address = None);
    let node = start(config);
    let [guest, host] = sites;
    (host, node, guest)
}

/// The first words of a call, as another program would say them.
async fn call(host: &Site, path: &str) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
    let io = TcpStream::connect(&host.address).await.unwrap();
    let (requests, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://{}{path}", host.address))
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    requests.ready().await.unwrap().send_request(request, false).unwrap()
}

const PATH: &str = "/tributary.direct.Line/Open";

/// All that a call is answered.
async fn answer(response: h2::client::ResponseFuture) -> Vec<u8> {
    let mut all = Vec::new();
    let Ok(response) = timeout(PATIENCE, response).await.unwrap() else { return all };
    let mut body = response.into_body();
    while let Some(Ok(bytes)) = timeout(PATIENCE, body.data()).await.unwrap() {
        all.extend_from_slice(&bytes);
        body.flow_control().release_capacity(bytes.len()).unwrap();
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_refused_by_name_on_both_sides() {
    let (host, node, _) = open_host();
    let (response, mut send) = call(&host, PATH).await;
    let greeting = [&b"tributary-line"[..], &9u16.to_le_bytes(), b"what version 9 says"].concat();
    let message = [&[0][..], &(greeting.len() as u32).to_be_bytes(), &greeting].concat();
    send.send_data(message.into(), false).unwrap();
    let said = String::from_utf8_lossy(&answer(response).await).into_owned();
    check(&said, &["version 9", "here is version 2", "upgrade"]);
    check(&refused(&node, "version 9").await, &["upgrade"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_length_is_not_believed() {
    let (host, node, _) = open_host();
    let (response, mut send) = call(&host, PATH).await;
    send.send_data(Bytes::from_static(&[0, 255, 255, 255, 255]), false).unwrap();
    answer(response).await;
    check(&refused(&node, "4294967295 bytes").await, &["announced"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_services_and_programs_are_answered_or_dropped() {
    let (host, node, _) = open_host();
    let (response, _send) = call(&host, "/other.Service/Method").await;
    let response = timeout(PATIENCE, response).await.unwrap().unwrap();
    assert_eq!(response.headers()["grpc-status"], "12");

    for said in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0x16, 3, 1, 2, 0, 1, 0, 1], &[0xff; 4096]] {
        let mut io = TcpStream::connect(&host.address).await.unwrap();
        io.write_all(said).await.unwrap();
        let mut rest = Vec::new();
        // Whatever is answered, the connection ends, long before the greeting's time is over.
        drop(timeout(Duration::from_secs(4), io.read_to_end(&mut rest)).await.unwrap());
    }
    assert!(node.refusals().len() >= 3, "{:?}", node.refusals());
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_say_nothing_are_dropped_and_keep_nobody_out() {
    let mut sites = [Site::new("9999"), Site::new("10000")];
    let host = start({
        let mut host = config(&mut sites, 1, Tls::On, hasty().with_greeting(Duration::from_millis(500)));
        host.peers.values_mut().for_each(|peer| peer.address = None);
        host
    });
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(TcpStream::connect(&sites[1].address).await.unwrap());
    }
    let guest = start(config(&mut sites, 0, Tls::On, hasty()));
    let out = channel("out", &sites[0], &sites[1]);
    host.open(&out).await.unwrap();
    guest.open(&out).await.unwrap();
    guest.send(&out, &[Bytes::from_static(b"x")]).await.unwrap();
    assert_eq!(timeout(PATIENCE, host.receive(&out)).await.unwrap().unwrap().frame, "x");
    for mut io in idle {
        drop(timeout(PATIENCE, io.read(&mut [0])).await.unwrap());
    }
}
