//! From nodes to typed values: the only way to read documents, so that every reader reports mistakes in the same way.
//!
//! A reader asks for the keys that it knows and gets `None` for each that is absent, null or wrong; only a wrong one is a
//! problem. So a reader never stops early, and its result is valid only if [`Collector::finish`] returns it. An explicit null
//! means absence everywhere, as in the job files that this format comes from.

use std::fmt::Display;
use std::ops::RangeInclusive;

use tributary_suggest::{nearest, quoted, suggestion};

use crate::node::{Entry, Map, Node, Position, Step, Value};
use crate::problems::Collector;
use crate::scalar::unquoted;

/// A place in a document: its path, its position, and the value there, if any.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    node: Option<&'a Node>,
    at: Position,
    path: String,
    /// Whether its problems may repeat its value.
    shows: bool,
    report: &'a Collector,
}

/// The keys of one map, taken one by one; keys that are never asked for are problems.
#[derive(Debug)]
pub struct Keys<'a> {
    item: Item<'a>,
    map: Option<&'a Map>,
    asked: Vec<&'static str>,
}

impl<'a> Item<'a> {
    /// The whole document.
    pub fn root(node: &'a Node, report: &'a Collector) -> Self {
        Self { node: Some(node), at: node.at, path: String::new(), shows: report.shows_values(), report }
    }

    /// The same item; its problems may repeat its value even if the document [hides](Collector::hiding_values) values.
    #[must_use]
    pub fn shown(mut self) -> Self {
        self.shows = true;
        self
    }

    /// Where problems of this item are reported: at its key, or at the element of a list.
    pub fn at(&self) -> Position {
        self.at
    }

    /// The path from the top of the document.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the document has the key, even with the value null.
    pub fn is_written(&self) -> bool {
        self.node.is_some()
    }

    /// Whether there is a value, of any type.
    pub fn is_given(&self) -> bool {
        self.given().is_some()
    }

    /// Reports a problem of this item.
    pub fn problem(&self, message: impl Into<String>) {
        self.report.add(self.at, &self.path, message, None);
    }

    /// Reports a problem and how to fix it.
    pub fn problem_with(&self, message: impl Into<String>, help: impl Into<Option<String>>) {
        self.report.add(self.at, &self.path, message, help.into());
    }

