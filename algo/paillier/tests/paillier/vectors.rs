//! A key and ciphertexts computed by a separate program from the scheme's formulas alone.
//!
//! It drew two 512-bit primes and the rest, and computed `gᵐ·rⁿ` and `gᵐ·hsᵅ` modulo n² with plain modular
//! powers and `g = n + 1`; its own decryption, by Carmichael's function and without remainders modulo p and
//! q, gave m again.

use rand::{CryptoRng, RngCore};
use rug::integer::Order;
use tributary_paillier::{Additive, Decrypt, Encrypt, Integer, SecretKey};

const M: i128 = -123_456_789_012_345_678_901_234_567_890;
const KEY_ID: &str = "d8b2e8cc2be2d45b81389c93aae225df";
const P: &str = "\
    c0eb60ed801cf3574e9ac62aa1b018a7374cc47ee0d33d024285a3e8267133ee6acc5fa209ae3ad42d4cc06b3a1290fc\
    187e81ac2c112e79373020538dcceab3";
const Q: &str = "\
    cd49d75aa00e5a8798c0534571fed497c977626d74bac25af232f63858af1e1cc867d999ea65b49b5c5b2e3d96005273\
    49a21f6dfe21cf87a12272e5fb16b19b";
const HS: &str = "\
    41c594cd90efbb1435939320931b796e0efb7636d684179e48aadc6a8daaec85e73ccb322c47b88fba0d2b854b4a16a7\
    3c19e832156009313f2f4ad1db9c920f51abf236c6f5c1793bc5746901d561c244cc2853ebf0e7f3be60fe346edadd2b\
    270b3e747fb793ef8944f1d8a65d4e77da2179422a5cff9652308402c7313c9543c61141ceba49f6fca3c09a445663b4\
    6154634edd411cb1b605267f40d1d32f2220e58e136b16ecda6f5793275adfd54902ba9c0f9f23039794b486b2789ddc\
    0f2679b547be559088d71a14bf046f45f8f3fe03566c8b90dddeae921c871c73143ae1e56382c381ab40b1e26c2a3177\
    17cebe0432a7e76c182aa3050d65a20f";
const R: &str = "\
    19bb76e87cfd83367fe432a4602cd1fff9accd86b0d8513f15ff6eec5f1702c5fbf1adea1dabc8e1bea85e20492f8fd8\
    4f4b29a5eaaea211acf3c16f6f087a91a0c084d6f8eabdfad9de83a3c0f3a777393b90f7d2792d6a1c33588b6af7a1c0\
    c93f4ce0c22dba722f4959509f31995cbf6ef07c5d28b984f588c71930e9e230";
const TEXTBOOK: &str = "\
    5bc8b1edf610e8891dcb3d38c29cdd28017c76fb923e12acf0fff803ffa2d154b98b0b6030c451a582da86c12a56f281\
    cd628bd577b6cf9449d80b3d870a5ae4886e83f5ed64984bc0e162318100bfc8698484c89d329291c21aae3d505b2d1e\
    97a7c1e8244ccb5e6fa0d1576de827b908ddd941f8f8b4fa4ef763806ff5a8a1f9d7cacd8c07a7676acad86325413dad\
    8e5176d814191cdcfd56cd1eef4c0fccf1fc9743e6e8cc7ca5e90022b7f28890072320525ea20a6eb9577d60121d5064\
    353b5a1a6aced264334de6aeb9f54c42fb339643551bf00ec85274652121e5d5eef299fa0d16f7895010f4791c16e6d9\
    ee5e035c5e9b7edaca8a2fe817b59f00";
const ALPHA: &str = "\
    e36de50ae7a9c9d5e70b038abdb590ecbfed434a7dcc199e254fe34db9f08a8729d6e441e5235e03567136c1668f4661\
    3bd1b2c8229fb81a6938a325a1b33da0";
const BLINDED: &str = "\
    20cd1fd4da9e28616dd1cd8a1a15507e49669006072b5952db8a59ba1d9b7447eb4455c548c95c663f6b087de3e8c65d\
    097e530c8b8d7fcf530b2476c98e74ac82303ff163fde687f5dff45dafc92f3ca931147919ef73f4306d5405845431c3\
    75e5af48db83da4cf705aae461f05a071bebfaaad9244d9a2b567da0123f7db1ac1094fbcc210cdf9ef955969d2a6648\
    81c3b55a3884a08f6545e94c947b9ffe43a3c19c7e3069b7a76217c428abba494f180ae20c201459a8b3962cdc01095a\
    c8b0640fcd3c8bbf3c6f7e9493172d252231dfe5bbab5dd16ebb64c5d0a14104b8517d91066afca2e7b0b07d220cef6a\
    af3c499ae8bdeb83ccd7af2a1496f27a";

/// Gives out one number, and then ends the test.
struct Scripted(Vec<u64>);

impl RngCore for Scripted {
    fn next_u32(&mut self) -> u32 {
        unreachable!("exponents are drawn in whole limbs")
    }

    fn next_u64(&mut self) -> u64 {
        self.0.remove(0)
    }

    fn fill_bytes(&mut self, _: &mut [u8]) {
        unreachable!("exponents are drawn in whole limbs")
    }
}

impl CryptoRng for Scripted {}

fn number(hex: &str) -> Integer {
    Integer::from_str_radix(hex, 16).expect("hexadecimal digits")
}

fn bytes(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).expect("hexadecimal digits")
}

fn owner() -> SecretKey {
    let encoded = [vec![1, 4, 0], bytes(P), bytes(Q), bytes(HS)].concat();
    SecretKey::from_bytes(&encoded).expect("a valid key").for_encryptions(4)
}

#[test]
fn the_key_has_its_name() {
    assert_eq!(owner().public().id().as_str(), KEY_ID);
}

#[test]
fn foreign_ciphertexts_decrypt_and_encode_as_they_were() {
    let owner = owner();
    for row in [TEXTBOOK, BLINDED] {
        assert_eq!(owner.decrypt_rows(&bytes(row)).unwrap(), [M]);
        let values = owner.public().decode_rows(&bytes(row)).unwrap();
        assert_eq!(owner.public().encode_rows(&values), bytes(row));
    }
}

#[test]
fn the_same_randomness_gives_the_same_ciphertext() {
    let owner = owner();
    let alpha = || Scripted(number(ALPHA).to_digits(Order::Lsf));
    let own = owner.encrypt(&Integer::from(M), &mut alpha()).unwrap();
    let public = owner.public().encrypt(&Integer::from(M), &mut alpha()).unwrap();
    for value in [own, public] {
        assert_eq!(owner.public().encode_rows(&[value]), bytes(BLINDED));
    }
}

#[test]
fn plain_powers_modulo_n_squared_give_the_vector_too() {
    let n = number(P) * number(Q);
    let n_squared = n.clone().square();
    let power = |base: Integer, exponent: &Integer| base.pow_mod(exponent, &n_squared).expect("a unit");
    let value = power(Integer::from(&n + 1u32), &Integer::from(&n + M)) * power(number(R), &n) % &n_squared;
    assert_eq!(value, number(TEXTBOOK));
}
