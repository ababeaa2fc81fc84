//! What is held for a site that is away: a file of packets, appended as they come and read from the front when it is back.
//!
//! The file is emptied when the site has confirmed all that is in it. Until then a site that goes away again is told everything once more, and drops
//! what it has. A record has its length and a digest before it: after a crash the file ends where the first record is not
//! whole. Of each channel the numbers have no gap, so that what is confirmed to a sender is really here.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tributary_core::{PartyId, Result, ResultExt};

use crate::message::{MAX_MESSAGE_BYTES, Message, PREFIX_BYTES, Packet, Way};

const DIGEST_BYTES: usize = 8;
const HEAD_BYTES: usize = 4 + DIGEST_BYTES;

/// See the module.
#[derive(Debug)]
pub(crate) struct Held {
    file: File,
    /// Where the next record begins that is written, and that is read.
    end: u64,
    at: u64,
    most_bytes: u64,
    channels: HashMap<(Way, u64), Numbers>,
    /// Written, and not confirmed to their senders.
    unstored: Vec<(Way, u64)>,
}

#[derive(Debug)]
struct Numbers {
    /// Frames below it are here, or were never to come here.
    next: u64,
    /// Frames below it are with the site.
    confirmed: u64,
}

/// Whether a packet is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Yes,
    /// It was already.
    Known,
    /// There is no room, or one before it is missing.
    No,
}

impl Held {
    /// Takes over what an earlier process left.
    pub(crate) fn open(folder: &Path, site: &PartyId, most_bytes: u64) -> Result<Self> {
        let path = folder.join(format!("{site}.held"));
        let place = || format!("open {}", path.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).at(place)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).at(place)?;
        let mut held =
            Self { file, end: 0, at: 0, most_bytes, channels: HashMap::new(), unstored: Vec::new() };
        held.recover().at(place)?;
        Ok(held)
    }

    fn recover(&mut self) -> Result<()> {
        self.end = self.file.metadata().at(|| "read its length")?.len();
        while let Some(packet) = self.read()? {
            if let (Some(way), message) = (&packet.way, &packet.message) {
                self.count(way, message);
            }
        }
        self.end = self.at;
        self.file.set_len(self.end).at(|| "cut what is not whole")?;
        self.at = 0;
        self.unstored.clear();
        Ok(())
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.end
    }

    /// Whether everything was read.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.at == self.end
    }

    /// Reads from the front again.
    pub(crate) fn rewind(&mut self) {
        self.at = 0;
    }

    /// Takes a packet, unless one before it is missing.
    pub(crate) fn add(&mut self, way: &Way, packet: &Packet) -> Kept {
        let known = self.channels.get(&(way.clone(), id(&packet.message)));
        if let Message::Frame { id, number } = packet.message {
            match known {
                Some(numbers) if number < numbers.next => {
                    self.unstored.push((way.clone(), id));
                    return Kept::Known;
                }
                Some(numbers) if number == numbers.next => {}
                _ => return Kept::No,
            }
        }
        if self.end + packet.cost() as u64 > self.most_bytes || self.write(packet).is_err() {
            return Kept::No;
        }
        self.count(way, &packet.message);
        Kept::Yes
    }

    fn count(&mut self, way: &Way, message: &Message) {
        match message {
            Message::Open { id, first, .. } => {
                let new = Numbers { next: *first, confirmed: *first };
                let numbers = self.channels.entry((way.clone(), *id)).or_insert(new);
                // The site has had what is between.
                numbers.next = numbers.next.max(*first);
            }
            Message::Frame { id, number } => {
                if let Some(numbers) = self.channels.get_mut(&(way.clone(), *id)) {
                    numbers.next = number + 1;
                    self.unstored.push((way.clone(), *id));
                }
            }
            _ => {}
        }
    }

    fn write(&mut self, packet: &Packet) -> Result<()> {
        let head = packet.head(&mut BytesMut::new())?.slice(PREFIX_BYTES..);
        let length = (head.len() + packet.frame.len()) as u32;
        let digest = Sha256::new().chain_update(&head).chain_update(&packet.frame).finalize();
        let record = [&length.to_le_bytes()[..], &digest[..DIGEST_BYTES], &head, &packet.frame].concat();
        self.file.seek(SeekFrom::Start(self.end)).at(|| "write what is held")?;
        self.file.write_all(&record).at(|| "write what is held")?;
        self.end += record.len() as u64;
        Ok(())
    }

    /// Makes it durable, and returns what the senders may be told.
    pub(crate) fn store(&mut self) -> Result<Vec<(Way, Message)>> {
        if self.unstored.is_empty() {
            return Ok(Vec::new());
        }
        self.file.sync_data().at(|| "store what is held")?;
        let unstored: HashSet<(Way, u64)> = self.unstored.drain(..).collect();
        // How much may be sent is said by the site alone.
        let told = |(way, id): (Way, u64)| {
            let back = way.back();
            let have = self.channels.get(&(way, id))?.next;
            Some((back, Message::Taken { id, have, room: 0 }))
        };
        Ok(unstored.into_iter().filter_map(told).collect())
    }

    /// The next packet for the site, without the frames that it has.
    pub(crate) fn next(&mut self) -> Result<Option<Packet>> {
        loop {
            let Some(packet) = self.read()? else {
                // If the disk gave something else than was written, the rest is with its sender, unless it was confirmed.
                self.end = self.at;
                return Ok(None);
            };
            if !self.is_confirmed(&packet) {
                return Ok(Some(packet));
            }
        }
    }

    fn is_confirmed(&self, packet: &Packet) -> bool {
        let (Some(way), Message::Frame { id, number }) = (&packet.way, &packet.message) else { return false };
        self.channels.get(&(way.clone(), *id)).is_some_and(|numbers| *number < numbers.confirmed)
    }

    /// `None` at the end, and where a record is not whole.
    fn read(&mut self) -> Result<Option<Packet>> {
        let left = self.end - self.at;
        if left < HEAD_BYTES as u64 {
            return Ok(None);
        }
        let mut head = [0; HEAD_BYTES];
        self.file.seek(SeekFrom::Start(self.at)).at(|| "read what is held")?;
        self.file.read_exact(&mut head).at(|| "read what is held")?;
        let [a, b, c, d, digest @ ..] = head;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > MAX_MESSAGE_BYTES || left < (HEAD_BYTES + length) as u64 {
            return Ok(None);
        }
        let mut record = vec![0; length];
        self.file.read_exact(&mut record).at(|| "read what is held")?;
        if Sha256::digest(&record)[..DIGEST_BYTES] != digest {
            return Ok(None);
        }
        let Some(packet) = Packet::decode(&Bytes::from(record)) else { return Ok(None) };
        self.at += (HEAD_BYTES + length) as u64;
        Ok(Some(packet))
    }

    /// The site has frames of a channel below a number.
    pub(crate) fn confirm(&mut self, way: Way, id: u64, have: u64) {
        if let Some(numbers) = self.channels.get_mut(&(way, id)) {
            numbers.confirmed = numbers.confirmed.max(have);
        }
    }

    /// Empties the file once the site has all of it.
    pub(crate) fn tidy(&mut self) -> Result<()> {
        let is_done =
            self.is_caught_up() && self.channels.values().all(|numbers| numbers.confirmed >= numbers.next);
        if self.end > 0 && is_done && self.unstored.is_empty() {
            self.file.set_len(0).at(|| "empty what was held")?;
            (self.end, self.at) = (0, 0);
            self.channels.clear();
        }
        Ok(())
    }
}

