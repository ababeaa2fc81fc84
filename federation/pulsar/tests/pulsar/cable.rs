//! A line to the cluster that does what lines do: it is cut in the middle of a message, late, slow, or silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What happens to everything that goes over it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Each connection is cut after so many bytes.
    pub cut_after: Option<u64>,
    /// What comes is passed on so much later.
    pub delay: Duration,
    /// Bytes a second, if it is slow.
    pub rate: Option<u64>,
}

/// Passes connections on.
pub struct Cable {
    state: Arc<State>,
    _task: JoinSet<()>,
}

#[derive(Default)]
struct State {
    faults: Faults,
    connections: AtomicU64,
    silent: AtomicBool,
}

impl Cable {
    /// From one port to another.
    pub async fn between(near: u16, far: u16, faults: Faults) -> Self {
        // The cable before this one may take a moment to go.
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", near)).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let state = Arc::new(State { faults, ..State::default() });
        let mut task = JoinSet::new();
        task.spawn(serve(listener, far, state.clone()));
        Self { state, _task: task }
    }

    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Swallows everything, without a word to either side.
    pub fn set_silent(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::Relaxed);
    }
}

async fn serve(listener: TcpListener, far: u16, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = TcpStream::connect(("127.0.0.1", far)).await else { continue };
        state.connections.fetch_add(1, Ordering::Relaxed);
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        let state = state.clone();
        connections.spawn(async move {
            let passed = Arc::new(AtomicU64::new(0));
            tokio::select! {
                () = pass(near_in, far_out, &state, &passed) => {}
                () = pass(far_in, near_out, &state, &passed) => {}
            }
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State, passed: &AtomicU64) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let before = passed.fetch_add(count as u64, Ordering::Relaxed);
        if state.faults.cut_after.is_some_and(|bytes| before + count as u64 > bytes) {
            return;
        }
        let slow = state.faults.rate.map(|rate| Duration::from_secs_f64(count as f64 / rate as f64));
        tokio::time::sleep(state.faults.delay + slow.unwrap_or_default()).await;
        if !state.silent.load(Ordering::Relaxed) && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
