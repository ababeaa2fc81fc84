//! Keys: their sizes and shape, their encodings, and what they print.

use tributary_paillier::{Additive, Decrypt, Encrypt, Integer, KeyBits, KeyId, PublicKey, SecretKey};

use crate::{HOST, OWNER, factor, modulus, rng};

#[test]
fn every_size_encrypts_and_decrypts() {
    for size in [KeyBits::Bits1024, KeyBits::Bits2048, KeyBits::Bits3072] {
        let owner = SecretKey::generate(size, &mut rng()).unwrap().for_encryptions(4);
        let host = PublicKey::from_bytes(&owner.public().to_bytes()).unwrap().for_encryptions(4);
        let (n, p) = (modulus(&host), factor(&owner));
        let q = Integer::from(&n / &p);
        assert_eq!(
            [&n, &p, &q].map(Integer::significant_bits),
            [size.bits(), size.bits() / 2, size.bits() / 2]
        );
        assert_eq!([&p, &q].map(|prime| prime.mod_u(4)), [3, 3]);
        assert_eq!(Integer::from(&p - 1u32).gcd(&Integer::from(&q - 1u32)), 2);
        assert_eq!(host.row_bytes(), 2 * size.bytes());

        let plains = [Integer::from(i128::MAX), Integer::from(-1)];
        let rows = host.encrypt_rows(&mut plains.clone().into_iter(), &mut rng()).unwrap();
        assert_eq!(owner.encrypt_rows(&mut plains.clone().into_iter(), &mut rng()).unwrap(), rows);
        assert_eq!(owner.decrypt_rows(&rows).unwrap(), plains);
    }
}

#[test]
fn a_stored_secret_key_is_the_same_key() {
    let again = SecretKey::from_bytes(OWNER.to_bytes().expose()).unwrap();
    assert_eq!(again.public(), OWNER.public());
    let value = HOST.encrypt(&Integer::from(-42), &mut rng()).unwrap();
    assert_eq!(again.decrypt(&value), -42);
}

#[test]
fn only_1024_bits_is_weak_and_2048_is_the_default() {
    assert_eq!(KeyBits::default().bits(), 2048);
    let weak = [1024, 2048, 3072].map(|bits| KeyBits::try_from(bits).unwrap().is_weak());
    assert_eq!(weak, [true, false, false]);
    assert!([0, 512, 2047, 4096].into_iter().all(|bits| KeyBits::try_from(bits).is_err()));
    assert_eq!(serde_json::to_string(&KeyBits::Bits3072).unwrap(), "3072");
    assert!(serde_json::from_str::<KeyBits>("512").is_err());
}

#[test]
fn key_ids_name_keys() {
    let other = SecretKey::generate(KeyBits::Bits1024, &mut rand::rng()).unwrap();
    assert_eq!(PublicKey::from_bytes(&HOST.to_bytes()).unwrap().id(), HOST.id());
    assert_ne!(other.public().id(), HOST.id());
    let text = String::from(HOST.id().clone());
    assert_eq!(KeyId::try_from(text.clone()).unwrap(), *HOST.id());
    for bad in [String::new(), text[1..].to_owned(), text.replace(|c: char| c.is_ascii_digit(), "G")] {
        assert!(KeyId::try_from(bad).is_err());
    }
}

#[test]
fn nothing_secret_prints() {
    let p = factor(&OWNER);
    let printed = format!("{:?} {:?} {:?}", *OWNER, OWNER.to_bytes(), OWNER.encrypt_zero(&mut rng()));
    let p_bytes = format!("{:?}", OWNER.to_bytes().expose());
    for secret in [p.to_string(), p.to_string_radix(16), p_bytes] {
        assert!(!printed.contains(&secret[..20]));
    }
    assert!(printed.contains("SecretBytes(<redacted>)"));
    assert!(printed.contains(HOST.id().as_str()));
}
