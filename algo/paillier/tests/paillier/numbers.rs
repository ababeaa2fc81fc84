//! Fixed-point numbers.

use proptest::prelude::*;
use tributary_paillier::{FixedPoint, Integer};

proptest! {
    #[test]
    fn decoding_gives_the_nearest_step(number in -1e6f64..1e6, fraction_bits in 0u32..30) {
        let code = FixedPoint::new(20, fraction_bits).unwrap();
        let error = (code.decode(code.encode(number).unwrap()) - number).abs();
        prop_assert!(error <= 0.5 / f64::from(1u32 << fraction_bits));
    }

    #[test]
    fn products_have_the_scale_of_times(a in -100f64..100.0, b in -100f64..100.0) {
        let (left, right) = (FixedPoint::new(8, 30).unwrap(), FixedPoint::new(7, 20).unwrap());
        let product = left.encode(a).unwrap() * right.encode(b).unwrap();
        prop_assert!((left.times(right).unwrap().decode(product) - a * b).abs() < 1e-3);
    }
}

#[test]
fn the_range_ends_just_below_the_integer_bits() {
    let code = FixedPoint::new(3, 2).unwrap();
    assert_eq!(
        [7.75, -7.75, 0.125, 0.375, -0.0].map(|number| code.encode(number).unwrap()),
        [31, -31, 0, 2, 0]
    );
    for number in [7.875, 8.0, -8.0, 1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
        assert!(code.encode(number).is_err(), "{number}");
    }
}

#[test]
fn the_widest_encoding_still_fits() {
    let code = FixedPoint::new(FixedPoint::MAX_BITS - 1, 1).unwrap();
    let number = -(2f64.powi(118));
    assert_eq!(code.decode(code.encode(number).unwrap()), number);
}

#[test]
fn impossible_widths_are_refused_from_wherever_they_come() {
    for (integer_bits, fraction_bits) in [(0, 0), (100, 21), (u32::MAX, 1)] {
        assert!(FixedPoint::new(integer_bits, fraction_bits).is_err());
        let json = format!(r#"{{"integer_bits":{integer_bits},"fraction_bits":{fraction_bits}}}"#);
        assert!(serde_json::from_str::<FixedPoint>(&json).is_err());
    }
    let code = FixedPoint::new(10, 20).unwrap();
    let json = serde_json::to_string(&code).unwrap();
    assert_eq!(serde_json::from_str::<FixedPoint>(&json).unwrap(), code);
}

#[test]
fn sums_beyond_what_their_terms_allow_are_refused() {
    let code = FixedPoint::new(4, 4).unwrap();
    assert_eq!(code.decode_sum(&Integer::from(-3 * 256), 3).unwrap(), -48.0);
    assert!(code.decode_sum(&Integer::from(3 * 256 + 1), 3).is_err());
    assert!(code.decode_sum(&(Integer::from(1) << 300u32), u64::MAX).is_err());
}
