//! The decoders of what a stranger, a peer or a disk gives, for the fuzz targets, and inputs that they know. They may refuse; they may not
//! panic.

use std::path::Path;

use bytes::{Buf, Bytes};
use tributary_core::PartyId;

use crate::batch::{Batch, Cutter};
use crate::exchange::held::Held;
use crate::greeting::{self, Greeting, Own};
use crate::message::{MAX_MESSAGE_BYTES, Message, Packet, Way};
use crate::peer::Peer;
use crate::tls;

fn site() -> Option<PartyId> {
    "1".parse().ok()
}

/// What is said first, with and without the mark that no fuzzer would guess.
pub fn greeting(bytes: &[u8]) {
    drop(Greeting::decode(bytes, "it"));
    drop(Greeting::decode(&greeting::marked(bytes), "it"));
}

/// One of each kind.
pub fn greetings() -> Vec<Vec<u8>> {
    let hello = site().and_then(|id| Own { id: id.clone(), process: 7 }.hello(&id).ok());
    let said = hello
        .map(|hello| vec![Greeting::Answer(hello.clone(), [7; 32]), Greeting::Hello(hello)])
        .unwrap_or_default();
    let all = said.into_iter().chain([Greeting::Proof([7; 32]), Greeting::Welcome, Greeting::refused("no")]);
    all.filter_map(|greeting| greeting.encode().ok()).collect()
}

/// What comes from the network, in pieces of which the first byte tells the length; what is in it is heard as of a site that is known.
pub fn messages(bytes: &[u8]) {
    let Some((length, mut rest)) = bytes.split_first() else { return };
    let Some(Ok(peer)) = site().map(|id| Peer::new(id.clone(), id, 0, tokio::time::Instant::now())) else {
        return;
    };
    let mut state = peer.lock();
    state.open_outgoing("out");
    state.open_incoming("in");
    let mut cutter = Cutter::new(MAX_MESSAGE_BYTES);
    while !rest.is_empty() {
        let (piece, next) = rest.split_at(rest.len().min(usize::from(*length).max(1)));
        rest = next;
        cutter.add(Bytes::copy_from_slice(piece));
        while let Ok(Some(message)) = cutter.next() {
            if let Some(packet) = Packet::decode(&message)
                && state.hear(packet).is_err()
            {
                return;
            }
        }
    }
}

/// What a site says that opens a channel, fills it and removes it.
pub fn stream() -> Vec<u8> {
    let mut batch = Batch::default();
    packets().iter().for_each(|packet| drop(batch.add(packet)));
    batch.copy_to_bytes(batch.len()).to_vec()
}

fn packets() -> Vec<Packet> {
    let id = 7;
    let frame = |number| Packet {
        way: None,
        message: Message::Frame { id, number },
        frame: Bytes::from_static(b"sealed"),
    };
    let said = [
        Message::Ask,
        Message::Alive { process: 3 },
        Message::Taken { id, have: 0, room: 9 },
        Message::Again,
        Message::Remove { id },
    ];
    let open = Packet::new(None, Message::Open { id, name: "in".into(), first: 0, process: 0 });
    [open, frame(0), frame(1)].into_iter().chain(said.map(|message| Packet::new(None, message))).collect()
}

/// A file of what an exchange holds.
pub fn held(folder: &Path, bytes: &[u8]) {
    let Some(site) = site() else { return };
    if std::fs::write(folder.join("1.held"), bytes).is_ok()
        && let Ok(mut held) = Held::open(folder, &site, 1 << 20)
    {
        while let Ok(Some(_)) = held.next() {}
        drop(held.store());
        drop(held.tidy());
    }
}

/// One that is whole.
pub fn held_file(folder: &Path) -> Vec<u8> {
    let Some(site) = site() else { return Vec::new() };
    let way = Way { from: site.clone(), to: site.clone() };
    if let Ok(mut held) = Held::open(folder, &site, 1 << 20) {
        for packet in packets() {
            held.add(&way, &Packet { way: Some(way.clone()), ..packet });
        }
    }
    std::fs::read(folder.join("1.held")).unwrap_or_default()
}

/// A certificate.
pub fn certificate(bytes: &[u8]) {
    tls::is_valid(bytes, 1_800_000_000);
}