/// The channel that a packet is about; those that are about none are not held.
fn id(message: &Message) -> u64 {
    match message {
        Message::Open { id, .. } | Message::Frame { id, .. } | Message::Remove { id } => *id,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way() -> Way {
        Way { from: "1".parse().unwrap(), to: "2".parse().unwrap() }
    }

    fn open(first: u64) -> Packet {
        Packet::new(Some(way()), Message::Open { id: 7, name: "c".into(), first, process: 0 })
    }

    fn frame(number: u64) -> Packet {
        let message = Message::Frame { id: 7, number };
        Packet { way: Some(way()), message, frame: Bytes::from(vec![number as u8; 100]) }
    }

    fn held(folder: &Path, most_bytes: u64) -> Held {
        Held::open(folder, &"2".parse().unwrap(), most_bytes).unwrap()
    }

    fn all(held: &mut Held) -> Vec<Packet> {
        std::iter::from_fn(|| held.next().unwrap()).collect()
    }

    #[test]
    fn what_is_confirmed_survives_a_crash_and_a_torn_record_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = held(folder.path(), 1 << 20);
        let packets = [open(0), frame(0), frame(1)];
        assert!(packets.iter().all(|packet| first.add(&way(), packet) == Kept::Yes));
        assert_eq!(first.store().unwrap(), [(way().back(), Message::Taken { id: 7, have: 2, room: 0 })]);
        drop(first);
        let path = folder.path().join("2.held");
        let whole = fs::read(&path).unwrap();
        for torn in [whole.len() - 1, whole.len() - 100, whole.len() - 119] {
            fs::write(&path, &whole[..torn]).unwrap();
            assert_eq!(all(&mut held(folder.path(), 1 << 20)), packets[..2], "cut at {torn}");
        }
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(&path, changed).unwrap();
        let mut again = held(folder.path(), 1 << 20);
        assert_eq!(again.add(&way(), &frame(2)), Kept::No, "frame 1 is missing");
        assert_eq!(again.add(&way(), &frame(1)), Kept::Yes);
    }

    #[test]
    fn numbers_have_no_gap_and_what_is_known_is_confirmed_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut held = held(folder.path(), 1 << 20);
        assert_eq!(held.add(&way(), &frame(5)), Kept::No, "no channel");
        assert_eq!(held.add(&way(), &open(5)), Kept::Yes);
        assert_eq!(held.add(&way(), &frame(6)), Kept::No);
        assert_eq!(held.add(&way(), &frame(5)), Kept::Yes);
        held.store().unwrap();
        assert_eq!(held.add(&way(), &frame(5)), Kept::Known);
        assert_eq!(held.store().unwrap(), [(way().back(), Message::Taken { id: 7, have: 6, room: 0 })]);
    }

    #[test]
    fn the_file_is_bounded_and_emptied_when_all_is_with_the_site() {
        let folder = tempfile::tempdir().unwrap();
        let mut held = held(folder.path(), 5000);
        held.add(&way(), &open(0));
        let count =
            (0..100).take_while(|number| held.add(&way(), &frame(*number)) == Kept::Yes).count() as u64;
        assert!((10..50).contains(&count) && held.bytes() <= 5000, "{count}");
        held.store().unwrap();
        assert_eq!(all(&mut held).len() as u64, 1 + count);
        held.rewind();
        held.confirm(way(), 7, count - 2);
        assert_eq!(all(&mut held).len(), 1 + 2, "what the site has is not said again");
        held.rewind();
        held.confirm(way(), 7, count);
        held.tidy().unwrap();
        assert!(held.bytes() > 0, "not all was read");
        assert_eq!(all(&mut held).len(), 1);
        held.tidy().unwrap();
        assert_eq!((held.bytes(), held.is_caught_up()), (0, true));
    }
}
