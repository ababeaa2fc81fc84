//! The linear code that makes a short random-looking vector of a long sparse one: systematic, rate one half, expand-convolute
//! (Raghuraman, Rindal and Tanguy, CRYPTO 2023, eprint 2023/882).
//!
//! For a sparse vector (e, d), each half k long, the result is e + B·T·d. T is a recursive convolution: each value gets a
//! combination of the [`MEMORY`] before it, with coefficients that are uniform in GF(2^128). B adds up 21 values for each
//! result, one at a random place in each of 21 equal regions.
//!
//! **Coefficients must be in the large field.** With a code over GF(2) each bit of a sparse entry would be encoded by itself,
//! at the same places: 128 samples that share their noise positions. With more bits than positions these positions follow by
//! linear algebra (Metzner and Kapturowski, 1990). The convolution is where the field is mixed. The paper treats GF(2); that
//! the coefficients are uniform in the large field is our variant, whose distance is counted in decision 33. libOTe's codes for such
//! fields (`RegularEcFieldCode`, 2026) have the same memory of 4.
//!
//! The code is public, and the same for all vectors of a session.

use crate::field::{self, Gf128, MEMORY};
use crate::prg::Stream;

/// Values that are added for each result.
const WEIGHT: usize = 21;

/// Blocks of randomness, or steps of the convolution, that are drawn in one go.
const BATCH: usize = 32;

/// Region r draws its places from number (r + 1) · 2^64 of the stream on; the convolution draws from the start.
const PLACES: u32 = 64;

/// A code, as the number that all its choices are drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Code(u128);

impl Code {
    /// From a public random number.
    pub fn new(seed: u128) -> Self {
        Self(seed)
    }

    /// Encodes `W` vectors at once, in place: 2k values become k.
    pub(crate) fn encode<const W: usize>(self, values: &mut Vec<[Gf128; W]>) {
        let half = values.len() / 2;
        let (results, dense) = values.split_at_mut(half);
        self.convolve(dense);
        self.expand(dense, results);
        values.truncate(half);
    }

    fn convolve<const W: usize>(self, values: &mut [[Gf128; W]]) {
        let (mut stream, mut drawn) = (Stream::new(self.0), [0; MEMORY * BATCH]);
        let mut state = [[Gf128::ZERO; W]; MEMORY];
        let mut coefficients = [[Gf128::ZERO; MEMORY]; BATCH];
        for values in values.chunks_mut(BATCH) {
            stream.fill(&mut drawn);
            for (to, from) in coefficients.as_flattened_mut().iter_mut().zip(drawn) {
                *to = Gf128(from);
            }
            field::filter(&mut state, values, &coefficients);
        }
    }

    /// Region by region: one fits the second-level cache, all of them do not, and results come in order.
    fn expand<const W: usize>(self, dense: &[[Gf128; W]], results: &mut [[Gf128; W]]) {
        let start = |region: usize| dense.len() * region / WEIGHT;
        for region in 0..WEIGHT {
            let from = &dense[start(region)..start(region + 1)];
            let mut stream = Stream::at(self.0, (region as u128 + 1) << PLACES);
            let mut drawn = [0; BATCH];
            for results in results.chunks_mut(4 * BATCH) {
                stream.fill(&mut drawn);
                for (result, random) in results.iter_mut().zip(drawn.iter().flat_map(words)) {
                    let place = (u64::from(random) * from.len() as u64) >> 32;
                    let value = from.get(place as usize).unwrap_or(&[Gf128::ZERO; W]);
                    result.iter_mut().zip(value).for_each(|(result, value)| *result += *value);
                }
            }
        }
    }
}

fn words(block: &u128) -> [u32; 4] {
    [*block as u32, (block >> 32) as u32, (block >> 64) as u32, (block >> 96) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(key: u128, length: usize) -> Vec<[Gf128; 1]> {
        let mut numbers = vec![0; length];
        Stream::new(key).fill(&mut numbers);
        numbers.into_iter().map(|number| [Gf128(number)]).collect()
    }

    #[test]
    fn a_code_is_linear_over_the_field_and_halves() {
        for half in [1, 20, 21, 22, 31, 64, 500] {
            let code = Code::new(5);
            let (x, y, factor) = (vector(1, 2 * half), vector(2, 2 * half), Gf128(0x1234_5678 << 70 | 3));
            let mut both: Vec<[Gf128; 1]> = x.iter().zip(&y).map(|(x, y)| [x[0] * factor + y[0]]).collect();
            let (mut x, mut y) = (x, y);
            for values in [&mut x, &mut y, &mut both] {
                code.encode(values);
                assert_eq!(values.len(), half);
            }
            let sum: Vec<[Gf128; 1]> = x.iter().zip(&y).map(|(x, y)| [x[0] * factor + y[0]]).collect();
            assert!(both == sum, "half {half}");
        }
    }

    #[test]
    fn vectors_side_by_side_are_encoded_as_alone() {
        let (mut x, mut y) = (vector(1, 600), vector(2, 600));
        let mut both: Vec<[Gf128; 2]> = x.iter().zip(&y).map(|(x, y)| [x[0], y[0]]).collect();
        for values in [&mut x, &mut y] {
            Code::new(5).encode(values);
        }
        Code::new(5).encode(&mut both);
        assert!(both.iter().zip(x.iter().zip(&y)).all(|(both, (x, y))| *both == [x[0], y[0]]));
    }

    /// One entry anywhere in the half that is mixed reaches nearly every result: each is a sum of 21 places, all of which
    /// would have to lie before it. And its bits are mixed: two entries of one bit each give results that differ in about
    /// half of all bits.
    #[test]
    fn an_entry_reaches_all_results_and_all_bits() {
        let half = 2_000;
        let encode = |place: usize, value: u128| {
            let mut values = vec![[Gf128::ZERO]; 2 * half];
            values[half + place] = [Gf128(value)];
            Code::new(11).encode(&mut values);
            values
        };
        let (one, other) = (encode(1_000, 1), encode(1_000, 2));
        let reached = one.iter().filter(|value| value[0] != Gf128::ZERO).count();
        assert!(reached > half - 10, "{reached}");
        let bits: u32 = one.iter().zip(&other).map(|(x, y)| (x[0] + y[0]).0.count_ones()).sum();
        let share = f64::from(bits) / (128 * half) as f64;
        assert!((0.45..0.55).contains(&share), "{share}");
    }
}
