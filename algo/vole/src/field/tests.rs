//! Both arithmetics against the definition, each other, and published products.

use proptest::prelude::*;

use super::*;

/// The definition, bit by bit.
fn by_definition(a: u128, b: u128) -> u128 {
    let mut product = 0;
    for bit in (0..128).rev() {
        let carry = product >> 127;
        product = (product << 1) ^ (carry * 0x87);
        product ^= a * (b >> bit & 1);
    }
    product
}

#[test]
fn every_arithmetic_multiplies_by_the_definition() {
    let edges = [0, 1, 2, 0x87, 1 << 63, 1 << 64, 1 << 127, u64::MAX.into(), u128::MAX];
    for arithmetic in Arithmetic::all() {
        for a in edges {
            for b in edges {
                assert_eq!(arithmetic.multiply(Gf128(a), Gf128(b)).0, by_definition(a, b), "{arithmetic:?}");
            }
        }
    }
}

/// GCM writes the coefficient of x^0 as the highest bit of the first byte: ours are its bits in reverse.
fn of_gcm(hex: &str) -> Gf128 {
    let bytes: [u8; 16] = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap();
    Gf128(u128::from_be_bytes(bytes).reverse_bits())
}

/// The GCM specification (McGrew and Viega), test case 2: GHASH of one block and its length, under H.
#[test]
fn every_arithmetic_gives_the_published_products() {
    let h = of_gcm("66e94bd4ef8a2c3b884cfa59ca342b2e");
    let c = of_gcm("0388dace60b6a392f328c2b971b2fe78");
    let lengths = of_gcm("00000000000000000000000000000080");
    for arithmetic in Arithmetic::all() {
        let x1 = arithmetic.multiply(c, h);
        assert_eq!(x1, of_gcm("5e2ec746917062882c85b0685353deb7"), "{arithmetic:?}");
        let ghash = arithmetic.multiply(x1 + lengths, h);
        assert_eq!(ghash, of_gcm("f38cbb1ad69223dcc3457ae5b6b0f885"), "{arithmetic:?}");
    }
}

proptest! {
    #[test]
    fn every_arithmetic_gives_the_same(a: u128, b: u128, c: u128) {
        for arithmetic in Arithmetic::all() {
            let times = |a, b| arithmetic.multiply(Gf128(a), Gf128(b));
            prop_assert_eq!(times(a, b).0, by_definition(a, b));
            prop_assert_eq!(times(a, b) + times(a, c), times(a, b ^ c));
            let mut to = [Gf128(c); 3];
            arithmetic.add_scaled(&mut to, &[Gf128(a), Gf128(b)], Gf128(c));
            prop_assert_eq!(to, [Gf128(c) + times(a, c), Gf128(c) + times(b, c), Gf128(c)]);
        }
    }

    #[test]
    fn a_filter_in_stretches_is_one_filter(seed: u64, cut in 0usize..20) {
        let number = |i: u64| Gf128(u128::from(seed ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let values: Vec<[Gf128; 2]> = (0..20).map(|i| [number(2 * i), number(2 * i + 1)]).collect();
        let coefficients: Vec<[Gf128; MEMORY]> =
            (0..20).map(|t| std::array::from_fn(|j| number(100 + 4 * t + j as u64))).collect();
        let mut expected = values.clone();
        for t in 0..20 {
            for j in 0..MEMORY.min(t) {
                let earlier = expected[t - 1 - j];
                for (value, earlier) in expected[t].iter_mut().zip(earlier) {
                    *value += coefficients[t][j] * earlier;
                }
            }
        }
        for arithmetic in Arithmetic::all() {
            let (mut found, mut state) = (values.clone(), [[Gf128::ZERO; 2]; MEMORY]);
            let (first, second) = found.split_at_mut(cut);
            arithmetic.filter(&mut state, first, &coefficients[..cut]);
            arithmetic.filter(&mut state, second, &coefficients[cut..]);
            prop_assert_eq!(&found, &expected);
        }
    }
}
