//! A TCP proxy that does to a connection what networks do: it cuts, delays, and falls silent, and keeps what was said.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What a cable does.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Each connection is cut after so many bytes, wherever that is in what is said.
    pub cut_after: Option<u64>,
    /// What comes is passed on so much later.
    pub delay: Duration,
}

/// Passes connections on.
pub struct Cable {
    pub address: String,
    state: Arc<State>,
    _task: JoinSet<()>,
}

struct State {
    faults: Faults,
    connections: AtomicU64,
    silent: AtomicBool,
    said: Mutex<Vec<u8>>,
}

/// Most bytes that are kept of what was said.
const KEPT: usize = 4 << 20;

impl Cable {
    pub async fn to(address: &str, faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own: SocketAddr = listener.local_addr().unwrap();
        let state = Arc::new(State {
            faults,
            connections: AtomicU64::new(0),
            silent: AtomicBool::new(false),
            said: Mutex::default(),
        });
        let mut task = JoinSet::new();
        task.spawn(serve(listener, address.to_owned(), state.clone()));
        Self { address: own.to_string(), state, _task: task }
    }

    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Whether these bytes went over it.
    pub fn said(&self, text: &[u8]) -> bool {
        self.state.said.lock().unwrap().windows(text.len()).any(|window| window == text)
    }

    /// Holds everything back, without a word to either side: no byte within a connection is lost, as with a network that is away.
    pub fn set_silent(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::Relaxed);
    }
}

async fn serve(listener: TcpListener, address: String, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = TcpStream::connect(&address).await else { continue };
        state.connections.fetch_add(1, Ordering::Relaxed);
        near.set_nodelay(true).unwrap();
        far.set_nodelay(true).unwrap();
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        let (here, there) = (state.clone(), state.clone());
        let left = Arc::new(AtomicU64::new(state.faults.cut_after.unwrap_or(u64::MAX)));
        let both = left.clone();
        connections.spawn(async move {
            tokio::select! {
                () = pass(near_in, far_out, here, left) => {}
                () = pass(far_in, near_out, there, both) => {}
            }
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: Arc<State>, left: Arc<AtomicU64>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        while state.silent.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if !state.faults.delay.is_zero() {
            tokio::time::sleep(state.faults.delay).await;
        }
        {
            let mut said = state.said.lock().unwrap();
            let room = KEPT - said.len();
            said.extend_from_slice(&buffer[..count.min(room)]);
        }
        let allowed = left.load(Ordering::Relaxed).min(count as u64);
        left.fetch_sub(allowed, Ordering::Relaxed);
        if to.write_all(&buffer[..allowed as usize]).await.is_err() || allowed < count as u64 {
            return;
        }
    }
}
