//! What a plain word means: null, a truth value, a number or text (YAML 1.2, core schema).
//!
//! Stricter than the schema in two places where users and older parsers disagree: `007` is refused, because it is 7, an
//! octal number or text depending on the reader; so are numbers that are not finite.

use tributary_suggest::quoted;

use crate::node::Value;

/// The meaning of quoted text where a number or a truth value is expected: the same as without quotes, as in FATE, whose
/// reader turns `"10"` into a number there. `None` if it is text without quotes, too.
pub fn unquoted(text: &str) -> Option<Value> {
    plain(text).ok().filter(|value| matches!(value, Value::Bool(_) | Value::Int(_) | Value::Float(_)))
}

/// The value of a plain (unquoted, untagged) scalar, or why it has none.
pub(crate) fn plain(word: &str) -> Result<Value, String> {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    if is_infinite(word) {
        return Err(format!("{word} is not a finite number"));
    }
    if let Some(digits) = word.strip_prefix("0x").filter(|digits| all(digits, 16)) {
        return integer(word, i128::from_str_radix(digits, 16).ok());
    }
    if let Some(digits) = word.strip_prefix("0o").filter(|digits| all(digits, 8)) {
        return integer(word, i128::from_str_radix(digits, 8).ok());
    }
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    if all(digits, 10) {
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(format!(
                "{} is ambiguous: put it in quotes, or drop the leading zeros",
                quoted(word)
            ));
        }
        return integer(word, word.parse().ok());
    }
    float(word)
}

fn all(digits: &str, radix: u32) -> bool {
    !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix))
}

fn integer(word: &str, value: Option<i128>) -> Result<Value, String> {
    value.map(Value::Int).ok_or_else(|| format!("the integer {} has too many digits", quoted(word)))
}

/// A number with a point or an exponent; anything else is text.
fn float(word: &str) -> Result<Value, String> {
    let looks = word.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first))
        && word.chars().all(|letter| letter.is_ascii_digit() || "+-.eE".contains(letter));
    match word.parse::<f64>() {
        Ok(value) if looks && value.is_finite() => Ok(Value::Float(value)),
        Ok(_) if looks => Err(format!("the number {} is too large", quoted(word))),
        _ => Ok(Value::Text(word.to_owned())),
    }
}

fn is_infinite(word: &str) -> bool {
    let word = word.strip_prefix(['-', '+']).unwrap_or(word);
    matches!(word, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(word: &str, expected: Value) {
        assert_eq!(plain(word), Ok(expected), "{word}");
    }

    #[test]
    fn words_have_the_meaning_of_the_core_schema() {
        check("", Value::Null);
        check("~", Value::Null);
        check("True", Value::Bool(true));
        check("-12", Value::Int(-12));
        check("+12", Value::Int(12));
        check("0x1F", Value::Int(31));
        check("0o17", Value::Int(15));
        check("0", Value::Int(0));
        check("202307171452088269870", Value::Int(202307171452088269870));
        check("1e-4", Value::Float(1e-4));
        check(".5", Value::Float(0.5));
        check("2.", Value::Float(2.0));
        for text in
            ["yes", "on", "inf", "nan", "1.2.3", "2024-01-01", "1_000", "e5", "-", ".", "0x", "0xg", "12:30"]
        {
            check(text, Value::Text(text.to_owned()));
        }
    }

    #[test]
    fn numbers_that_readers_disagree_on_are_refused() {
        for word in ["007", "-00", ".inf", "-.INF", ".nan", "1e999", &"9".repeat(60)] {
            assert!(plain(word).is_err(), "{word}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_read_to_the_bit_however_it_is_written(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            for word in [format!("{number:?}"), format!("{number:e}"), format!("{number:.20e}")] {
                let read = plain(&word);
                let same = matches!(&read, Ok(Value::Float(read)) if read.to_bits() == bits);
                prop_assert!(same, "{} {:?}", word, read);
            }
        }
    }
}
