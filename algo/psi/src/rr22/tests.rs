//! Whole intersections, with every message as bytes, against plain sets; and messages that no honest party sends.

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tributary_core::layout::{hash_bytes, partition_of};
use tributary_core::{ErrorKind, Result};
use tributary_vole::{ReceiverSeed, SenderSeed};

use super::bucket::{self, NO_ROW, Order};
use super::okvs::Key;
use super::*;

/// The ids of each bucket, as an exchange by digest orders them.
fn bucketed(plan: &Plan, ids: &BTreeSet<u32>) -> Vec<Vec<(Key, u32)>> {
    let mut buckets = vec![Vec::new(); plan.buckets as usize];
    for id in ids {
        let digest: [u8; 32] =
            Sha256::new_with_prefix(plan.salt).chain_update(id.to_le_bytes()).finalize().into();
        let digest = std::array::from_fn(|i| digest[i]);
        let bucket = partition_of(hash_bytes(&digest), plan.buckets);
        buckets[bucket as usize].push((plan.key(&digest, bucket).unwrap(), *id));
    }
    buckets.iter_mut().for_each(|bucket| bucket.sort_by_key(|(key, _)| key.place));
    buckets
}

fn keys(bucket: &[(Key, u32)]) -> Vec<Key> {
    bucket.iter().map(|(key, _)| *key).collect()
}

fn sessions(plan: &Plan) -> Result<(Asking, Answering)> {
    let (offer, message) = Offer::new()?;
    let (mut answering, message) = Answering::new(plan.clone(), &message)?;
    let (opening, message) = offer.open(plan.clone(), &message)?;
    let message = answering.open(&message)?;
    Ok((opening.finish(&message)?, answering))
}

/// The common ids as both sides see them, after a whole run.
fn intersect(
    plan: &Plan,
    asked: &BTreeSet<u32>,
    held: &BTreeSet<u32>,
    at_once: u32,
) -> (HashSet<u32>, HashSet<u32>) {
    let (mut asking, mut answering) = sessions(plan).unwrap();
    let (own, theirs) = (bucketed(plan, asked), bucketed(plan, held));
    let (mut found, mut told) = (HashSet::new(), HashSet::new());
    let order = Order::new(12345);
    for first in (0..plan.buckets).step_by(at_once as usize) {
        let round = first..(first + at_once).min(plan.buckets);
        let (wished, message) = asking.wish(round.clone()).unwrap();
        let (answer_seeds, message) = answering.seeds(round.clone(), &message).unwrap();
        let seeds = asking.seeds(wished, &message).unwrap();
        for ((bucket, seed), other) in round.zip(seeds).zip(answer_seeds) {
            let (own, theirs) = (&own[bucket as usize], &theirs[bucket as usize]);
            let seed = ReceiverSeed::from_bytes(seed.bytes()).unwrap();
            let asked = bucket::ask(plan, bucket, &seed, &keys(own)).unwrap();
            assert_eq!(asked.message.len(), plan.ask_bytes());
            let seed = SenderSeed::from_bytes(other.bytes()).unwrap();
            let answer = bucket::answer(plan, bucket, &seed, &order, &keys(theirs), &asked.message).unwrap();
            assert_eq!(answer.len(), plan.answer_bytes());
            let places = bucket::common(plan, bucket, &asked.tags, &answer).unwrap();
            let rows = order.rows(plan, bucket, &keys(theirs));
            assert_eq!(places.len(), own.len());
            for ((_, id), place) in own.iter().zip(places).filter(|(_, place)| *place != NO_ROW) {
                found.insert(*id);
                told.insert(theirs[rows[place as usize] as usize].1);
            }
        }
    }
    (found, told)
}

fn plan(asked: usize, held: usize, buckets: u32, seed: u8) -> Plan {
    Plan { salt: [seed; 32], pair: 3, asked: asked as u64, held: held as u64, buckets }
}

