//! PostgreSQL's `numeric` on the wire: four numbers of 16 bits (how many digits follow, the weight of the first, sign, decimals), and
//! digits of base 10 000. Source: `numeric_send` in PostgreSQL's `numeric.c`.

const BASE: u128 = 10_000;
const NEGATIVE: u16 = 0x4000;

/// Appends a number with so many decimals.
pub(crate) fn write(value: i128, scale: u8, to: &mut Vec<u8>) {
    let magnitude = value.unsigned_abs();
    let one = 10u128.pow(u32::from(scale));
    let (whole, part) = (magnitude / one, magnitude % one);
    // At most 10 digits before the point, and 10 behind it.
    let mut digits = [0u16; 20];
    let mut first = 10;
    let mut rest = whole;
    while rest > 0 {
        first -= 1;
        digits[first] = (rest % BASE) as u16;
        rest /= BASE;
    }
    let mut end = 10;
    for (group, digit) in digits.iter_mut().skip(10).enumerate().take(usize::from(scale).div_ceil(4)) {
        let below = i32::from(scale) - 4 * (group as i32 + 1);
        *digit = match below >= 0 {
            true => part / 10u128.pow(below.unsigned_abs()) % BASE,
            false => part % 10u128.pow((below + 4).unsigned_abs()) * 10u128.pow(below.unsigned_abs()),
        } as u16;
        end += 1;
    }
    while end > first && digits[end - 1] == 0 {
        end -= 1;
    }
    while first < end && digits[first] == 0 {
        first += 1;
    }
    let weight = if first == end { 0 } else { 9 - first as i16 };
    let sign = if value < 0 { NEGATIVE } else { 0 };
    to.extend_from_slice(&((end - first) as u16).to_be_bytes());
    to.extend_from_slice(&weight.to_be_bytes());
    to.extend_from_slice(&sign.to_be_bytes());
    to.extend_from_slice(&u16::from(scale).to_be_bytes());
    digits[first..end].iter().for_each(|digit| to.extend_from_slice(&digit.to_be_bytes()));
}

/// The number, if it can be told with so many decimals: no infinity, not more decimals, not beyond 128 bits.
pub(crate) fn read(bytes: &[u8], scale: u8) -> Option<i128> {
    let (head, digits) = bytes.split_at_checked(8)?;
    let word = |at: usize| Some(u16::from_be_bytes([*head.get(at)?, *head.get(at + 1)?]));
    let (count, weight, sign) = (word(0)?, word(2)? as i16, word(4)?);
    if digits.len() != 2 * usize::from(count) || ![0, NEGATIVE].contains(&sign) {
        return None;
    }
    let mut value = 0i128;
    for (place, digit) in (0i32..).zip(digits.chunks_exact(2)) {
        let digit = i128::from(u16::from_be_bytes([*digit.first()?, *digit.last()?]));
        if digit >= BASE as i128 {
            return None;
        }
        let power = 4 * (i32::from(weight) - place) + i32::from(scale);
        let term = match power {
            _ if digit == 0 => 0,
            0..=38 => 10i128.checked_pow(power.unsigned_abs())?.checked_mul(digit)?,
            -3..=-1 => {
                let below = 10i128.pow(power.unsigned_abs());
                (digit % below == 0).then_some(digit / below)?
            }
            _ => return None,
        };
        value = value.checked_add(term)?;
    }
    Some(if sign == NEGATIVE { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: i128, scale: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(value, scale, &mut bytes);
        bytes
    }

    /// As a server sends them.
    #[test]
    fn numbers_have_postgresqls_form() {
        assert_eq!(written(0, 0), [0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(written(10_000, 0), [0, 1, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(written(-12_345_678, 4), [0, 2, 0, 0, 0x40, 0, 0, 4, 0x04, 0xd2, 0x16, 0x2e]);
        assert_eq!(written(5, 1), [0, 1, 0xff, 0xff, 0, 0, 0, 1, 0x13, 0x88]);
        assert_eq!(read(&[0, 1, 0xff, 0xff, 0, 0, 0, 1, 0x13, 0x88], 0), None, "0.5 is no whole number");
        assert_eq!(read(&[0, 0, 0, 0, 0xc0, 0, 0, 0], 0), None, "NaN");
    }

    proptest! {
        #[test]
        fn every_decimal_comes_back(value in any::<i128>(), scale in 0u8..=38) {
            let value = value % 10i128.pow(38);
            prop_assert_eq!(read(&written(value, scale), scale), Some(value));
        }

        #[test]
        fn any_bytes_are_a_number_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60), scale in 0u8..=38) {
            let _ = read(&bytes, scale);
        }
    }
}
