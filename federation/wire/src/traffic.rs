//! Counts what goes over the wire, by slot and direction. Handshakes belong to no slot and are not counted, duplicates
//! count once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tributary_core::Party;
use tributary_core::federation::{Direction, Slot, SlotTraffic, Traffic};

/// One session's count.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    traffic: Traffic,
    places: HashMap<(Slot, Party, Direction), usize>,
    sent_since_wait: bool,
}

impl Ledger {
    pub(crate) fn count(&self, slot: &Slot, peer: &Party, direction: Direction, bytes: u64, messages: u64) {
        let mut entries = self.lock();
        entries.sent_since_wait |= direction == Direction::Sent;
        let Entries { traffic, places, .. } = &mut *entries;
        let place = *places.entry((slot.clone(), peer.clone(), direction)).or_insert_with(|| {
            let (slot, peer) = (slot.clone(), peer.clone());
            traffic.slots.push(SlotTraffic { slot, peer, direction, bytes: 0, messages: 0 });
            traffic.slots.len() - 1
        });
        if let Some(entry) = traffic.slots.get_mut(place) {
            entry.bytes += bytes;
            entry.messages += messages;
        }
    }

    /// This party asks for a value. Counted whether or not the value is there already, so that the number of rounds is the
    /// algorithm's and not the network's.
    pub(crate) fn wait(&self) {
        let mut entries = self.lock();
        if std::mem::take(&mut entries.sent_since_wait) {
            entries.traffic.rounds += 1;
        }
    }

    pub(crate) fn traffic(&self) -> Traffic {
        self.lock().traffic.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_waits_after_sending() {
        let (ledger, slot, peer) = (Ledger::default(), Slot::new("x"), Party::new("host", "1").unwrap());
        ledger.wait();
        ledger.count(&slot, &peer, Direction::Sent, 10, 1);
        ledger.count(&slot, &peer, Direction::Sent, 5, 1);
        ledger.wait();
        ledger.wait();
        ledger.count(&slot, &peer, Direction::Received, 7, 1);
        ledger.wait();
        let traffic = ledger.traffic();
        assert_eq!((traffic.rounds, traffic.slots.len()), (1, 2));
        assert_eq!((traffic.bytes(Direction::Sent), traffic.messages(Direction::Sent)), (15, 2));
    }
}
