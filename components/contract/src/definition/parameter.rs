//! Parameters and the kinds of values they take.
//!
//! Kinds are data, not types with a derive: the same value checks a job, prints the help and makes the JSON schema.

use std::fmt;
use std::ops::{Bound, RangeBounds};

use serde_json::Value;

use super::Stage;

/// A named value of a component, or of a record within one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Parameter {
    /// Name in job files.
    pub name: &'static str,
    /// The values it takes.
    pub kind: Kind,
    /// The value when it is absent or null.
    pub default: Option<Value>,
    /// Whether it must be given, a default or not.
    pub required: bool,
    /// Stages that use it; empty for all.
    pub stages: Vec<Stage>,
    /// What it does.
    pub description: &'static str,
}

/// The values a parameter takes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// `true` or `false`; also 1 and 0. This, and numbers, may be in quotes.
    Bool,
    /// An integer; `3.0` is not one.
    Int(Range<i64>),
    /// A number; an integer is accepted.
    Float(Range<f64>),
    /// Text; an integer is taken as its digits, since names such as `20240101` are often written without quotes.
    Text,
    /// One of some names, in whatever case; becomes the name as declared.
    Choice(&'static [&'static str]),
    /// A list; a single value that is neither list nor map is a list of one.
    List(Box<Kind>),
    /// A map with keys of the writer's choice.
    Map(Box<Kind>),
    /// A map with keys of ours.
    Record(Vec<Parameter>),
    /// The first that fits as written: `1` is an integer before it is a number, `1.0` only a number.
    Union(Vec<Kind>),
    /// Any JSON value.
    Any,
}

/// An interval of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range<T> {
    /// The low end.
    pub low: Bound<T>,
    /// The high end.
    pub high: Bound<T>,
}

/// All numbers greater than `low`, which Rust's range syntax cannot say.
pub fn above<T>(low: T) -> (Bound<T>, Bound<T>) {
    (Bound::Excluded(low), Bound::Unbounded)
}

impl<T: PartialOrd + Copy> Range<T> {
    fn of(range: impl RangeBounds<T>) -> Self {
        Self { low: range.start_bound().cloned(), high: range.end_bound().cloned() }
    }

    pub(super) fn contains(&self, number: &T) -> bool {
        (self.low, self.high).contains(number)
    }
}

impl Kind {
    /// An integer of a range; `..` for any.
    pub fn int(range: impl RangeBounds<i64>) -> Self {
        Kind::Int(Range::of(range))
    }

    /// A number of a range; `..` for any.
    pub fn float(range: impl RangeBounds<f64>) -> Self {
        Kind::Float(Range::of(range))
    }

    /// A list.
    pub fn list(of: Kind) -> Self {
        Kind::List(Box::new(of))
    }

    /// A map with free keys.
    pub fn map(of: Kind) -> Self {
        Kind::Map(Box::new(of))
    }

    /// A map with known keys.
    pub fn record(fields: impl IntoIterator<Item = Parameter>) -> Self {
        Kind::Record(fields.into_iter().collect())
    }

    /// Any of several kinds.
    pub fn union(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Kind::Union(kinds.into_iter().collect())
    }

    /// One word for the kind.
    pub fn type_name(&self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::Int(_) => "int",
            Kind::Float(_) => "float",
            Kind::Text => "text",
            Kind::Choice(_) => "choice",
            Kind::List(_) => "list",
            Kind::Map(_) => "map",
            Kind::Record(_) => "record",
            Kind::Union(_) => "union",
            Kind::Any => "any",
        }
    }
}

impl Parameter {
    /// An optional parameter without default.
    pub fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, default: None, required: false, stages: Vec::new(), description: "" }
    }

    /// `true` or `false`.
    pub fn bool(name: &'static str) -> Self {
        Self::new(name, Kind::Bool)
    }

    /// An integer of a range.
    pub fn int(name: &'static str, range: impl RangeBounds<i64>) -> Self {
        Self::new(name, Kind::int(range))
    }

    /// A number of a range.
    pub fn float(name: &'static str, range: impl RangeBounds<f64>) -> Self {
        Self::new(name, Kind::float(range))
    }

    /// Text.
    pub fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text)
    }

    /// One of some names.
    pub fn choice(name: &'static str, names: &'static [&'static str]) -> Self {
        Self::new(name, Kind::Choice(names))
    }

    /// A list.
    pub fn list(name: &'static str, of: Kind) -> Self {
        Self::new(name, Kind::list(of))
    }

    /// A map with known keys.
    pub fn record(name: &'static str, fields: impl IntoIterator<Item = Parameter>) -> Self {
        Self::new(name, Kind::record(fields))
    }

    /// Sets the value it has when absent or null.
    pub fn default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }

    /// Makes it one that must be given.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Limits it to stages; at others it is accepted and ignored.
    pub fn stages(mut self, stages: impl IntoIterator<Item = Stage>) -> Self {
        self.stages = stages.into_iter().collect();
        self
    }

    /// Says what it does.
    pub fn describe(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Whether tasks of this stage use it.
    pub fn is_at_stage(&self, stage: Stage) -> bool {
        self.stages.is_empty() || self.stages.contains(&stage)
    }
}

/// What a value must be, as messages and help pages say it: `an integer of at least 2`.
impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Bool => out.write_str("true or false"),
            Kind::Int(range) => write!(out, "an integer{range}"),
            Kind::Float(range) => write!(out, "a number{range}"),
            Kind::Text => out.write_str("text"),
            Kind::Choice([only]) => out.write_str(only),
            Kind::Choice(names) => write!(out, "one of {}", names.join(", ")),
            Kind::List(of) => write!(out, "a list, each {of}"),
            Kind::Map(of) => write!(out, "a map, each {of}"),
            Kind::Record(fields) => {
                let names: Vec<_> = fields.iter().map(|field| field.name).collect();
                write!(out, "a map of {}", names.join(", "))
            }
            Kind::Union(kinds) => {
                let kinds: Vec<_> = kinds.iter().map(Kind::to_string).collect();
                out.write_str(&kinds.join(", or "))
            }
            Kind::Any => out.write_str("anything"),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Range<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let low = match &self.low {
            Bound::Included(low) => Some(format!("at least {low}")),
            Bound::Excluded(low) => Some(format!("more than {low}")),
            Bound::Unbounded => None,
        };
        let high = match &self.high {
            Bound::Included(high) => Some(format!("at most {high}")),
            Bound::Excluded(high) => Some(format!("less than {high}")),
            Bound::Unbounded => None,
        };
        match (low, high) {
            (Some(low), Some(high)) => write!(out, " of {low} and {high}"),
            (Some(end), None) | (None, Some(end)) => write!(out, " of {end}"),
            (None, None) => Ok(()),
        }
    }
}
