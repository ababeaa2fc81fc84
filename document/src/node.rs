//! The tree of a document: values, each with its position in the text.
//!
//! Integers are `i128` because ids of 21 digits are common in job files and often lose their quotes; the reader of a key
//! decides which numbers are allowed.

use serde_json::Number;
use zeroize::Zeroize;

/// Where something is written: line and column, in characters, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// No place: what is wrong concerns the document as a whole. Sorts before all places, and is not shown.
    pub const WHOLE: Self = Self { line: 0, column: 0 };
}

/// One value of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where the value begins.
    pub at: Position,
    /// What it is.
    pub value: Value,
}

/// What a node holds, as the core schema of YAML 1.2 reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`; never `yes` or `on`.
    Bool(bool),
    /// An integer of any length up to 38 digits.
    Int(i128),
    /// A finite number with a point or an exponent.
    Float(f64),
    /// Anything in quotes, and everything that is none of the above.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order written.
    Map(Map),
}

/// A mapping from text to values, in the order written; no key occurs twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    pub(crate) entries: Vec<Entry>,
}

/// A key, its position, and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key as text; `1: x` has the key `1`.
    pub key: String,
    /// Where the key begins.
    pub at: Position,
    /// The value.
    pub node: Node,
}

/// One step down a tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into a map.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

impl Step {
    /// The path of the place that this step leads to: `a.b` or `a[3]`.
    pub(crate) fn under(&self, path: &str) -> String {
        match self {
            Step::Key(key) if path.is_empty() => key.clone(),
            Step::Key(key) => format!("{path}.{key}"),
            Step::Index(index) => format!("{path}[{index}]"),
        }
    }
}

impl Map {
    /// The entries, in the order written.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Node {
    /// The value as JSON. The error is the position of an integer that does not fit the 64 bits of JSON numbers.
    pub fn to_json(&self) -> Result<serde_json::Value, Position> {
        Ok(match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => Number::from_i128(*value).ok_or(self.at)?.into(),
            Value::Float(value) => (*value).into(),
            Value::Text(value) => value.clone().into(),
            Value::List(nodes) => nodes.iter().map(Node::to_json).collect::<Result<Vec<_>, _>>()?.into(),
            Value::Map(map) => map
                .entries
                .iter()
                .map(|entry| Ok((entry.key.clone(), entry.node.to_json()?)))
                .collect::<Result<serde_json::Map<_, _>, _>>()?
                .into(),
        })
    }

    /// Wipes the text of this value and of all below it, for documents that may hold secrets. Copies made by the YAML parser
    /// are out of reach.
    pub fn wipe(&mut self) {
        match &mut self.value {
            Value::Text(text) => text.zeroize(),
            Value::List(nodes) => nodes.iter_mut().for_each(Node::wipe),
            Value::Map(map) => map.entries.iter_mut().for_each(|entry| entry.node.wipe()),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
        }
    }

    /// Nodes and bytes of text of this value with all below it: what a copy of it would cost.
    pub(crate) fn weight(&self) -> (usize, usize) {
        let add = |a: (usize, usize), b: (usize, usize)| (a.0 + b.0, a.1 + b.1);
        let below = match &self.value {
            Value::Text(text) => (0, text.len()),
            Value::List(nodes) => nodes.iter().map(Node::weight).fold((0, 0), add),
            Value::Map(map) => {
                map.entries.iter().map(|e| add((0, e.key.len()), e.node.weight())).fold((0, 0), add)
            }
            _ => (0, 0),
        };
        add((1, 0), below)
    }

    /// Levels of this value with all below it: 1 for a scalar.
    pub(crate) fn depth(&self) -> usize {
        let below = match &self.value {
            Value::List(nodes) => nodes.iter().map(Node::depth).max(),
            Value::Map(map) => map.entries.iter().map(|entry| entry.node.depth()).max(),
            _ => None,
        };
        1 + below.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Collector, Limits, parse};

    #[test]
    fn a_wiped_document_holds_no_text() {
        let text = b"a: hunter2\nb: {c: [hunter3, {d: hunter4}]}\n";
        let mut node = parse(text, &Limits::default(), &Collector::new("conf.yaml")).unwrap();
        assert!(format!("{node:?}").contains("hunter4"));
        node.wipe();
        assert!(!format!("{node:?}").contains("hunter"), "{node:?}");
    }
}
