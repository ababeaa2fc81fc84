//! Every kernel that this processor has, against GMP, at every size, with halves up to their bounds.

use rug::integer::Order;

use super::*;

/// A fixed odd modulus of exactly `bits` bits, and numbers below its square; `salt` varies them.
fn number(bits: u32, salt: u32) -> Integer {
    let digits = (0..bits / 32).map(|i| (i + 1 + salt * 977).wrapping_mul(0x9e37_79b9) ^ salt);
    Integer::from_digits(&digits.collect::<Vec<u32>>(), Order::Lsf)
}

fn modulus(bits: u32, salt: u32) -> Integer {
    let mut m = number(bits, salt);
    m.set_bit(0, true).set_bit(bits - 1, true);
    m
}

fn check<const K: usize>(bits: u32, kernel: Kernel) {
    let moduli: [Integer; K] = array::from_fn(|k| modulus(bits, k as u32));
    let ring = Ring::with_kernel(moduli.clone(), kernel);
    let squares = moduli.map(|m| m.square());
    let value =
        |salt| -> [Integer; K] { array::from_fn(|k| number(2 * bits, salt + k as u32) % &squares[k]) };
    let largest: [Integer; K] = array::from_fn(|k| Integer::from(&squares[k] - 1u32));
    let smallest: [Integer; K] = array::from_fn(|k| Integer::from(k as u32));
    for a in [value(2), largest.clone(), smallest.clone()] {
        for b in [value(7), largest.clone(), smallest.clone(), a.clone()] {
            let mut words = ring.enter(array::from_fn(|k| &a[k]));
            let by = ring.enter(array::from_fn(|k| &b[k]));
            let mut want = a.clone();
            for _ in 0..5 {
                ring.multiply(&mut words, &by);
                want = array::from_fn(|k| Integer::from(&want[k] * &b[k]) % &squares[k]);
            }
            ring.lower(&mut words, 1 + 5 * 2);
            assert_eq!(ring.leave(&words), want, "{bits} bits, {kernel:?}");
        }
        let mut words = ring.enter(array::from_fn(|k| &a[k]));
        ring.square(&mut words);
        ring.square(&mut words);
        ring.lower(&mut words, 7);
        let want = array::from_fn(|k| Integer::from(&a[k] * &a[k]).square() % &squares[k]);
        assert_eq!(ring.leave(&words), want, "squares of {bits} bits, {kernel:?}");
    }
}

fn check_pow<const K: usize>(bits: u32, kernel: Kernel) {
    let moduli: [Integer; K] = array::from_fn(|k| modulus(bits, k as u32));
    let ring = Ring::with_kernel(moduli.clone(), kernel);
    let base: [Integer; K] = array::from_fn(|k| number(2 * bits, 5) % ring.modulus_squared(k));
    let exponents: [Integer; K] = array::from_fn(|k| number(192, 3 + k as u32));
    let limbs: [Vec<u64>; K] = array::from_fn(|k| exponents[k].to_digits(Order::Lsf));
    let mut words = ring.enter(array::from_fn(|k| &base[k]));
    ring.lower(&mut words, 2);
    let mut power = ring.pow(&words, array::from_fn(|k| &limbs[k][..]), 192);
    ring.multiply(&mut power, &ring.one());
    let want: [Integer; K] = array::from_fn(|k| {
        base[k].clone().pow_mod(&exponents[k], ring.modulus_squared(k)).expect("a positive exponent")
    });
    assert_eq!(ring.leave(&power), want, "{bits} bits, {kernel:?}");
    let mut power = ring.pow_public(&words, &limbs[0]);
    ring.multiply(&mut power, &ring.one());
    let want: [Integer; K] = array::from_fn(|k| {
        base[k].clone().pow_mod(&exponents[0], ring.modulus_squared(k)).expect("a positive exponent")
    });
    assert_eq!(ring.leave(&power), want, "{bits} bits, {kernel:?}");
}

