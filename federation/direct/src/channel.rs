//! The two ends of a channel, as each is kept by one site: frames that are not confirmed, and frames that are not received yet.
//!
//! Pure state: no clock, no network. What makes a line that breaks harmless is here. The sender numbers its frames and keeps each until the
//! receiver has it; after a break it begins again at the first that is not confirmed, and the receiver drops what it has. The
//! receiver says how much may be on its way (`room`), counted from the first frame on, so that a repeated word changes nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;
use tributary_core::{Error, ErrorKind};

use crate::message::{Message, Why};

/// What a receiver lets a sender have on its way, once it has opened the channel itself.
pub(crate) const WINDOW_COST: u64 = 8 << 20;
/// The same before that: hellos and little else. Both sides begin with it.
pub(crate) const FIRST_COST: u64 = 64 << 10;
/// What a frame costs besides its bytes; else tiny frames would be free.
const FRAME_COST: u64 = 128;
/// So much has come since the sender was last told: tell it at once.
const TELL_COST: u64 = WINDOW_COST / 8;

fn cost(frame: &Bytes) -> u64 {
    frame.len() as u64 + FRAME_COST
}

/// Why a channel gives nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    Removed,
    Full,
    NoWay,
    /// The other site's process is another one than when the channel was made.
    Restarted,
}

impl From<Why> for Gone {
    fn from(why: Why) -> Self {
        match why {
            Why::Removed | Why::Unannounced => Self::Removed,
            Why::Full => Self::Full,
            Why::NoWay => Self::NoWay,
        }
    }
}

impl Gone {
    pub(crate) fn error(self, name: &str, peer: &str) -> Error {
        match self {
            Self::Removed => Error::new(ErrorKind::NotFound, format!("no channel {name} at site {peer}")),
            Self::Full => Error::new(
                ErrorKind::Exhausted,
                format!("site {peer} takes no more channels from this site; see whether its tasks end"),
            ),
            Self::NoWay => Error::new(
                ErrorKind::Unavailable,
                format!("the exchange knows no way to site {peer}; its operator registers that site there"),
            ),
            Self::Restarted => Error::new(
                ErrorKind::Cancelled,
                format!(
                    "the process of site {peer} was started again, and what was open with it is lost; run the task again"
                ),
            ),
        }
    }
}

/// A number of a frame, and what all frames before it cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    number: u64,
    cost: u64,
}

impl Place {
    fn pass(&mut self, frame: &Bytes) {
        self.number += 1;
        self.cost += cost(frame);
    }
}

/// The sender's end.
#[derive(Debug)]
pub(crate) struct Outgoing {
    name: String,
    /// Of `frames[0]`.
    first: Place,
    /// Of the next frame for the line.
    next: Place,
    frames: VecDeque<Bytes>,
    frames_cost: u64,
    room: u64,
    /// Said on this line.
    announced: bool,
    /// The receiver answered.
    opened: bool,
    gone: Option<Gone>,
    changed: Arc<Notify>,
    /// Listed among those that have something to say.
    pub listed: bool,
}

impl Outgoing {
    pub(crate) fn new(name: String) -> Self {
        let (first, next) = Default::default();
        let (frames, changed) = (VecDeque::new(), Arc::new(Notify::new()));
        let (announced, opened, gone, listed) = (false, false, None, false);
        Self {
            name,
            first,
            next,
            frames,
            frames_cost: 0,
            room: FIRST_COST,
            announced,
            opened,
            gone,
            changed,
            listed,
        }
    }

    pub(crate) fn gone(&self) -> Option<Gone> {
        self.gone
    }

    /// Notified when frames were confirmed, and when the channel or its line changed.
    pub(crate) fn changed(&self) -> &Arc<Notify> {
        &self.changed
    }

    /// Whether all frames are confirmed.
    pub(crate) fn is_settled(&self) -> bool {
        self.frames.is_empty()
    }

    /// Takes over as many frames as there is place for; at least one, if nothing waits.
    pub(crate) fn push(&mut self, frames: &[Bytes]) -> usize {
        let before = self.frames.len();
        for frame in frames {
            if !self.frames.is_empty() && self.frames_cost + cost(frame) > WINDOW_COST {
                break;
            }
            self.frames_cost += cost(frame);
            self.frames.push_back(frame.clone());
        }
        self.frames.len() - before
    }

