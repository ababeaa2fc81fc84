//! Mutual TLS in front of a server that has none: what comes with a certificate of the cluster is passed on, unread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tributary_core::error::{Error, Result};

use crate::keys::Keys;

const HANDSHAKE: Duration = Duration::from_secs(10);

/// Passes on until it is aborted.
pub(crate) fn serve(listener: TcpListener, to: SocketAddr, keys: &Keys) -> Result<JoinHandle<()>> {
    let acceptor = acceptor(keys)?;
    Ok(tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of file handles, most likely: others will end.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let acceptor = acceptor.clone();
            // TLS reports the refusal to the peer; there is nothing to add.
            tokio::spawn(async move { drop(pass(acceptor, stream, to).await) });
        }
    }))
}

async fn pass(acceptor: TlsAcceptor, stream: TcpStream, to: SocketAddr) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut outside = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await??;
    let mut inside = TcpStream::connect(to).await?;
    inside.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut outside, &mut inside).await.map(drop)
}

fn acceptor(keys: &Keys) -> Result<TlsAcceptor> {
    let wrong = |e: &dyn std::fmt::Display| {
        Error::invalid("the keys of the cluster do not make a TLS server").because(e.to_string())
    };
    let certificate = CertificateDer::from_pem_slice(keys.certificate.as_bytes()).map_err(|e| wrong(&e))?;
    let authority = CertificateDer::from_pem_slice(keys.authority.as_bytes()).map_err(|e| wrong(&e))?;
    let private = PrivateKeyDer::from_pem_slice(keys.private.as_bytes()).map_err(|e| wrong(&e))?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(|e| wrong(&e))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|e| wrong(&e))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(&e))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], private)
        .map_err(|e| wrong(&e))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
