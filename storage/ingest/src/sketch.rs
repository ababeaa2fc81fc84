//! An estimate of the number of different values of a column, in two kilobytes.
//!
//! HyperLogLog (Flajolet, Fusy, Gandouet, Meunier 2007), with the estimator of Ertl, "New cardinality estimation algorithms
//! for HyperLogLog sketches" (2017), section 4, which needs no tables and no special case for few values. Its standard error
//! is 2.3 %; below a few hundred values it is almost exact.

/// Registers, a power of two: 1.04 / √2048 is the standard error.
const BITS: u32 = 11;
const REGISTERS: usize = 1 << BITS;

/// The state over all added values.
#[derive(Clone)]
pub(crate) struct Sketch(Box<[u8; REGISTERS]>);

impl Default for Sketch {
    fn default() -> Self {
        Self(Box::new([0; REGISTERS]))
    }
}

impl std::fmt::Debug for Sketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sketch({})", self.estimate())
    }
}

impl Sketch {
    /// Adds a value by its hash.
    #[inline]
    pub fn add(&mut self, hash: u64) {
        let register = &mut self.0[(hash >> (64 - BITS)) as usize];
        let rank = ((hash << BITS) | 1 << (BITS - 1)).leading_zeros() as u8 + 1;
        *register = (*register).max(rank);
    }

    /// Adds a value that is a number.
    #[inline]
    pub fn add_number(&mut self, bits: u64) {
        // the finisher of SplitMix64, because plain numbers are no hashes
        let mut z = bits.wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        self.add(z ^ (z >> 31));
    }

    /// Adds all values of another sketch.
    pub fn merge(&mut self, other: &Self) {
        for (register, other) in self.0.iter_mut().zip(&*other.0) {
            *register = (*register).max(*other);
        }
    }

    /// The estimated number of different values.
    pub fn estimate(&self) -> u64 {
        const RANKS: usize = 64 - BITS as usize;
        let mut count = [0_u32; RANKS + 2];
        for register in &*self.0 {
            count[usize::from(*register)] += 1;
        }
        let m = REGISTERS as f64;
        let mut z = m * tau(1.0 - f64::from(count[RANKS + 1]) / m);
        for count in count[1..=RANKS].iter().rev() {
            z = 0.5 * (z + f64::from(*count));
        }
        z += m * sigma(f64::from(count[0]) / m);
        (m * m / (2.0 * std::f64::consts::LN_2 * z)).round() as u64
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let last = z;
        z += x * y;
        y += y;
        if z == last {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let last = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == last {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_close_for_any_number_of_values() {
        for n in [0_u64, 1, 2, 10, 100, 1000, 5000, 10_000, 100_000, 1_000_000] {
            let mut halves = [Sketch::default(), Sketch::default()];
            for i in (0..n).chain(0..n / 2) {
                halves[(i % 2) as usize].add_number(i);
            }
            let [mut one, other] = halves;
            one.merge(&other);
            let error = one.estimate().abs_diff(n) as f64 / n.max(1) as f64;
            let most = if n <= 10 { 0.0 } else { 0.06 };
            assert!(error <= most, "{n}: {}", one.estimate());
        }
    }
}