    /// A new line: begins again with what is not confirmed.
    pub(crate) fn rewind(&mut self) {
        self.next = self.first;
        self.announced = false;
    }

    /// What is to be said next on the line.
    pub(crate) fn say(&mut self, id: u64, process: u64) -> Option<(Message, Bytes)> {
        if self.gone.is_some() {
            return None;
        }
        if !self.announced {
            self.announced = true;
            return Some((
                Message::Open { id, name: self.name.clone(), first: self.next.number, process },
                Bytes::new(),
            ));
        }
        let frame = self.frames.get((self.next.number - self.first.number) as usize)?;
        if self.next.cost + cost(frame) > self.room {
            return None;
        }
        let (number, frame) = (self.next.number, frame.clone());
        self.next.pass(&frame);
        Some((Message::Frame { id, number }, frame))
    }

    /// The receiver has frames below a number. False if it cannot have them.
    pub(crate) fn taken(&mut self, have: u64, room: u64) -> bool {
        if have > self.first.number + self.frames.len() as u64 {
            return false;
        }
        self.opened = true;
        self.room = self.room.max(room);
        while self.first.number < have
            && let Some(frame) = self.frames.pop_front()
        {
            self.frames_cost -= cost(&frame);
            self.first.pass(&frame);
        }
        // An earlier line may have brought more than this one did so far.
        if self.next.number < self.first.number {
            self.next = self.first;
        }
        self.changed.notify_waiters();
        true
    }

    /// It gives nothing more; the first reason stays.
    pub(crate) fn end(&mut self, why: Gone) {
        self.gone.get_or_insert(why);
        self.frames.clear();
        self.next = self.first;
        self.changed.notify_waiters();
    }

    /// Whether there are frames that were not said on this line.
    pub(crate) fn has_more(&self) -> bool {
        self.next.number - self.first.number < self.frames.len() as u64
    }

    /// Whether the receiver ever answered.
    pub(crate) fn is_opened(&self) -> bool {
        self.opened
    }
}

/// What became of a frame that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// Kept; the sender is told some time.
    Kept,
    /// The sender is to be told at once.
    Told,
    /// More than there was room for.
    Beyond,
}

/// The receiver's end.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The sender's number for it, once it said so.
    pub id: Option<u64>,
    /// Opened here too, and not by the sender only.
    local: bool,
    /// What has come.
    have: Place,
    /// Cost of what was received.
    received: u64,
    frames: VecDeque<Bytes>,
    room: u64,
    told: Place,
    gone: Option<Gone>,
    changed: Arc<Notify>,
    /// Listed among those whose sender is to be told.
    pub listed: bool,
    /// It was there at the last sweep.
    pub old: bool,
}

impl Incoming {
    pub(crate) fn new() -> Self {
        let (have, told) = Default::default();
        let (frames, changed) = (VecDeque::new(), Arc::new(Notify::new()));
        let (id, local, received, gone, listed, old) = (None, false, 0, None, false, false);
        Self { id, local, have, received, frames, room: FIRST_COST, told, gone, changed, listed, old }
    }

    pub(crate) fn gone(&self) -> Option<Gone> {
        self.gone
    }

    pub(crate) fn changed(&self) -> &Arc<Notify> {
        &self.changed
    }

    pub(crate) fn is_local(&self) -> bool {
        self.local
    }

    pub(crate) fn make_local(&mut self) {
        self.local = true;
    }

    /// A frame came.
    pub(crate) fn accept(&mut self, number: u64, frame: Bytes) -> Came {
        if number != self.have.number {
            // Repeated after a break: the sender does not know yet.
            return Came::Told;
        }
        if self.have.cost + cost(&frame) > self.room {
            return Came::Beyond;
        }
        self.have.pass(&frame);
        self.frames.push_back(frame);
        self.changed.notify_waiters();
        if self.have.cost - self.told.cost >= TELL_COST { Came::Told } else { Came::Kept }
    }

    /// The next frame; and whether the sender, who may wait for room, is to be told.
    pub(crate) fn receive(&mut self) -> Option<(u64, Bytes, bool)> {
        let frame = self.frames.pop_front()?;
        let number = self.have.number - self.frames.len() as u64 - 1;
        self.received += cost(&frame);
        let tell = self.window() + self.received >= self.room + TELL_COST;
        Some((number, frame, tell))
    }

