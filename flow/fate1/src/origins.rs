//! Where each part of a converted job comes from, so that what is wrong with it is reported in the files that people wrote.
//!
//! By path, not by line: whatever reports a problem of a job names the path, and the text of the conversion is nobody's to
//! correct.

use std::collections::BTreeMap;

use tributary_document::{Item, Position, Problem, Problems};

/// One of the two files of a job of FATE 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Dsl,
    Conf,
}

/// A place in one of the files.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Origin {
    side: Side,
    at: Position,
    path: String,
}

impl Origin {
    pub(crate) fn of(item: &Item<'_>, side: Side) -> Self {
        Self { side, at: item.at(), path: item.path().to_owned() }
    }
}

/// Where each part of a converted job comes from.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// What messages call the converted job.
    pub(crate) file: String,
    pub(crate) dsl: String,
    pub(crate) conf: String,
    by_path: BTreeMap<String, Origin>,
}

impl Origins {
    pub(crate) fn add(&mut self, path: &str, origin: Origin) {
        self.by_path.insert(path.to_owned(), origin);
    }

    /// The same problems, those of the converted job at the places that they come from.
    pub fn trace(&self, problems: &Problems) -> Problems {
        Problems::of(problems.list().iter().map(|problem| self.traced(problem)).collect())
    }

    pub(crate) fn traced(&self, problem: &Problem) -> Problem {
        if problem.file != self.file {
            return problem.clone();
        }
        let mut path = problem.path.as_str();
        let origin = loop {
            match (self.by_path.get(path), path.rfind(['.', '['])) {
                (Some(origin), _) => break Some(origin),
                (None, Some(end)) => path = &path[..end],
                (None, None) => break None,
            }
        };
        let Some(Origin { side, at, path: written }) = origin else {
            let (message, help) = (format!("{}: {}", problem.path, problem.message), problem.help.clone());
            return Problem::new(&self.conf, Position::WHOLE, "", message, help);
        };
        // What lies deeper than the files go is named as schema 2.x names it.
        let deeper = problem.path[path.len()..].trim_start_matches('.');
        let message = match deeper {
            "" => problem.message.clone(),
            deeper => format!("{deeper}: {}", problem.message),
        };
        let file = match side {
            Side::Dsl => &self.dsl,
            Side::Conf => &self.conf,
        };
        Problem::new(file, *at, written, message, problem.help.clone())
    }
}
