//! Which columns of a table a job means: by name, by position, or by the name that other parties know.

use std::collections::BTreeSet;

use tributary_core::schema::Purpose;
use tributary_core::{Error, Field, Party, Result, TableSchema};

/// Features of a table in order: what positions and anonymous names count.
pub(crate) fn features(schema: &TableSchema) -> impl Iterator<Item = &Field> {
    schema.fields().iter().filter(|field| matches!(field.purpose, Purpose::Value | Purpose::Category))
}

/// A column's name for other parties: role, party and position.
pub(crate) fn anonymous(party: &Party, position: usize) -> String {
    format!("{party}_x{position}")
}

/// The column that a name of no column here was meant for, where it may be a column of another party. Names that are short, or differ in
/// numbers alone (x1 and x10) or by a whole word, often are that.
pub(crate) fn misspelt<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LEAST: usize = 4;
    let near = tributary_document::nearest(name, known)?;
    let letters = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "").to_lowercase();
    let is_word_apart = name.len().abs_diff(near.len()) > name.len() / 3;
    (name.len() >= LEAST && !is_word_apart && letters(name) != letters(near)).then_some(near)
}

/// The place of the first item that occurs earlier in the list.
pub(crate) fn repeated<T: Ord>(items: impl IntoIterator<Item = T>) -> Option<usize> {
    let mut seen = BTreeSet::new();
    items.into_iter().position(|item| !seen.insert(item))
}

/// How the names in a job's parameters are to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Naming<'a> {
    /// Whose columns.
    pub own: &'a Party,
    /// The columns there are.
    pub schema: &'a TableSchema,
    /// Whether names are anonymous ones.
    pub use_anonymous: bool,
}

impl Naming<'_> {
    /// The column that a name stands for: its own, or the anonymous one of this party.
    pub(crate) fn find(&self, given: &str) -> Option<String> {
        let mut known = features(self.schema).enumerate();
        let matches = |at: usize, field: &Field| match self.use_anonymous {
            true => anonymous(self.own, at) == given,
            false => field.name == given,
        };
        known.find(|(at, field)| matches(*at, field)).map(|(_, field)| field.name.clone())
    }

    /// As [`Self::find`]; the error names what the table has.
    pub(crate) fn column(&self, key: &str, given: &str) -> Result<String> {
        self.find(given).ok_or_else(|| {
            let known: Vec<&str> = features(self.schema).map(|f| f.name.as_str()).collect();
            let help =
                tributary_document::suggestion(given, known).map_or(String::new(), |h| format!(" ({h})"));
            Error::invalid(format!("{key}: no feature {given:?}{help}"))
        })
    }

    /// The column at a position.
    fn position(&self, key: &str, at: usize) -> Result<String> {
        let found = features(self.schema).nth(at).map(|f| f.name.clone());
        found.ok_or_else(|| {
            Error::invalid(format!("{key} {at}: the table has {} features", features(self.schema).count()))
        })
    }

    /// The columns that a list of names or of positions stands for; nothing if neither is given.
    pub(crate) fn chosen(
        &self,
        (key, names): (&str, &Option<Vec<String>>),
        (positions_key, positions): (&str, &Option<Vec<usize>>),
    ) -> Result<Option<Vec<String>>> {
        match (names, positions) {
            (Some(names), _) => names.iter().map(|n| self.column(key, n)).collect::<Result<_>>().map(Some),
            (None, Some(at)) => {
                at.iter().map(|at| self.position(positions_key, *at)).collect::<Result<_>>().map(Some)
            }
            (None, None) => Ok(None),
        }
    }

    /// All columns of numbers but for those named.
    pub(crate) fn numbers_without(&self, key: &str, skipped: &Option<Vec<String>>) -> Result<Vec<String>> {
        let skipped = self.chosen((key, skipped), ("", &None))?.unwrap_or_default();
        let numbers = features(self.schema).filter(|field| field.data_type.is_numeric());
        Ok(numbers.map(|field| field.name.clone()).filter(|name| !skipped.contains(name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_told_from_a_column_of_another_party() {
        let of = |name: &str| misspelt(name, ["income", "x1", "radius", "sex"].into_iter());
        assert_eq!(
            (of("incme"), of("Incomes"), of("raduis")),
            (Some("income"), Some("income"), Some("radius"))
        );
        for other in ["x10", "x2", "mean_radius", "age", "height", "radius2", "set"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
