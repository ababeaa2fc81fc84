//! A document that is made here: values, each with the place that it comes from, and comments; and its text.
//!
//! Written by hand, because no YAML writer keeps comments. Text is plain where every reader of YAML takes it as text, and
//! else as JSON has it, which YAML reads alike.

use serde_json::Value;
use tributary_document::{Item, unquoted};

use crate::origins::{Origin, Origins, Side};

/// Maps that fit are written on one line.
const LINE: usize = 100;
/// Words that older readers of YAML take for truth values, and ours for nothing.
const WORDS: [&str; 8] = ["null", "yes", "no", "on", "off", "y", "n", "true"];

/// A value, where it comes from, and what is said about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tree {
    pub(crate) content: Content,
    pub(crate) origin: Option<Origin>,
    pub(crate) comments: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Scalar(Value),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    fn new(content: Content) -> Self {
        Self { content, origin: None, comments: Vec::new() }
    }

    pub(crate) fn scalar(value: impl Into<Value>) -> Self {
        Self::new(Content::Scalar(value.into()))
    }

    pub(crate) fn list(trees: impl IntoIterator<Item = Tree>) -> Self {
        Self::new(Content::List(trees.into_iter().collect()))
    }

    pub(crate) fn map<K: Into<String>>(entries: impl IntoIterator<Item = (K, Tree)>) -> Self {
        Self::new(Content::Map(entries.into_iter().map(|(key, tree)| (key.into(), tree)).collect()))
    }

    /// A JSON value, with maps and lists as such.
    pub(crate) fn of_json(value: Value) -> Self {
        match value {
            Value::Array(values) => Self::list(values.into_iter().map(Self::of_json)),
            Value::Object(map) => Self::map(map.into_iter().map(|(key, value)| (key, Self::of_json(value)))),
            scalar => Self::scalar(scalar),
        }
    }

    /// A copy of what is written, each part with its place.
    pub(crate) fn of(item: &Item<'_>, side: Side) -> Self {
        let tree = match item.json() {
            Some(Value::Array(_)) => Self::list(item.list().iter().map(|item| Self::of(item, side))),
            Some(Value::Object(_)) => {
                Self::map(item.entries().iter().map(|(key, item)| (*key, Self::of(item, side))))
            }
            scalar => Self::scalar(scalar.unwrap_or_default()),
        };
        tree.from(item, side)
    }

    /// Says where it comes from.
    pub(crate) fn from(mut self, item: &Item<'_>, side: Side) -> Self {
        self.origin = Some(Origin::of(item, side));
        self
    }

    /// Says something about it.
    pub(crate) fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comments.push(comment.into());
        self
    }

    /// Whether both are the same value, wherever they come from.
    pub(crate) fn means(&self, other: &Self) -> bool {
        self.flow() == other.flow()
    }

    pub(crate) fn is_empty(&self) -> bool {
        match &self.content {
            Content::Scalar(_) => false,
            Content::List(list) => list.is_empty(),
            Content::Map(map) => map.is_empty(),
        }
    }

    /// Whether something is said about it or what is in it.
    fn has_comments(&self) -> bool {
        !self.comments.is_empty()
            || match &self.content {
                Content::Scalar(_) => false,
                Content::List(list) => list.iter().any(Self::has_comments),
                Content::Map(map) => map.iter().any(|(_, tree)| tree.has_comments()),
            }
    }

    /// The text of a whole document, and where its parts come from.
    pub(crate) fn write(&self) -> (String, Origins) {
        let (mut text, mut origins) = (String::new(), Origins::default());
        self.trace("", &mut origins);
        comments(&self.comments, 0, &mut text);
        self.block(0, &mut text);
        (text, origins)
    }

    fn trace(&self, path: &str, origins: &mut Origins) {
        if let Some(origin) = &self.origin {
            origins.add(path, origin.clone());
        }
        match &self.content {
            Content::Scalar(_) => {}
            Content::List(list) => {
                let elements = list.iter().enumerate();
                elements.for_each(|(at, tree)| tree.trace(&format!("{path}[{at}]"), origins));
            }
            Content::Map(map) => {
                let under =
                    |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                map.iter().for_each(|(key, tree)| tree.trace(&under(key), origins));
            }
        }
    }

    /// The lines of a value that begins on a line of its own.
    fn block(&self, indent: usize, text: &mut String) {
        let Content::Map(map) = &self.content else {
            return line(&self.flow(), indent, text);
        };
        for (key, tree) in map {
            comments(&tree.comments, indent, text);
            let (key, flow) = (word(key), tree.flow());
            let nested = match &tree.content {
                Content::Map(map) => {
                    let fits = indent + key.len() + flow.len() < LINE && map.len() < 5;
                    !map.is_empty() && (tree.inner_comments() || !fits)
                }
                Content::List(list) => !list.is_empty() && indent + key.len() + flow.len() >= LINE,
                Content::Scalar(_) => false,
            };
            match (&tree.content, nested) {
                (Content::List(list), true) => {
                    line(&format!("{key}:"), indent, text);
                    list.iter().for_each(|tree| line(&format!("- {}", tree.flow()), indent, text));
                }
                (_, true) => {
                    line(&format!("{key}:"), indent, text);
                    tree.block(indent + 2, text);
                }
                _ => line(&format!("{key}: {flow}"), indent, text),
            }
        }
    }

    fn inner_comments(&self) -> bool {
        match &self.content {
            Content::Map(map) => map.iter().any(|(_, tree)| tree.has_comments()),
            _ => false,
        }
    }

    /// The value on one line.
    fn flow(&self) -> String {
        match &self.content {
            Content::Scalar(Value::String(text)) => word(text),
            Content::Scalar(value) => value.to_string(),
            Content::List(list) => {
                format!("[{}]", list.iter().map(Self::flow).collect::<Vec<_>>().join(", "))
            }
            Content::Map(map) => {
                let entries = map.iter().map(|(key, tree)| format!("{}: {}", word(key), tree.flow()));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn line(content: &str, indent: usize, text: &mut String) {
    *text += &format!("{:indent$}{content}\n", "");
}

fn comments(comments: &[String], indent: usize, text: &mut String) {
    for comment in comments {
        // What a comment quotes must not end it.
        let comment: String = comment.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        line(&format!("# {comment}"), indent, text);
    }
}

/// Text as YAML has it.
fn word(text: &str) -> String {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = begins
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        && unquoted(text).is_none()
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text));
    if plain { text.to_owned() } else { escaped(text) }
}

/// JSON text, without the characters that YAML forbids and JSON does not.
fn escaped(text: &str) -> String {
    let json = Value::from(text).to_string();
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                escaped += &format!("\\u{:04x}", u32::from(letter));
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}