    /// Reports a name that is none of the known ones, suggesting the nearest.
    pub fn unknown<'k>(&self, what: &str, name: &str, known: impl IntoIterator<Item = &'k str>) {
        self.problem_with(format!("unknown {what} {}", quoted(name)), self.suggestion(name, known));
    }

    /// The item some steps below. If nothing is there, an absent item at the nearest position that the document has.
    pub fn below(&self, steps: &[Step]) -> Item<'a> {
        steps.iter().fold(self.clone(), |item, step| {
            let (at, node) = match (item.node.map(|node| &node.value), step) {
                (Some(Value::Map(map)), Step::Key(key)) => match map.get(key) {
                    Some(entry) => (entry.at, Some(&entry.node)),
                    None => (item.at, None),
                },
                (Some(Value::List(nodes)), Step::Index(index)) => match nodes.get(*index) {
                    Some(node) => (node.at, Some(node)),
                    None => (item.at, None),
                },
                _ => (item.at, None),
            };
            Item { node, at, path: step.under(&item.path), shows: item.shows, report: item.report }
        })
    }

    /// The text, if it is text; anything else is no problem.
    pub fn if_text(&self) -> Option<&'a str> {
        match self.given()? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Any text.
    pub fn text(&self) -> Option<&'a str> {
        match self.given()? {
            Value::Text(text) => Some(text),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                self.expected_with("text", "put it in quotes");
                None
            }
            _ => self.expected("text"),
        }
    }

    /// An id: text, or an integer that lost its quotes.
    pub fn id(&self) -> Option<String> {
        match self.given()? {
            Value::Int(number) => Some(number.to_string()),
            Value::Text(text) if text.is_empty() => self.expected("an id"),
            _ => self.text().map(str::to_owned),
        }
    }

    /// `true` or `false`; also `1` and `0`, and any of them in quotes.
    pub fn bool(&self) -> Option<bool> {
        match self.out_of_quotes()? {
            Value::Bool(value) => Some(value),
            Value::Int(value @ (0 | 1)) => Some(value == 1),
            _ => self.expected("true or false"),
        }
    }

    /// An integer within a range, in quotes or not.
    pub fn int_in<T>(&self, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i128> + PartialOrd + Display + Copy,
    {
        let number = match self.out_of_quotes()? {
            Value::Int(number) => T::try_from(number).ok().filter(|number| range.contains(number)),
            _ => None,
        };
        number.or_else(|| self.expected(&format!("an integer from {} to {}", range.start(), range.end())))
    }

    /// A number within a range, in quotes or not; integers are accepted.
    pub fn float_in(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let number = match self.out_of_quotes()? {
            Value::Float(number) => Some(number),
            Value::Int(number) => Some(number as f64),
            _ => None,
        };
        number
            .filter(|number| range.contains(number))
            .or_else(|| self.expected(&format!("a number from {} to {}", range.start(), range.end())))
    }

    /// Text, a number or a truth value, read from its text: `parse` returns `None` for text that is not `expected`.
    pub fn scalar<T>(&self, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let parsed = match self.given()? {
            Value::Text(text) => parse(text),
            Value::Bool(value) => parse(&value.to_string()),
            Value::Int(number) => parse(&number.to_string()),
            Value::Float(number) => parse(&format!("{number:?}")), // 2.0 is no integer
            Value::Null | Value::List(_) | Value::Map(_) => None,
        };
        parsed.or_else(|| self.expected(expected))
    }

    /// The value of one of some names.
    pub fn choice<T: Copy>(&self, names: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let known = || names.iter().map(|(name, _)| *name);
        let found = names.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            let list = known().collect::<Vec<_>>().join(", ");
            let help = nearest(text, known()).map(|near| format!("did you mean {}?", quoted(near)));
            self.problem_with(self.got(&format!("one of {list}")), help);
        }
        found
    }

    /// The elements of a list; none if absent.
    pub fn list(&self) -> Vec<Item<'a>> {
        match self.given() {
            Some(Value::List(nodes)) => {
                (0..nodes.len()).map(|index| self.below(&[Step::Index(index)])).collect()
            }
            Some(_) => self.expected("a list").unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// The elements of a non-empty list; none if absent.
    pub fn non_empty_list(&self) -> Vec<Item<'a>> {
        if matches!(self.given(), Some(Value::List(nodes)) if nodes.is_empty()) {
            self.problem("expected a list of at least one, got an empty one");
        }
        self.list()
    }

    /// The elements of a list, or the value itself as the only one; none if absent.
    pub fn one_or_many(&self) -> Vec<Item<'a>> {
        match self.given() {
            Some(Value::List(_)) => self.list(),
            Some(_) => vec![self.clone()],
            None => Vec::new(),
        }
    }

    /// The entries of a map whose keys are the writer's own names; none if absent.
    pub fn entries(&self) -> Vec<(&'a str, Item<'a>)> {
        let entries = self.as_map().map_or(&[][..], Map::entries);
        entries.iter().map(|entry| (entry.key.as_str(), self.entry(entry))).collect()
    }

    /// The keys of a map; none if it is something else.
    pub fn keys(&self) -> Vec<&'a str> {
        match self.given() {
            Some(Value::Map(map)) => map.entries.iter().map(|entry| entry.key.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// Reads a map whose keys are known: `read` takes each of them, and those it does not take are problems. An absent map
    /// reads as one without keys, but its required keys are not reported as missing.
    pub fn map<T>(&self, read: impl FnOnce(&mut Keys<'a>) -> T) -> T {
        let mut keys = Keys { item: self.clone(), map: self.as_map(), asked: Vec::new() };
        let read = read(&mut keys);
        keys.finish();
        read
    }

    /// The value as JSON, null if absent.
    pub fn json(&self) -> Option<serde_json::Value> {
        let Some(node) = self.node else {
            return Some(serde_json::Value::Null);
        };
        let found = node.to_json();
        if let Err(at) = &found {
            let help = "put it in quotes if it is an id".to_owned();
            self.report.add(*at, &self.path, "the integer has more than 64 bits", Some(help));
        }
        found.ok()
    }

    /// Number of values here and below: what a copy of them would cost.
    pub fn weight(&self) -> usize {
        self.node.map_or(0, |node| node.weight().0)
    }

    /// Help for a wrong name: the nearest known one, else the known ones if they are few. `None` once there are many
    /// problems: each search costs time, and a file with so many mistakes needs more than a spelling fix.
    pub fn suggestion<'k>(&self, name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
        if self.report.wants_help() { suggestion(name, known) } else { None }
    }

    /// The value; a number or truth value in quotes without its quotes.
    fn out_of_quotes(&self) -> Option<Value> {
        let given = self.given()?;
        match given {
            Value::Text(text) => unquoted(text).or_else(|| Some(given.clone())),
            given => Some(given.clone()),
        }
    }

    fn given(&self) -> Option<&'a Value> {
        self.node.map(|node| &node.value).filter(|value| **value != Value::Null)
    }

    fn as_map(&self) -> Option<&'a Map> {
        match self.given()? {
            Value::Map(map) => Some(map),
            _ => self.expected("a map"),
        }
    }

    fn entry(&self, entry: &'a Entry) -> Item<'a> {
        let path =
            if self.path.is_empty() { entry.key.clone() } else { format!("{}.{}", self.path, entry.key) };
        Item { node: Some(&entry.node), at: entry.at, path, shows: self.shows, report: self.report }
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        self.problem(self.got(what));
        None
    }

    fn expected_with(&self, what: &str, help: &str) {
        self.problem_with(self.got(what), help.to_owned());
    }

    fn got(&self, expected: &str) -> String {
        let got = match self.given() {
            None => "nothing".to_owned(),
            Some(Value::Null) => "null".to_owned(),
            Some(Value::Bool(_)) if !self.shows => "true or false".to_owned(),
            Some(Value::Int(_) | Value::Float(_)) if !self.shows => "a number".to_owned(),
            Some(Value::Text(text)) if !self.shows => {
                if text.is_empty() { "no text" } else { "text" }.to_owned()
            }
            Some(Value::Bool(value)) => value.to_string(),
            Some(Value::Int(value)) => value.to_string(),
            Some(Value::Float(value)) => value.to_string(),
            Some(Value::Text(value)) => quoted(value),
            Some(Value::List(_)) => "a list".to_owned(),
            Some(Value::Map(_)) => "a map".to_owned(),
        };
        format!("expected {expected}, got {got}")
    }
}