#[test]
fn products_agree_with_gmp_in_every_size_and_kernel() {
    for kernel in Kernel::all() {
        for bits in [512, 1024, 1536, 2048, 3072] {
            check::<1>(bits, kernel);
        }
        for bits in [512, 1024, 1536] {
            check::<2>(bits, kernel);
        }
    }
}

#[test]
fn powers_agree_with_gmp() {
    for kernel in Kernel::all() {
        check_pow::<1>(2048, kernel);
        check_pow::<2>(512, kernel);
        check_pow::<2>(1024, kernel);
    }
}

#[test]
fn halves_at_their_bound_stay_below_twice_the_modulus() {
    for kernel in Kernel::all() {
        for bits in [512, 1024, 1536, 2048, 3072] {
            let m: Integer = (Integer::from(1) << bits) - 1u32;
            let ring = Ring::with_kernel([m.clone()], kernel);
            let bound = Integer::from(2 * &m).min(Integer::from(1) << ring.shape.r_bits());
            let edge = ring.element([(Integer::from(&bound - 1u32), Integer::from(&bound - 1u32))]);
            let (mut product, mut square) = (edge.clone(), edge.clone());
            ring.multiply(&mut product, &edge);
            ring.square(&mut square);
            let half = ring.shape.half;
            for words in [&product[..half], &product[half..], &square[..half], &square[half..]] {
                assert!(digits::join(words, ring.shape.radix) < bound, "{bits} bits, {kernel:?}");
            }
            let [value] = ring.leave(&edge);
            for mut words in [product, square] {
                ring.lower(&mut words, 1);
                let want = Integer::from(value.square_ref()) % ring.modulus_squared(0);
                assert_eq!(ring.leave(&words), [want], "{bits} bits, {kernel:?}");
            }
        }
    }
}

#[test]
fn a_debt_of_many_products_is_paid_at_once() {
    for kernel in Kernel::all() {
        let ring = Ring::with_kernel([modulus(1024, 1)], kernel);
        let three = ring.enter([&Integer::from(3)]);
        let mut words = three.clone();
        for _ in 0..1000 {
            ring.multiply(&mut words, &three);
        }
        ring.lower(&mut words, 1 + 1000 * 2);
        let want = Integer::from(3).pow_mod(&Integer::from(1001), ring.modulus_squared(0));
        assert_eq!(Ok(ring.leave(&words)[0].clone()), want);
    }
}

#[test]
fn rows_enter_as_the_numbers_they_encode() {
    let ring = Ring::new([modulus(2048, 4)]).unwrap();
    let value = number(4096, 9) % ring.modulus_squared(0);
    let mut row = vec![0; 512];
    value.write_digits(&mut row, Order::Msf);
    let mut words = vec![7; ring.width()];
    ring.enter_row(&row, &mut words);
    assert_eq!(words, ring.enter([&value]));
}

#[test]
fn table_powers_agree_with_plain_ones_for_every_window() {
    let ring = Ring::new([modulus(512, 1), modulus(512, 2)]).unwrap();
    let mut base = ring.enter([&Integer::from(12345), &Integer::from(678)]);
    ring.lower(&mut base, 2);
    let exponent = [u64::MAX, 0x0123_4567_89ab_cdef];
    for powers in [1, 50, 5_000] {
        let window = Window::for_powers(powers, 128, ring.width() * 8);
        let table = FixedBase::new(&ring, &base, 128, window);
        let [a, b] =
            [table.pow(&ring, &exponent), ring.pow(&base, [&exponent, &exponent], 128)].map(|mut power| {
                ring.multiply(&mut power, &ring.one());
                ring.leave(&power)
            });
        assert_eq!(a, b, "{window:?}");
    }
}

#[test]
fn windows_grow_with_the_work_and_stop_at_the_memory_bound() {
    let window = |powers| Window::for_powers(powers, 1024, 640).bits();
    assert_eq!([1, 20, 500, 10_000, 1_000_000].map(window), [2, 4, 7, 8, 8]);
}
