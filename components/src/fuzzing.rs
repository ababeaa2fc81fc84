//! The messages that parties send each other within components, for the fuzz target: decoded, and put through what their receiver
//! checks. They may be refused; they may not panic, and what is accepted has one encoding.

use std::sync::LazyLock;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tributary_binning::BinColumn;
use tributary_binning::encrypted::HostFeatures;
use tributary_core::federation::{Message, MessageBody};
use tributary_core::{Party, Result};
use tributary_paillier::{KeyBits, ProvenKey, SecretKey};

use crate::hetero_feature_binning::{Measure, check_features};
use crate::hetero_feature_selection::{Selected, check_selected};
use crate::hetero_secureboost::messages::{
    Begins, Chosen, Grouped, Level, Told as BoostTold, Walks, Written, samples,
};
use crate::psi::choice::{Decided, Told};
use crate::psi::rr22::{Offered, Seeds};
use crate::toy_example::ShareSum;

/// Their names. Every type that is a message of a component or an algorithm is here.
pub const MESSAGES: [&str; 15] = [
    ShareSum::NAME,
    Measure::NAME,
    HostFeatures::NAME,
    Told::NAME,
    Decided::NAME,
    Offered::NAME,
    Seeds::NAME,
    Selected::NAME,
    BoostTold::NAME,
    Begins::NAME,
    Level::NAME,
    Grouped::NAME,
    Chosen::NAME,
    Walks::NAME,
    Written::NAME,
];

const CONTEXT: &[u8] = b"a session";

static HOST: LazyLock<Result<Party>> = LazyLock::new(|| Party::new("host", "10000"));

/// Valid ones: the position of the name in [`MESSAGES`], then the encoding.
pub fn messages() -> Vec<Vec<u8>> {
    let column = |position: u32, bins: u32| BinColumn { column: format!("host_10000_x{position}"), bins };
    let features = |columns: &[BinColumn]| HostFeatures { columns: columns.to_vec() };
    // The smallest size: the checks are the same. Never used for anything else.
    let key = SecretKey::generate(KeyBits::Bits1024, &mut StdRng::seed_from_u64(1));
    let proven = key.and_then(|key| ProvenKey::new(&key, CONTEXT)).ok();
    let sums = [0, 7, u64::MAX].map(|sum| encoded(0, &ShareSum { sum }));
    let measures = [None, proven].map(|key| encoded(1, &Measure { key }));
    let hosts = [features(&[]), features(&[column(0, 11), column(3, 2)])].map(|host| encoded(2, &host));
    let kept = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let selections = [None, kept(&[]), kept(&["host_10000_x0", "host_10000_x7"])];
    let selections = selections.map(|kept| encoded(7, &Selected { kept }));
    let boost = [
        encoded(8, &samples::told()),
        encoded(9, &samples::begins()),
        encoded(10, &samples::level()),
        encoded(11, &samples::grouped()),
        encoded(12, &samples::chosen()),
        encoded(13, &samples::walks()),
        encoded(14, &Written { trees: 3 }),
    ];
    sums.into_iter()
        .chain(boost)
        .chain(measures)
        .chain(hosts)
        .chain(selections)
        .chain(crate::psi::fuzzing::messages())
        .flatten()
        .collect()
}

pub(crate) fn encoded<M: Message>(which: u8, message: &M) -> Option<Vec<u8>> {
    let body = MessageBody::encode(message).ok()?;
    Some([&[which], &body.bytes[..]].concat())
}

/// What a receiver does with a message.
pub fn message(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % MESSAGES.len() as u8 {
        0 => drop(decoded::<ShareSum>(bytes)),
        1 => {
            let key = decoded::<Measure>(bytes).and_then(|measure| measure.key);
            drop(key.map(|key| key.open(CONTEXT)));
        }
        3 => {
            if let (Some(told), Ok(host)) = (decoded::<Told>(bytes), &*HOST) {
                drop(told.check(host));
            }
        }
        4 => {
            if let (Some(decided), Ok(guest)) = (decoded::<Decided>(bytes), &*HOST) {
                drop(decided.check(guest, 1_000));
            }
        }
        5 => drop(decoded::<Offered>(bytes)),
        6 => {
            // As a list of chosen rows, too.
            drop(decoded::<Seeds>(bytes));
            drop(crate::psi::fuzzing::chosen(bytes));
        }
        7 => {
            if let (Some(Selected { kept: Some(kept) }), Ok(guest)) = (decoded::<Selected>(bytes), &*HOST) {
                drop(check_selected(guest, &kept, |name| name.starts_with("host_10000_x")));
            }
        }
        8 => {
            if let (Some(told), Ok(host)) = (decoded::<BoostTold>(bytes), &*HOST) {
                drop(told.check(host, 100));
            }
        }
        9 => {
            let key = decoded::<Begins>(bytes).and_then(|begins| begins.key);
            drop(key.map(|key| key.open(CONTEXT)));
        }
        10 => {
            if let (Some(level), Ok(guest)) = (decoded::<Level>(bytes), &*HOST) {
                drop((level.check(guest, None), level.check(guest, Some(1))));
            }
        }
        11 => drop(decoded::<Grouped>(bytes)),
        12 => drop(decoded::<Chosen>(bytes)),
        13 => drop(decoded::<Walks>(bytes)),
        14 => drop(decoded::<Written>(bytes)),
        _ => {
            if let (Some(features), Ok(host)) = (decoded::<HostFeatures>(bytes), &*HOST) {
                drop(check_features(host, &features));
            }
        }
    }
}

fn decoded<M: Message>(bytes: &[u8]) -> Option<M> {
    let body = MessageBody { name: M::NAME.into(), version: M::VERSION, bytes: bytes.to_vec().into() };
    let message = body.decode().ok()?;
    // Numbers of varying length have longer forms: what is decoded again is the same.
    let again = MessageBody::encode(&message).ok()?;
    assert!(again.decode::<M>().is_ok(), "what was decoded is encoded and decoded again");
    Some(message)
}
