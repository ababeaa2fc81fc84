//! Bytes to a tree, within bounds.
//!
//! A document may come from an untrusted source, so its size, depth and number of nodes are bounded before anything is
//! built. Aliases are followed, because job files saved by Python clients have them wherever one list occurs twice; each
//! copy counts against the same bounds, which is what keeps "billion laughs" small. Merge keys (`<<`) are read for the same
//! reason, by the rules of YAML 1.1: a map's own keys win, then the earlier of several merged maps.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput, Tag};

use tributary_suggest::quoted;

use crate::node::{Entry, Map, Node, Position, Value};
use crate::problems::Collector;
use crate::scalar;

/// Bounds of a document.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the document; also of the text that aliases repeat.
    pub bytes: usize,
    /// Values within values.
    pub depth: usize,
    /// Number of all values; copies made by aliases count again.
    pub nodes: usize,
    /// Bytes of one key of a map.
    pub key_bytes: usize,
}

impl Default for Limits {
    /// Enough for a job of a thousand tasks.
    fn default() -> Self {
        Self { bytes: 4 << 20, depth: 64, nodes: 200_000, key_bytes: 256 }
    }
}

/// The key of a map whose entries are merged into the map around it.
const MERGE: &str = "<<";

/// Reads a document of one YAML (or JSON) value. `None` if it cannot be read at all, which is then in the report; a
/// tree whose mistakes (a key twice, a value without meaning) are in the report is still given.
pub fn parse(source: &[u8], limits: &Limits, report: &Collector) -> Option<Node> {
    let top = Position { line: 1, column: 1 };
    if source.len() > limits.bytes {
        let message = format!("expected at most {} bytes, got {}", limits.bytes, source.len());
        report.add(top, "", message, None);
        return None;
    }
    let text = utf8(source, report)?;
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        limits,
        report,
        anchors: HashMap::new(),
        nodes: 0,
        copied_bytes: 0,
    };
    let node = builder.document();
    if !report.shows_values() {
        builder.anchors.values_mut().for_each(Node::wipe);
    }
    let node = node.ok()?;
    if node.value == Value::Null && report.is_clean() {
        report.add(top, "", "the file is empty", None);
        return None;
    }
    Some(node)
}

fn utf8<'a>(source: &'a [u8], report: &Collector) -> Option<&'a str> {
    std::str::from_utf8(source)
        .inspect_err(|error| {
            let valid = String::from_utf8_lossy(&source[..error.valid_up_to()]);
            let line = valid.matches('\n').count() + 1;
            let column = valid.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
            let help = "save the file as UTF-8".to_owned();
            report.add(Position { line, column }, "", "the file is not UTF-8 text", Some(help));
        })
        .ok()
}

