//! Which tables and models: names with `*` and `?`.

use std::fmt;
use std::str::FromStr;

use tributary_core::{Error, Result, Shown, TableName};

/// `namespace/name`, each with `*` for any characters and `?` for one; or a namespace alone, for all its tables. Capital and small
/// letters differ, as in names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    namespace: String,
    name: Option<String>,
}

impl Pattern {
    /// Whether a table is meant.
    pub fn fits(&self, table: &TableName) -> bool {
        let name = self.name.as_ref().is_none_or(|pattern| fits(pattern.as_bytes(), table.name.as_bytes()));
        name && fits(self.namespace.as_bytes(), table.namespace.as_bytes())
    }
}

/// The name of models, with `*` for any characters and `?` for one. Versions do not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelPattern(String);

impl ModelPattern {
    /// Whether models of this name are meant.
    pub fn fits(&self, model_id: &str) -> bool {
        fits(self.0.as_bytes(), model_id.as_bytes())
    }
}

impl fmt::Display for ModelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ModelPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = |c: char| c.is_ascii_alphanumeric() || "_-.*?".contains(c);
        if text.is_empty() || !text.chars().all(known) {
            let text = Shown::new(text);
            let expected = "the name of models without a version, where * and ? stand for other characters";
            return Err(Error::invalid(format!("models {text:?}, expected {expected}")));
        }
        Ok(Self(text.to_owned()))
    }
}

/// In steps proportional to the product of both lengths: only the last `*` is ever tried again.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[read] => (at, read) = (at + 1, read + 1),
            _ => {
                let Some((after, taken)) = star else { return false };
                star = Some((after, taken + 1));
                (at, read) = (after + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            None => f.write_str(&self.namespace),
            Some(name) => write!(f, "{}/{name}", self.namespace),
        }
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (namespace, Some(name)),
            None => (text, None),
        };
        // A name of the same form must be one of a table: whatever has another character fits none.
        let stands_for = |part: &str| part.replace(['*', '?'], "x");
        TableName::new(stands_for(namespace), stands_for(name.unwrap_or("x"))).map_err(|_| {
            let text = Shown::new(text);
            Error::invalid(format!("tables {text:?}, expected NAMESPACE/NAME or NAMESPACE, where * and ? stand for other characters"))
        })?;
        Ok(Self { namespace: namespace.to_owned(), name: name.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pattern: &str, table: &str, expected: bool) {
        let (namespace, name) = table.split_once('/').unwrap();
        let table = TableName::new(namespace, name).unwrap();
        assert_eq!(pattern.parse::<Pattern>().unwrap().fits(&table), expected, "{pattern} {table}");
    }

    #[test]
    fn stars_and_marks_stand_for_characters_of_one_part() {
        check("loans/2026", "loans/2026", true);
        check("loans/2026", "loans/2027", false);
        check("loans/*", "loans/2026", true);
        check("loans", "loans/2026", true);
        check("loans", "loans.old/2026", false);
        check("lo*s", "loans/x", true);
        check("*", "any/thing", true);
        check("loans/20??", "loans/2026", true);
        check("loans/20??", "loans/20266", false);
        check("loans/a*b*c", "loans/a-bb-c", true);
        check("loans/a*b*c", "loans/a-bb-d", false);
        check("Loans", "loans/x", false);
        check("*/2026", "loans/2026", true);
        check("l*/2026", "l/2026", true);
    }

    #[test]
    fn what_fits_no_table_is_refused() {
        for wrong in ["", "/", "a/", "/b", "a/b/c", "a b", "[ab]", "../x", "a/.b", "ü", &"a".repeat(129)] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }

    /// The definition, which takes too long for long texts.
    fn slowly(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], text) => text.is_empty(),
            ([b'*', rest @ ..], text) => (0..=text.len()).any(|skip| slowly(rest, &text[skip..])),
            ([_, ..], []) => false,
            ([byte, pattern @ ..], [first, text @ ..]) => {
                (*byte == b'?' || byte == first) && slowly(pattern, text)
            }
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_as_defined(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(fits(pattern.as_bytes(), text.as_bytes()), slowly(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