fn check(asked: &BTreeSet<u32>, held: &BTreeSet<u32>, buckets: u32, at_once: u32, seed: u8) {
    let plan = plan(asked.len(), held.len(), buckets, seed);
    let expected: HashSet<u32> = asked.intersection(held).copied().collect();
    let (found, told) = intersect(&plan, asked, held, at_once);
    assert_eq!(found, expected);
    assert_eq!(told, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_common_ids_are_those_of_plain_sets(
        asked in prop::collection::btree_set(0u32..400, 0..200),
        held in prop::collection::btree_set(0u32..400, 0..200),
        buckets in 1u32..4, at_once in 1u32..4, seed: u8,
    ) {
        check(&asked, &held, buckets, at_once, seed);
    }
}

#[test]
fn the_sizes_at_the_edge_work() {
    let set = |ids: std::ops::Range<u32>| ids.collect::<BTreeSet<u32>>();
    for (asked, held) in
        [(0..0, 0..0), (0..0, 0..9), (0..9, 0..0), (0..1, 0..1), (0..1, 1..2), (0..1, 0..5_000)]
    {
        check(&set(asked), &set(held), 1, 1, 9);
    }
    check(&set(0..6_000), &set(3_000..9_000), 5, 2, 8);
    check(&set(10..40), &set(0..9_000), 3, 2, 7);
}

#[test]
fn an_order_is_a_permutation_with_room_for_more_and_its_key_matters() {
    let plan = plan(100, 100, 1, 1);
    let keys = keys(&bucketed(&plan, &(0..60).collect())[0]);
    let rows = Order::new(1).rows(&plan, 0, &keys);
    assert_eq!((rows.len(), rows.iter().filter(|row| **row == NO_ROW).count()), (100, 40));
    let real: Vec<u32> = rows.iter().copied().filter(|row| *row != NO_ROW).collect();
    assert_eq!(real.iter().collect::<HashSet<_>>().len(), 60);
    assert_ne!(real, (0..60).collect::<Vec<_>>());
    assert_eq!(rows, Order::new(1).rows(&plan, 0, &keys));
    assert_ne!(rows, Order::new(2).rows(&plan, 0, &keys));
}

#[test]
fn messages_of_no_honest_party_are_refused() {
    let plan = plan(50, 50, 2, 4);
    let (mut asking, mut answering) = sessions(&plan).unwrap();
    let corrupt = |error: tributary_core::Error| assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    corrupt(Answering::new(plan.clone(), &[1; 31]).err().unwrap());
    let (_, offer) = Offer::new().unwrap();
    corrupt(Answering::new(plan.clone(), &offer).unwrap().0.open(&[0; 100]).err().unwrap());
    let (wished, message) = asking.wish(0..2).unwrap();
    corrupt(answering.seeds(0..2, &message[1..]).err().unwrap());
    corrupt(answering.seeds(0..2, &message[32..]).err().unwrap());
    corrupt(answering.seeds(0..0, &message).err().unwrap());
    let (seeds, message) = sessions(&plan).unwrap().1.seeds(0..2, &message).unwrap();
    corrupt(asking.seeds(wished, &message[64..]).err().unwrap());
    let seed = SenderSeed::from_bytes(seeds[0].bytes()).unwrap();
    for message in [vec![], vec![0; plan.ask_bytes() - 1], vec![9; plan.ask_bytes()]] {
        corrupt(bucket::answer(&plan, 0, &seed, &Order::new(1), &[], &message).err().unwrap());
    }
    corrupt(bucket::common(&plan, 0, &[], &[0; 3]).err().unwrap());
    let twice = vec![0; plan.answer_bytes()];
    corrupt(bucket::common(&plan, 0, &twice[..plan.tag_bytes()], &twice).err().unwrap());
}

/// Else a guest would see, when an attempt failed, which tags are no row's.
#[test]
fn another_attempt_in_the_same_order_answers_with_other_tags() {
    let plan = plan(20, 200, 1, 4);
    let (own, theirs) = (bucketed(&plan, &(0..20).collect()), bucketed(&plan, &(100..220).collect()));
    let answer = || {
        let (mut asking, mut answering) = sessions(&plan).unwrap();
        let (wished, message) = asking.wish(0..1).unwrap();
        let (other, message) = answering.seeds(0..1, &message).unwrap();
        let seeds = asking.seeds(wished, &message).unwrap();
        let seed = ReceiverSeed::from_bytes(seeds[0].bytes()).unwrap();
        let asked = bucket::ask(&plan, 0, &seed, &keys(&own[0])).unwrap();
        let seed = SenderSeed::from_bytes(other[0].bytes()).unwrap();
        bucket::answer(&plan, 0, &seed, &Order::new(7), &keys(&theirs[0]), &asked.message).unwrap()
    };
    let (first, second) = (answer(), answer());
    let tags = |answer: &[u8]| answer.chunks(plan.tag_bytes()).map(<[u8]>::to_vec).collect::<HashSet<_>>();
    assert_eq!(tags(&first).len(), 200);
    assert!(tags(&first).is_disjoint(&tags(&second)));
}

#[test]
fn too_many_ids_in_a_bucket_are_refused() {
    let plan = plan(3, 3, 1, 4);
    let (mut asking, mut answering) = sessions(&plan).unwrap();
    let (wished, message) = asking.wish(0..1).unwrap();
    let (other, message) = answering.seeds(0..1, &message).unwrap();
    let seeds = asking.seeds(wished, &message).unwrap();
    let four = keys(&bucketed(&plan, &(0..4).collect())[0]);
    let seed = ReceiverSeed::from_bytes(seeds[0].bytes()).unwrap();
    assert_eq!(bucket::ask(&plan, 0, &seed, &four).err().unwrap().kind(), ErrorKind::Exhausted);
    let asked = bucket::ask(&plan, 0, &seed, &four[..3]).unwrap();
    let seed = SenderSeed::from_bytes(other[0].bytes()).unwrap();
    let answer = bucket::answer(&plan, 0, &seed, &Order::new(1), &four, &asked.message);
    assert_eq!(answer.err().unwrap().kind(), ErrorKind::Exhausted);
}

#[test]
fn pieces_are_bounded() {
    let rows = |bytes: &[u8]| {
        let column = std::sync::Arc::new(arrow_array::BinaryArray::from_iter_values([bytes, b""]));
        sent_schema().unwrap().batch(vec![column]).unwrap()
    };
    let mut pieces = Pieces::of(2, 3);
    pieces.add(&rows(b"ab")).unwrap();
    pieces.add(&rows(b"cdef")).unwrap();
    assert_eq!(pieces.add(&rows(b"g")).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(pieces.finish().unwrap(), [b"abc", b"def"]);
    assert_eq!(Pieces::of(1, 1).finish().unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(Pieces::of(2, 0).finish().unwrap(), [b"", b""]);
}
