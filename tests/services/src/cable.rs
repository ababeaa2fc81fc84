//! A TCP proxy that does to connections what networks do: it cuts them in the middle of a message, is late, slow, or silent. It counts, and keeps the
//! beginning of what was said.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Most bytes that are kept of what was said.
const KEPT: usize = 4 << 20;
/// Between two looks at what changes.
const LOOK: Duration = Duration::from_millis(20);

/// What a cable does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Each connection is cut after so many bytes, wherever that is in what is said.
    pub cut_after: Option<u64>,
    /// What comes is passed on so much later.
    pub delay: Duration,
    /// Bytes a second, in each direction.
    pub rate: Option<u64>,
}

/// Passes connections on, until it is dropped.
#[derive(Debug)]
pub struct Cable {
    /// Where it begins.
    pub address: SocketAddr,
    state: Arc<State>,
    _task: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    bytes: AtomicU64,
    connections: AtomicU64,
    silent: AtomicBool,
    said: Mutex<Vec<u8>>,
}

impl Cable {
    /// From a free port to an address.
    pub async fn to(far: &str, faults: Faults) -> Self {
        Self::between(0, far, faults).await
    }

    /// From a port to an address.
    pub async fn between(near: u16, far: &str, faults: Faults) -> Self {
        // The cable before this one may take a moment to go.
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", near)).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        };
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { faults, ..State::default() });
        let mut task = JoinSet::new();
        task.spawn(serve(listener, far.to_owned(), state.clone()));
        Self { address, state, _task: task }
    }

    /// That went over it, in both directions.
    pub fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::Relaxed)
    }

    /// That were made.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Whether these bytes went over it, among the first 4 MiB.
    pub fn said(&self, text: &[u8]) -> bool {
        self.state.said.lock().unwrap().windows(text.len()).any(|window| window == text)
    }

    /// Holds everything back, without a word to either side: no byte within a connection is lost, as with a network that is away.
    pub fn set_silent(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::Relaxed);
    }
}

async fn serve(listener: TcpListener, far: String, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = TcpStream::connect(&far).await else { continue };
        state.connections.fetch_add(1, Ordering::Relaxed);
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        let (state, left) = (state.clone(), AtomicU64::new(state.faults.cut_after.unwrap_or(u64::MAX)));
        connections.spawn(async move {
            tokio::select! {
                () = pass(near_in, far_out, &state, &left) => {}
                () = pass(far_in, near_out, &state, &left) => {}
            }
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State, left: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        while state.silent.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK).await;
        }
        let slow = state.faults.rate.map(|rate| Duration::from_secs_f64(count as f64 / rate as f64));
        let late = state.faults.delay + slow.unwrap_or_default();
        if !late.is_zero() {
            tokio::time::sleep(late).await;
        }
        let allowed = left.load(Ordering::Relaxed).min(count as u64);
        left.fetch_sub(allowed, Ordering::Relaxed);
        state.pass(&buffer[..allowed as usize]);
        if to.write_all(&buffer[..allowed as usize]).await.is_err() || allowed < count as u64 {
            return;
        }
    }
}

impl State {
    fn pass(&self, bytes: &[u8]) {
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut said = self.said.lock().unwrap();
        let room = KEPT - said.len();
        said.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}