impl<'a> Keys<'a> {
    /// The item of a key, which may be absent.
    pub fn take(&mut self, key: &'static str) -> Item<'a> {
        self.asked.push(key);
        match self.map.and_then(|map| map.get(key)) {
            Some(entry) => self.item.entry(entry),
            None => {
                let path = Step::Key(key.to_owned()).under(&self.item.path);
                Item { node: None, at: self.item.at, path, shows: self.item.shows, report: self.item.report }
            }
        }
    }

    /// The item of a key that must be there and not null.
    pub fn required(&mut self, key: &'static str) -> Item<'a> {
        let item = self.take(key);
        if self.map.is_some() && !item.is_given() {
            item.problem("required, but not given");
        }
        item
    }

    /// The map itself.
    pub fn item(&self) -> &Item<'a> {
        &self.item
    }

    fn finish(self) {
        let entries = self.map.map_or(&[][..], Map::entries);
        for entry in entries.iter().filter(|entry| !self.asked.contains(&entry.key.as_str())) {
            if self.item.report.is_full() {
                return;
            }
            let help = self.item.suggestion(&entry.key, self.asked.iter().copied());
            self.item.entry(entry).problem_with("unknown key", help);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{Limits, parse};

    #[test]
    fn a_document_of_secrets_repeats_no_value_that_is_not_shown() {
        let wrong = "a: hunter2\nb: 1234567\nc: 00hunter\nd: 0042\ne: !hunter3 x\nf: true\nport: hunter4\n";
        let report = Collector::new("conf.yaml").hiding_values();
        let node = parse(wrong.as_bytes(), &Limits::default(), &report).unwrap();
        Item::root(&node, &report).map(|keys| {
            keys.take("a").entries();
            keys.take("a").choice(&[("hunter", ())]);
            keys.take("b").text();
            keys.take("c").list();
            keys.take("f").int_in(0..=1);
            keys.take("port").shown().int_in(1..=9);
            keys.take("d");
            keys.take("e");
        });
        let text = report.finish(Some(())).unwrap_err().to_string();
        for secret in ["hunter2", "1234567", "00hunter", "0042", "hunter3"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.contains("conf.yaml:2:1: b: expected text, got a number (put it in quotes)"), "{text}");
        assert!(text.contains("port: expected an integer from 1 to 9, got \"hunter4\""), "{text}");
        assert_eq!(text.lines().count(), 8, "{text}");
    }
}
