//! Both parties, with every message as bytes.

use tributary_core::ErrorKind;

use super::*;

const CODE: u128 = 77;

/// Base transfers, and the first vector.
fn parties() -> (Receiver, Sender, Reserve<[Gf128; 2]>, Reserve<Gf128>) {
    let (offered, offer) = Receiver::offer().unwrap();
    let (sender, choices) = Sender::answer(&offer).unwrap();
    let receiver = offered.accept(&choices).unwrap();
    let (entries, message) = receiver.first().unwrap();
    let own = sender.first(&message).unwrap();
    let (mut one, mut other) = (Reserve::default(), Reserve::default());
    one.add(&entries);
    other.add(&own);
    (receiver, sender, one, other)
}

fn check(receiver: &[[Gf128; 2]], sender: &[Gf128], delta: Gf128) {
    assert_eq!(receiver.len(), sender.len());
    assert!(receiver.iter().zip(sender).all(|([c, a], b)| *c == *b + *a * delta));
}

#[test]
fn the_first_vector_holds_the_relation() {
    let (_, sender, mut one, mut other) = parties();
    check(&one.take().unwrap(), &other.take().unwrap(), sender.delta());
}

#[test]
fn a_vector_grows_out_of_another_and_holds_the_relation() {
    let (mut receiver, mut sender, mut one, mut other) = parties();
    for (number, wanted) in [(1, 800), (2, 1_201), (3, 3_000)] {
        let shape = Shape::for_length(wanted).unwrap();
        assert!(shape.length() >= wanted && shape.length() < wanted + 200);
        let (planted, wish) = receiver.plant(shape, number).unwrap();
        let (own, seeds) = sender.plant(shape, number, &other.take().unwrap(), &wish).unwrap();
        let seed = planted.grow(&seeds, &one.take().unwrap()).unwrap();
        let seed = ReceiverSeed::from_bytes(&seed.to_bytes()).unwrap();
        let own = SenderSeed::from_bytes(&own.to_bytes()).unwrap();
        assert_eq!((seed.length(), own.length()), (shape.length(), shape.length()));
        let (a_and_c, b) = (seed.expand(Code::new(CODE)), own.expand(Code::new(CODE)));
        check(&a_and_c, b.as_flattened(), sender.delta());
        let values: std::collections::HashSet<u128> = a_and_c.as_flattened().iter().map(|x| x.0).collect();
        assert_eq!(values.len(), 2 * shape.length(), "all entries differ");
        one.add(&a_and_c);
        other.add(b.as_flattened());
    }
}

#[test]
fn messages_of_another_length_are_refused() {
    let (mut receiver, mut sender, mut one, mut other) = parties();
    let shape = Shape::for_length(1_000).unwrap();
    let (planted, mut wish) = receiver.plant(shape, 1).unwrap();
    let noise = other.take().unwrap();
    wish.push(0);
    assert_eq!(sender.plant(shape, 1, &noise, &wish).err().unwrap().kind(), ErrorKind::Corrupt);
    assert_eq!(sender.first(&wish).unwrap_err().kind(), ErrorKind::Corrupt);
    wish.pop();
    let (_, mut seeds) = sender.plant(shape, 1, &noise, &wish).unwrap();
    seeds.pop();
    assert_eq!(planted.grow(&seeds, &one.take().unwrap()).err().unwrap().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_reserve_gives_each_entry_once_and_no_more() {
    let mut reserve = Reserve::default();
    reserve.add(&Vec::from_iter(0..Shape::NOISE));
    reserve.add(&[7]);
    assert_eq!(*reserve.take().unwrap(), Vec::from_iter(0..Shape::NOISE));
    assert!(reserve.take().is_err());
    assert_eq!(reserve.len(), 1);
}

#[test]
fn seeds_are_checked() {
    let (mut receiver, mut sender, mut one, mut other) = parties();
    let shape = Shape::for_length(1_000).unwrap();
    let (planted, wish) = receiver.plant(shape, 1).unwrap();
    let (own, seeds) = sender.plant(shape, 1, &other.take().unwrap(), &wish).unwrap();
    let (own, seed) = (own.to_bytes(), planted.grow(&seeds, &one.take().unwrap()).unwrap().to_bytes());
    for cut in [0, 3, 19, 40, own.len() - 1] {
        assert!(SenderSeed::from_bytes(&own[..cut]).is_err());
        assert!(ReceiverSeed::from_bytes(&seed[..cut]).is_err());
    }
    let mut beyond = seed.to_vec();
    beyond[20..24].copy_from_slice(&[0xff; 4]);
    assert!(ReceiverSeed::from_bytes(&beyond).is_err());
    assert!(ReceiverSeed::from_bytes(&[&seed[..], &[0]].concat()).is_err());
    assert!(Shape::for_length(usize::MAX / 2).is_err());
}
