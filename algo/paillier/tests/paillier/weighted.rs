//! Weighted sums, mostly on numbers in the clear: the arithmetic is the same for every scheme.

use proptest::prelude::*;
use tributary_paillier::{Additive, Decrypt, Integer, Result, WeightedSum};

use crate::{HOST, OWNER, encrypt};

/// Hides nothing: a ciphertext is its plaintext.
#[derive(Clone, Debug)]
struct Clear;

impl Additive for Clear {
    type Ciphertext = Integer;

    fn plaintext_bits(&self) -> u32 {
        u32::MAX
    }

    fn row_bytes(&self) -> usize {
        unreachable!("sums encode nothing")
    }

    fn zero(&self) -> Integer {
        Integer::new()
    }

    fn add(&self, sum: &mut Integer, other: &Integer) {
        *sum += other;
    }

    fn add_plain(&self, sum: &mut Integer, plain: &Integer) -> Result<()> {
        *sum += plain;
        Ok(())
    }

    fn negate(&self, value: &mut Integer) {
        *value *= -1;
    }

    fn scale_vartime(&self, value: &mut Integer, factor: i64) {
        *value *= factor;
    }

    fn shift_left(&self, value: &mut Integer, bits: u32) {
        *value <<= bits;
    }

    fn encode_into(&self, _: &Integer, _: &mut [u8]) {
        unreachable!("sums encode nothing")
    }

    fn decode_rows(&self, _: &[u8]) -> Result<Vec<Integer>> {
        unreachable!("sums decode nothing")
    }
}

proptest! {
    #[test]
    fn the_sum_is_that_of_the_products(
        rows in proptest::collection::vec((any::<i64>(), any::<i64>()), 1..20),
        bits in 1u32..=63,
        expected in 1u64..100_000,
    ) {
        let mut sums = [(); 2].map(|()| WeightedSum::new(Clear, bits, expected).unwrap());
        let mut want = Integer::new();
        for (i, (plain, weight)) in rows.into_iter().enumerate() {
            let weight = weight % (1 << bits);
            sums[i % 2].add_vartime(weight, &Integer::from(plain)).unwrap();
            want += i128::from(plain) * i128::from(weight);
        }
        let [mut sum, other] = sums;
        sum.merge(&other);
        prop_assert_eq!(sum.finish(), want);
    }
}

#[test]
fn weights_at_their_bounds_are_exact_for_every_size() {
    for bits in 1..=63 {
        for expected in [1, 1_000, 1_000_000] {
            let largest = ((1u64 << bits) - 1) as i64;
            for weight in
                [largest, largest / 2, largest / 2 + 1, largest / 3, 1, 0].into_iter().flat_map(|w| [w, -w])
            {
                let mut sum = WeightedSum::new(Clear, bits, expected).unwrap();
                sum.add_vartime(weight, &Integer::from(7)).unwrap();
                assert_eq!(sum.finish(), 7 * i128::from(weight), "{bits} bits, {expected} rows");
            }
        }
    }
}

#[test]
fn a_weight_beyond_the_agreed_bits_is_refused() {
    let mut sum = WeightedSum::new(Clear, 8, 10).unwrap();
    for weight in [256, -256, i64::MAX, i64::MIN] {
        assert!(sum.add_vartime(weight, &Integer::from(1)).is_err());
    }
    assert!([0, 64].into_iter().all(|bits| WeightedSum::new(Clear, bits, 10).is_err()));
}

#[test]
fn encrypted_rows_are_weighed_like_clear_ones() {
    let mut sum = WeightedSum::new(HOST.clone(), 24, 100).unwrap();
    let rows = [(1_000_000, 16_777_215), (-7, -16_777_215), (5, 0), (12_345, -8_388_608), (-1, 3)];
    for (plain, weight) in rows {
        sum.add_vartime(weight, &encrypt(plain)).unwrap();
    }
    let want: i64 = rows.iter().map(|(plain, weight)| plain * weight).sum();
    assert_eq!(OWNER.decrypt(&sum.finish()), want);
}
