//! A way to the server that breaks: it passes requests on, answers some itself, or cuts connections.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What becomes of the next connections, first come first served; after the last of these, they pass.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// `503 SlowDown`.
    SlowDown,
    /// `403 RequestTimeTooSkewed`.
    Skewed,
    /// After so many bytes to the server the connection is reset.
    Reset(usize),
    /// The request is passed on and done; its answer is lost.
    LoseAnswer,
}

pub struct Proxy {
    pub endpoint: String,
    /// Connections that had a fault.
    faults: Arc<AtomicUsize>,
}

impl Proxy {
    /// Every connection gets what `fault` says to the beginning of its first request.
    pub fn start(server: &str, fault: impl Fn(&str) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let faults = Arc::new(AtomicUsize::new(0));
        let (server, fault) = (server.to_owned(), Arc::new(fault));
        let counter = faults.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (server, fault, counter) = (server.clone(), fault.clone(), counter.clone());
                thread::spawn(move || drop(serve(client, &server, &*fault, &counter)));
            }
        });
        Self { endpoint, faults }
    }

    pub fn count(&self) -> usize {
        self.faults.load(Ordering::Relaxed)
    }
}

/// One request a connection, so that every request has its fault: answers are told to close it.
fn serve(
    mut client: TcpStream,
    server: &str,
    fault: &(dyn Fn(&str) -> Fault + Send + Sync),
    faults: &AtomicUsize,
) -> std::io::Result<()> {
    let head = read_head(&mut client)?;
    let text = String::from_utf8_lossy(&head).into_owned();
    let fault = fault(&text);
    if !matches!(fault, Fault::Pass) {
        faults.fetch_add(1, Ordering::Relaxed);
    }
    let answer = match fault {
        Fault::SlowDown => Some(("503 Slow Down", "SlowDown", "Please reduce your request rate")),
        Fault::Skewed => Some(("403 Forbidden", "RequestTimeTooSkewed", "The difference is too large")),
        _ => None,
    };
    if let Some((status, code, message)) = answer {
        let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        let length = body.len();
        write!(client, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
        return drain(client);
    }
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(&closing(&text))?;
    let (from, to) = (client.try_clone()?, upstream.try_clone()?);
    let most = if let Fault::Reset(bytes) = fault { bytes } else { usize::MAX };
    let cut = Arc::new(Mutex::new(false));
    let told = cut.clone();
    let up = thread::spawn(move || pump(from, to, most, &told));
    let answer = match fault {
        Fault::LoseAnswer => {
            let mut answer = Vec::new();
            upstream.read_to_end(&mut answer).map(|_| ())
        }
        _ => std::io::copy(&mut upstream, &mut client).map(|_| ()),
    };
    if matches!(fault, Fault::LoseAnswer) || *cut.lock().unwrap() {
        reset(&client);
    }
    drop(client.shutdown(Shutdown::Both));
    drop(upstream.shutdown(Shutdown::Both));
    drop(up.join());
    answer
}

fn read_head(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

/// The same request, after which the server closes the connection.
fn closing(head: &str) -> Vec<u8> {
    let (first, rest) = head.split_once("\r\n").unwrap();
    format!("{first}\r\nConnection: close\r\n{rest}").into_bytes()
}

fn pump(mut from: TcpStream, mut to: TcpStream, most: usize, cut: &Mutex<bool>) {
    let (mut buffer, mut passed) = (vec![0; 64 << 10], 0);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        passed += read;
        if passed > most {
            *cut.lock().unwrap() = true;
            drop(to.shutdown(Shutdown::Both));
            reset(&from);
            return;
        }
        if to.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

fn drain(mut client: TcpStream) -> std::io::Result<()> {
    client.shutdown(Shutdown::Write)?;
    std::io::copy(&mut client, &mut std::io::sink()).map(|_| ())
}

/// With data unread, closing sends a reset.
fn reset(client: &TcpStream) {
    drop(client.shutdown(Shutdown::Both));
}