    fn window(&self) -> u64 {
        if self.local { WINDOW_COST } else { FIRST_COST }
    }

    /// What the sender is told. `None` as long as it has no number for the channel.
    pub(crate) fn tell(&mut self) -> Option<Message> {
        let id = self.id?;
        self.room = self.room.max(self.received + self.window());
        self.told = self.have;
        Some(Message::Taken { id, have: self.have.number, room: self.room })
    }

    pub(crate) fn end(&mut self, why: Gone) {
        self.gone.get_or_insert(why);
        self.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: u64 = 9;

    fn frame(number: u64) -> Bytes {
        Bytes::from(number.to_le_bytes().to_vec())
    }

    fn number(frame: &Bytes) -> u64 {
        u64::from_le_bytes(frame.as_ref().try_into().unwrap())
    }

    #[test]
    fn a_receiver_that_reads_nothing_is_sent_a_bounded_amount() {
        let (mut from, mut to) = (Outgoing::new("c".into()), Incoming::new());
        to.id = Some(ID);
        let big = Bytes::from(vec![1; 60_000]);
        let (mut pushed, mut came) = (0, 0);
        for round in 0..1000 {
            pushed += from.push(std::slice::from_ref(&big)) as u64;
            while let Some((message, frame)) = from.say(ID, 0) {
                if let Message::Frame { number, .. } = message {
                    assert_ne!(to.accept(number, frame), Came::Beyond);
                    came += 1;
                }
            }
            if round == 10 {
                assert_eq!(came, 1, "before the receiver opened it");
                to.make_local();
            }
            if let Some(Message::Taken { have, room, .. }) = to.tell() {
                assert!(from.taken(have, room));
            }
        }
        assert_eq!(came, WINDOW_COST / cost(&big));
        assert!(pushed * cost(&big) <= 2 * WINDOW_COST);
    }

    #[test]
    fn more_than_room_and_a_confirmation_of_what_was_not_sent_are_refused() {
        let mut to = Incoming::new();
        let big = Bytes::from(vec![1; 60_000]);
        assert_eq!(to.accept(0, big.clone()), Came::Kept);
        assert_eq!(to.accept(1, big.clone()), Came::Beyond);
        let mut from = Outgoing::new("c".into());
        from.push(&[big]);
        assert!(!from.taken(2, 0));
        assert!(from.taken(1, 0) && from.is_settled());
    }

    proptest! {
        /// Breaks at any place, words of an old line that still come, and words that are lost with it.
        #[test]
        fn whatever_breaks_each_frame_is_received_once_and_in_order(steps in proptest::collection::vec(0..6u8, 1..400)) {
            let (mut from, mut to) = (Outgoing::new("c".into()), Incoming::new());
            let (mut forth, mut back) = (VecDeque::new(), VecDeque::new());
            let (mut pushed, mut received) = (0u64, Vec::new());
            let mut quiet = [1, 2, 3, 4].repeat(500);
            let mut all = steps;
            all.append(&mut quiet);
            for step in all {
                match step {
                    0 => pushed += from.push(&[frame(pushed)]) as u64,
                    1 => forth.extend(from.say(ID, 0)),
                    2 => match forth.pop_front() {
                        Some((Message::Open { id, .. }, _)) => { to.id = Some(id); to.make_local() }
                        Some((Message::Frame { number, .. }, frame)) => prop_assert!(to.accept(number, frame) != Came::Beyond),
                        _ => {}
                    },
                    3 => back.extend(to.tell()),
                    4 => {
                        if let Some(Message::Taken { have, room, .. }) = back.pop_front() {
                            prop_assert!(from.taken(have, room));
                        }
                        received.extend(to.receive().map(|(_, frame, _)| number(&frame)));
                    }
                    // A break: half of what is on its way is lost, the rest comes late.
                    _ => {
                        forth.truncate(forth.len() / 2);
                        back.truncate(back.len() / 2);
                        from.rewind();
                    }
                }
            }
            prop_assert_eq!(received, (0..pushed).collect::<Vec<_>>());
            prop_assert!(from.is_settled());
        }
    }
}
