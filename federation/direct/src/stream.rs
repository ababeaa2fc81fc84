//! One gRPC call over HTTP/2 with messages in both directions, from either end, and the connection below it.
//!
//! By `h2` itself, one floor below tonic, with the same bytes on the network. So a frame is handed to the connection and taken from
//! it without a copy, and the reader, the writer and the connection are polled by one task: a message wakes one task and not three.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{RecvStream, SendStream, client, server};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_rustls::rustls::AlertDescription;
use tributary_core::{Error, ErrorKind, Result, Shown};

use crate::batch::Batch;
use crate::tls;

/// The service and its method, as gRPC names them.
pub(crate) const PATH: &str = "/tributary.direct.Line/Open";

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// What may be on its way without the reader having taken it: enough for 1 Gbit/s over 100 ms.
const WINDOW_BYTES: u32 = 16 << 20;
/// Written at once; a batch fits.
const MAX_RECORD_BYTES: u32 = 1 << 20;
/// What waits for the network.
const SEND_BUFFER_BYTES: usize = 1 << 20;
/// Of a call; ours has about 300 bytes.
const MAX_HEADER_BYTES: u32 = 16 << 10;

/// TLS takes little at a time; the system gives much at a time.
pub(crate) type Buffered = BufReader<TcpStream>;

const READ_BYTES: usize = 128 << 10;

/// A connection, ready for TLS.
pub(crate) fn buffered(io: TcpStream) -> Buffered {
    BufReader::with_capacity(READ_BYTES, io)
}

/// What a line runs over.
#[derive(Debug)]
pub(crate) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<Buffered>>, Alert),
}

/// What the other side's TLS said about this side behind the handshake. Kept beside the connection, because HTTP/2 makes text of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alert(Arc<OnceLock<AlertDescription>>);

impl Alert {
    pub(crate) fn get(&self) -> Option<AlertDescription> {
        self.0.get().copied()
    }

    fn note<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &polled
            && let Some(alert) = tls::alert(error)
        {
            self.0.get_or_init(|| alert);
        }
        polled
    }
}

impl Io {
    pub(crate) fn alert(&self) -> Alert {
        match self {
            Self::Plain(_) => Alert::default(),
            Self::Tls(_, alert) => alert.clone(),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io, alert) => alert.note(Pin::new(io.as_mut()).poll_read(cx, buf)),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io, alert) => alert.note(Pin::new(io.as_mut()).poll_write(cx, buf)),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Tls(io, alert) => alert.note(Pin::new(io.as_mut()).poll_write_vectored(cx, bufs)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io, _) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io, _) => Pin::new(io.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io, _) => Pin::new(io.as_mut()).poll_shutdown(cx),
        }
    }
}

enum Connection {
    Client(client::Connection<Io, Batch>),
    Server(server::Connection<Io, Batch>),
}

enum Inbound {
    /// The answer's head has not come yet.
    Awaited(client::ResponseFuture),
    Open(RecvStream),
}

/// See the module. Nothing moves unless [`Stream::poll_connection`] is polled beside the rest.
pub(crate) struct Stream {
    connection: Connection,
    inbound: Inbound,
    outbound: SendStream<Batch>,
    /// Most bytes that the connection ever took at once: behind a proxy it may be less than a batch.
    most_capacity: usize,
    pending: Option<Batch>,
}

