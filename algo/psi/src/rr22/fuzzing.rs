//! For fuzzing: each message of the protocol, at the party that takes it.

use std::sync::LazyLock;

use tributary_core::Result;
use tributary_vole::{ReceiverSeed, SenderSeed};

use super::bucket::{self, Order};
use super::okvs::Key;
use super::{Answering, Asking, Offer, Plan};

const KEYS: [Key; 2] = [Key { number: 1, place: 1 << 20 }, Key { number: 2, place: 1 << 40 }];

/// Two parties of two ids each, in one bucket, and what they sent.
struct Honest {
    asking: ReceiverSeed,
    answering: SenderSeed,
    sent: [Vec<u8>; 7],
}

fn plan() -> Plan {
    Plan { salt: [1; 32], pair: 0, asked: 2, held: 2, buckets: 1 }
}

static HONEST: LazyLock<Result<Honest>> = LazyLock::new(|| {
    let (offer, first) = Offer::new()?;
    let (mut answering, choices) = Answering::new(plan(), &first)?;
    let (opening, opened) = offer.open(plan(), &choices)?;
    let setup = answering.open(&opened)?;
    let mut asking: Asking = opening.finish(&setup)?;
    let (wished, wishes) = asking.wish(0..1)?;
    let (theirs, seeds) = answering.seeds(0..1, &wishes)?;
    let own = asking.seeds(wished, &seeds)?;
    let asking = ReceiverSeed::from_bytes(own[0].bytes())?;
    let answering = SenderSeed::from_bytes(theirs[0].bytes())?;
    let asked = bucket::ask(&plan(), 0, &asking, &KEYS)?;
    let answer = bucket::answer(&plan(), 0, &answering, &Order::new(1), &KEYS, &asked.message)?;
    let sent = [first, choices, opened, wishes, seeds, asked.message, answer];
    Ok(Honest { asking, answering, sent })
});

/// What honest parties send, each after the number that [`message`] knows it by.
pub fn messages() -> Vec<Vec<u8>> {
    let numbered = |(number, bytes): (u8, &Vec<u8>)| [&[number], &bytes[..]].concat();
    HONEST.as_ref().map(|honest| (0..).zip(&honest.sent).map(numbered).collect()).unwrap_or_default()
}

/// Takes a message. Errors are fine.
pub fn message(bytes: &[u8]) -> Result<()> {
    let (Ok(honest), Some((number, bytes))) = (&*HONEST, bytes.split_first()) else { return Ok(()) };
    match number {
        0 => Answering::new(plan(), bytes).map(drop),
        1 => Offer::new()?.0.open(plan(), bytes).map(drop),
        2..=4 => begun(*number, bytes),
        5 => bucket::answer(&plan(), 0, &honest.answering, &Order::new(1), &KEYS, bytes).map(drop),
        _ => {
            let own = bucket::ask(&plan(), 0, &honest.asking, &KEYS)?.tags;
            bucket::common(&plan(), 0, &own, bytes).map(drop)
        }
    }
}

/// Of parties that have come so far.
fn begun(number: u8, bytes: &[u8]) -> Result<()> {
    let (offer, first) = Offer::new()?;
    let (mut answering, choices) = Answering::new(plan(), &first)?;
    if number == 2 {
        return answering.open(bytes).map(drop);
    }
    let (opening, opened) = offer.open(plan(), &choices)?;
    let setup = answering.open(&opened)?;
    if number == 3 {
        return answering.seeds(0..1, bytes).map(drop);
    }
    let mut asking = opening.finish(&setup)?;
    let (wished, _) = asking.wish(0..1)?;
    asking.seeds(wished, bytes).map(drop)
}
