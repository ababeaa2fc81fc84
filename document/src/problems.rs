//! What is wrong with a document: every mistake, each with its place, in the order of the file.

use std::cell::RefCell;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::node::Position;

/// Problems beyond this number are counted, not kept: a file with so many is no job file.
const KEPT: usize = 1000;
/// After this number of problems, no nearest names are searched any more.
const HELPED: usize = 50;

/// One mistake. Prints as `job.yaml:12:7: dag.tasks.psi_0: what is wrong (how to fix it)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// The file as its reader named it.
    pub file: String,
    /// Line, from 1; 0 if it concerns the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 if it concerns the file as a whole.
    pub column: usize,
    /// The path of the place from the top of the document, empty at the top: `dag.parties[0].role`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// How to fix it.
    pub help: Option<String>,
}

/// All mistakes of one document or of several, in the order of each; never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problems {
    list: Vec<Problem>,
    /// Number of problems beyond those that are kept.
    more: usize,
}

/// Collects the problems of one document while it is read.
///
/// Shared by all readers of the document, hence the interior mutability; becomes [`Problems`] at the end.
#[derive(Debug)]
pub struct Collector {
    file: String,
    shows_values: bool,
    found: RefCell<Vec<Problem>>,
    more: std::cell::Cell<usize>,
}

impl Collector {
    /// An empty report on a document that messages call `file`.
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), shows_values: true, found: RefCell::default(), more: 0.into() }
    }

    /// For a document that may hold secrets: no problem repeats one of its values, except for items that are
    /// [shown](crate::Item::shown).
    #[must_use]
    pub fn hiding_values(mut self) -> Self {
        self.shows_values = false;
        self
    }

    /// Adds a problem; a repeated one is not added again.
    pub fn add(&self, at: Position, path: &str, message: impl Into<String>, help: Option<String>) {
        let problem = Problem::new(&self.file, at, path, message, help);
        let mut found = self.found.borrow_mut();
        if found.contains(&problem) {
        } else if found.len() < KEPT {
            found.push(problem);
        } else {
            self.more.set(self.more.get() + 1);
        }
    }

    /// Whether nothing is wrong so far.
    pub fn is_clean(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// The value if there is one and no problem was found, else all problems.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        if value.is_none() && self.is_clean() {
            self.add(Position { line: 1, column: 1 }, "", "the file cannot be read", None);
        }
        let mut list = self.found.into_inner();
        if let (Some(value), true) = (value, list.is_empty()) {
            return Ok(value);
        }
        list.sort_by_key(|problem| (problem.line, problem.column));
        Err(Problems { list, more: self.more.get() })
    }

    pub(crate) fn shows_values(&self) -> bool {
        self.shows_values
    }

    pub(crate) fn wants_help(&self) -> bool {
        self.found.borrow().len() < HELPED
    }

    pub(crate) fn is_full(&self) -> bool {
        self.found.borrow().len() >= KEPT
    }
}

impl Problem {
    /// A mistake at a place of a file.
    pub fn new(
        file: &str,
        at: Position,
        path: &str,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Self {
        let Position { line, column } = at;
        Self { file: file.to_owned(), line, column, path: path.to_owned(), message: message.into(), help }
    }
}

impl Problems {
    /// Some mistakes, which need not be in order; at least one. Those of one file follow one another.
    pub fn of(mut list: Vec<Problem>) -> Self {
        list.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        list.dedup();
        let more = list.len().saturating_sub(KEPT);
        list.truncate(KEPT);
        Self { list, more }
    }

    /// The mistakes, in the order of the file.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (Position { line: self.line, column: self.column }) {
            Position::WHOLE => write!(out, "{}: ", self.file)?,
            Position { line, column } => write!(out, "{}:{line}:{column}: ", self.file)?,
        }
        if !self.path.is_empty() {
            // keys are the writer's own text, so their control characters are escaped for the terminal
            write!(out, "{}: ", self.path.escape_debug())?;
        }
        out.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(out, " ({help})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(out, "{end}{problem}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(out, "\nand {more} more problems"),
        }
    }
}

impl std::error::Error for Problems {}