impl Stream {
    /// Calls.
    pub(crate) async fn call(io: Io, authority: &str) -> Result<Self, h2::Error> {
        let scheme = if matches!(io, Io::Tls(..)) { "https" } else { "http" };
        let mut builder = client::Builder::new();
        builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        builder.max_frame_size(MAX_RECORD_BYTES).max_send_buffer_size(SEND_BUFFER_BYTES);
        builder.max_header_list_size(MAX_HEADER_BYTES).enable_push(false);
        let (requests, mut connection) = builder.handshake::<_, Batch>(io).await?;
        let mut ready = requests.ready();
        let mut requests = poll_fn(|cx| {
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(Err(ended.err().unwrap_or_else(|| h2::Reason::NO_ERROR.into())));
            }
            Pin::new(&mut ready).poll(cx)
        })
        .await?;
        let request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(format!("{scheme}://{authority}{PATH}"))
            .header(header::CONTENT_TYPE, GRPC)
            .header(header::TE, "trailers")
            .header(header::USER_AGENT, concat!("tributary/", env!("CARGO_PKG_VERSION")))
            .body(());
        let request = request.map_err(|_| h2::Reason::PROTOCOL_ERROR)?;
        let (response, outbound) = requests.send_request(request, false)?;
        let (connection, inbound) = (Connection::Client(connection), Inbound::Awaited(response));
        Ok(Self { connection, inbound, outbound, most_capacity: 0, pending: None })
    }

    /// Waits for a call; `None` if the connection ends before. Requests for anything else are answered as gRPC does.
    pub(crate) async fn accept(io: Io) -> Result<Option<Self>, h2::Error> {
        let mut builder = server::Builder::new();
        builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        builder.max_frame_size(MAX_RECORD_BYTES).max_send_buffer_size(SEND_BUFFER_BYTES);
        builder.max_header_list_size(MAX_HEADER_BYTES).max_concurrent_streams(1);
        let mut connection = builder.handshake::<_, Batch>(io).await?;
        while let Some(request) = connection.accept().await {
            let (request, mut respond) = request?;
            if request.uri().path() != PATH || request.method() != Method::POST {
                refuse_request(&mut respond, "12", "only the line between sites is served here");
                continue;
            }
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::OK;
            response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
            let outbound = respond.send_response(response, false)?;
            let (connection, inbound) = (Connection::Server(connection), Inbound::Open(request.into_body()));
            return Ok(Some(Self { connection, inbound, outbound, most_capacity: 0, pending: None }));
        }
        Ok(None)
    }

    /// Moves bytes. Ready when the connection is over.
    pub(crate) fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        match &mut self.connection {
            Connection::Client(connection) => Pin::new(connection).poll(cx),
            Connection::Server(connection) => loop {
                match ready!(connection.poll_accept(cx)) {
                    None => return Poll::Ready(Ok(())),
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    Some(Ok((_, mut respond))) => refuse_request(&mut respond, "8", "one line a connection"),
                }
            },
        }
    }

    /// What came next; `None` at the end of the call. An `Err` says how the other side ended it.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        if let Inbound::Awaited(response) = &mut self.inbound {
            let response = ready!(Pin::new(response).poll(cx)).map_err(|e| broken(&e))?;
            check_response(&response)?;
            self.inbound = Inbound::Open(response.into_body());
        }
        let Inbound::Open(inbound) = &mut self.inbound else { return Poll::Pending };
        match ready!(inbound.poll_data(cx)) {
            Some(Ok(came)) => {
                inbound.flow_control().release_capacity(came.len()).map_err(|e| broken(&e))?;
                Poll::Ready(Ok(Some(came)))
            }
            Some(Err(error)) => Poll::Ready(Err(broken(&error))),
            None => match ready!(inbound.poll_trailers(cx)) {
                Ok(Some(trailers)) => Poll::Ready(check_status(&trailers).map(|()| None)),
                _ => Poll::Ready(Ok(None)),
            },
        }
    }

    /// Whether a batch waits for room on the connection; else the next may be given to [`Stream::write`].
    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            let Some(batch) = &self.pending else { return Poll::Ready(Ok(())) };
            let capacity = self.outbound.capacity();
            self.most_capacity = self.most_capacity.max(capacity);
            if capacity > 0 && capacity >= batch.len().min(self.most_capacity) {
                if let Some(batch) = self.pending.take() {
                    self.outbound.send_data(batch, false).map_err(|e| broken(&e))?;
                }
                continue;
            }
            match ready!(self.outbound.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(&error))),
                None => return Poll::Ready(Err(ended())),
            }
        }
    }

    /// Takes a batch, which goes as soon as there is room.
    pub(crate) fn write(&mut self, batch: Batch) {
        self.outbound.reserve_capacity(batch.len());
        self.pending = Some(batch);
    }

    /// Says one message, by itself.
    pub(crate) async fn say(&mut self, message: &[u8]) -> Result<()> {
        let mut batch = Batch::default();
        batch.add_message(message);
        self.write(batch);
        poll_fn(|cx| {
            let written = self.poll_writable(cx);
            let over = self.poll_connection(cx);
            if written.is_pending() && over.is_ready() { Poll::Ready(Err(ended())) } else { written }
        })
        .await
    }

    /// What comes next, outside of the line's own loop.
    pub(crate) async fn read(&mut self) -> Result<Option<Bytes>> {
        poll_fn(|cx| match self.poll_read(cx) {
            Poll::Ready(came) => Poll::Ready(came),
            Poll::Pending => match self.poll_connection(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(broken(&error))),
                // What had come by then is still there.
                Poll::Ready(Ok(())) => match self.poll_read(cx) {
                    Poll::Pending => Poll::Ready(Err(ended())),
                    came => came,
                },
                Poll::Pending => Poll::Pending,
            },
        })
        .await
    }

    /// Ends the call, and waits until that is written or the other side is gone.
    pub(crate) async fn end(mut self) {
        let ended = match &self.connection {
            Connection::Client(_) => self.outbound.send_data(Batch::default(), true),
            Connection::Server(_) => self.outbound.send_trailers(status("0", "")),
        };
        drop(ended);
        if let Connection::Server(connection) = &mut self.connection {
            connection.graceful_shutdown();
        }
        let Self { connection, inbound, outbound, .. } = self;
        drop((inbound, outbound));
        match connection {
            Connection::Client(connection) => drop(connection.await),
            Connection::Server(mut connection) => drop(poll_fn(|cx| connection.poll_closed(cx)).await),
        }
    }
}

fn refuse_request(respond: &mut server::SendResponse<Batch>, code: &'static str, why: &'static str) {
    let mut response = Response::new(());
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response.headers_mut().extend(status(code, why));
    // The caller may be gone.
    drop(respond.send_response(response, true));
}

fn status(code: &'static str, why: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("grpc-status", HeaderValue::from_static(code));
    if !why.is_empty() {
        headers.insert("grpc-message", HeaderValue::from_static(why));
    }
    headers
}

/// Something else than a line may answer there.
fn check_response(response: &Response<RecvStream>) -> Result<()> {
    let content =
        response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if response.status() != StatusCode::OK || !content.starts_with("application/grpc") {
        let text = format!(
            "something else than a site answers there: HTTP status {}, content {:?}; see the address",
            response.status().as_u16(),
            Shown::new(content)
        );
        return Err(Error::new(ErrorKind::Unavailable, text));
    }
    check_status(response.headers())
}

fn check_status(headers: &HeaderMap) -> Result<()> {
    let text = |name| {
        headers.get(name).map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    match text("grpc-status") {
        None => Ok(()),
        Some(code) if code == "0" => Ok(()),
        Some(code) => {
            let why = text("grpc-message").unwrap_or_default();
            let text =
                format!("the call was ended with gRPC status {}: {}", Shown::new(&code), Shown::new(&why));
            Err(Error::new(ErrorKind::Unavailable, text))
        }
    }
}

pub(crate) fn broken(error: &h2::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the connection broke: {error}"))
}

fn ended() -> Error {
    Error::new(ErrorKind::Unavailable, "the connection ended")
}