/// Reading stopped; the report says why.
struct Stop;

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    limits: &'a Limits,
    report: &'a Collector,
    /// Anchored values that are complete. Within its own value an anchor has none yet.
    anchors: HashMap<usize, Node>,
    nodes: usize,
    copied_bytes: usize,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Node, Stop> {
        let mut document = None;
        loop {
            let (event, at) = self.event()?;
            match event {
                Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
                _ if document.is_some() => {
                    return self.stop(at, "a second document begins here", "keep one document in a file");
                }
                event => document = Some(self.node(event, at, 1)?),
            }
        }
        Ok(document.unwrap_or(Node { at: Position { line: 1, column: 1 }, value: Value::Null }))
    }

    fn event(&mut self) -> Result<(Event<'a>, Position), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, position(span.start))),
            Some(Err(error)) => {
                self.stop(position(*error.marker()), &format!("neither YAML nor JSON: {}", error.info()), "")
            }
            None => Ok((Event::StreamEnd, Position { line: 1, column: 1 })),
        }
    }

    fn stop<T>(&self, at: Position, message: &str, help: &str) -> Result<T, Stop> {
        self.report.add(at, "", message, (!help.is_empty()).then(|| help.to_owned()));
        Err(Stop)
    }

    fn node(&mut self, event: Event<'a>, at: Position, depth: usize) -> Result<Node, Stop> {
        self.charge(at, depth, (1, 0))?;
        let (value, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, at, depth),
            Event::Scalar(word, style, anchor, tag) => (self.scalar(word, style, tag, at), anchor),
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag, at);
                (Value::List(self.list(depth)?), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag, at);
                (Value::Map(self.map(depth)?), anchor)
            }
            _ => return self.stop(at, "expected a value", ""),
        };
        let node = Node { at, value };
        if anchor > 0 {
            self.charge(at, depth, node.weight())?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Counts nodes and copied bytes that are about to be made at a depth.
    fn charge(&mut self, at: Position, depth: usize, (nodes, bytes): (usize, usize)) -> Result<(), Stop> {
        self.nodes += nodes;
        self.copied_bytes += bytes;
        if depth > self.limits.depth {
            return self.stop(at, &format!("nested deeper than {} levels", self.limits.depth), "");
        }
        if self.nodes > self.limits.nodes {
            return self.stop(at, &format!("more than {} values", self.limits.nodes), "");
        }
        if self.copied_bytes > self.limits.bytes {
            return self.stop(at, &format!("aliases repeat more than {} bytes", self.limits.bytes), "");
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: Position, depth: usize) -> Result<Node, Stop> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return self.stop(at, "this alias is inside the value that it names", "");
        };
        self.charge(at, depth + node.depth() - 1, node.weight())?;
        Ok(node)
    }

    fn scalar(
        &mut self,
        word: Cow<'a, str>,
        style: ScalarStyle,
        tag: Option<Cow<'a, Tag>>,
        at: Position,
    ) -> Value {
        let is_text = tag.as_ref().is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
        if style != ScalarStyle::Plain || is_text {
            if !is_text {
                self.refuse_tag(tag, at);
            }
            return Value::Text(word.into_owned());
        }
        self.refuse_tag(tag, at);
        scalar::plain(&word).unwrap_or_else(|message| {
            let shown = self.report.shows_values();
            let message = if shown { message } else { "the value is ambiguous: put it in quotes".into() };
            self.report.add(at, "", message, None);
            Value::Null
        })
    }

    /// A tag asks the reader to build an object from a value; in some languages that even runs code.
    fn refuse_tag(&self, tag: Option<Cow<'_, Tag>>, at: Position) {
        if let Some(tag) = tag {
            let got = format!(", got {}", quoted(&tag.to_string()));
            let got = if self.report.shows_values() { &got } else { "" };
            self.report.add(at, "", format!("tags are not supported{got}"), None);
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Stop> {
        let mut nodes = Vec::new();
        loop {
            match self.event()? {
                (Event::SequenceEnd, _) => return Ok(nodes),
                (event, at) => nodes.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Map, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = HashSet::new();
        let mut merged: Option<(usize, Vec<Entry>)> = None;
        loop {
            let (event, at) = self.event()?;
            if event == Event::MappingEnd {
                break;
            }
            let merges = matches!(&event, Event::Scalar(word, ScalarStyle::Plain, _, None) if word == MERGE);
            let key = self.key(event, at)?;
            let (event, value_at) = self.event()?;
            let node = self.node(event, value_at, depth + 1)?;
            if !seen.insert(key.clone()) {
                let first = entries.iter().find(|entry| entry.key == key).map_or(0, |entry| entry.at.line);
                let first = if first == 0 { String::new() } else { format!(", first in line {first}") };
                self.report.add(at, "", format!("key {} again{first}", quoted(&key)), None);
            } else if merges {
                merged = Some((entries.len(), self.merged(node)));
            } else {
                entries.push(Entry { key, at, node });
            }
        }
        if let Some((place, merged)) = merged {
            let new: Vec<Entry> = merged.into_iter().filter(|entry| seen.insert(entry.key.clone())).collect();
            entries.splice(place..place, new);
        }
        Ok(Map { entries })
    }

    /// The entries below a merge key: those of a map, or of a list of maps.
    fn merged(&self, node: Node) -> Vec<Entry> {
        let at = node.at;
        let nodes = match node.value {
            Value::List(nodes) => nodes,
            value => vec![Node { at, value }],
        };
        let mut entries = Vec::new();
        for node in nodes {
            match node.value {
                Value::Map(map) => entries.extend(map.entries),
                Value::Null => {}
                _ => self.report.add(
                    node.at,
                    "",
                    "expected a map, or a list of maps, to merge",
                    Some("quote \"<<\" if it is an ordinary key".to_owned()),
                ),
            }
        }
        entries
    }

    fn key(&mut self, event: Event<'a>, at: Position) -> Result<String, Stop> {
        match event {
            Event::Scalar(word, ..) if word.len() <= self.limits.key_bytes => Ok(word.into_owned()),
            Event::Scalar(..) => {
                self.stop(at, &format!("a key of more than {} bytes", self.limits.key_bytes), "")
            }
            _ => self.stop(
                at,
                "expected a key, got a list, a map or an alias",
                "quote text that begins with * { [",
            ),
        }
    }
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}
