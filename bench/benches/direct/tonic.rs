//! The rival: a bare tonic stream that carries bytes and nothing else, as well tuned as the line.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

const WINDOW_BYTES: u32 = 16 << 20;

#[derive(Debug, Clone, Copy, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Answers what comes with what this gives.
type Answers = BoxStream<'static, Result<Bytes, Status>>;

#[derive(Clone)]
struct Served;

impl NamedService for Served {
    const NAME: &'static str = "bare.Stream";
}

struct Echo;

impl StreamingService<Bytes> for Echo {
    type Response = Bytes;
    type ResponseStream = Answers;
    type Future = BoxFuture<Response<Answers>, Status>;

    /// A short message is sent back; of long ones nothing is, until the end.
    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let came = request.into_inner();
        let answers = came.filter_map(|message| async move {
            match message {
                Ok(bytes) if bytes.len() > 1000 => None,
                other => Some(other),
            }
        });
        Box::pin(async move { Ok(Response::new(answers.boxed())) })
    }
}

impl Service<http::Request<Body>> for Served {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(Grpc::new(Raw).streaming(Echo, request).await) })
    }
}

/// A stream to a server in this process.
pub struct Bare {
    pub send: mpsc::Sender<Bytes>,
    pub answers: Streaming<Bytes>,
}

struct Sent(mpsc::Receiver<Bytes>);

impl Stream for Sent {
    type Item = Bytes;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_recv(cx)
    }
}

/// Starts a server and calls it.
pub async fn connect(tls: bool) -> Bare {
    let key =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate is made");
    let (certificate, private) = (key.cert.pem(), key.signing_key.serialize_pem());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let mut server = Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(1 << 20)
        .tcp_nodelay(true);
    let scheme = if tls { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
        .expect("it is an address")
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .tcp_nodelay(true);
    if tls {
        let identity = Identity::from_pem(&certificate, &private);
        let config = ServerTlsConfig::new()
            .identity(identity.clone())
            .client_ca_root(Certificate::from_pem(&certificate));
        server = server.tls_config(config).expect("TLS is set up");
        let config = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&certificate))
            .domain_name("localhost")
            .identity(identity);
        endpoint = endpoint.tls_config(config).expect("TLS is set up");
    }
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(server.add_service(Served).serve_with_incoming(incoming));
    let channel: Channel = endpoint.connect().await.expect("the server answers");
    let (send, sent) = mpsc::channel(64);
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.expect("the channel is ready");
    let path = http::uri::PathAndQuery::from_static("/bare.Stream/Open");
    let answers = grpc.streaming(Request::new(Sent(sent)), path, Raw).await.expect("the call is taken");
    Bare { send, answers: answers.into_inner() }
}

/// Sends the bytes and waits until all have come.
pub async fn transfer(bare: &mut Bare, pieces: impl Iterator<Item = Bytes>) {
    for piece in pieces {
        bare.send.send(piece).await.expect("the stream stands");
    }
    round_trip(bare).await;
}

/// A short message there and back.
pub async fn round_trip(bare: &mut Bare) {
    bare.send.send(Bytes::from_static(b"x")).await.expect("the stream stands");
    bare.answers.message().await.expect("the stream stands").expect("an answer comes");
}
