//! Jobs of FATE 1, a DSL and a runtime conf, as jobs of schema 2.x.
//!
//! Translated as text: whatever comes after a job file, at this site and at others, sees a job of schema 2.x and nothing else, and what is
//! wrong is brought back to the two files by its [`Origins`]. Reading both forms into one structure would make each later
//! step know two sorts of places. What the modules of FATE 1 become is in `table`, from which the documentation is written.
//!
//! ```
//! let dsl = br#"{"components": {"toy_0": {"module": "SecureAddExample"}}}"#;
//! let conf = br#"{"dsl_version": 2, "initiator": {"role": "guest", "party_id": 1}, "role": {"guest": [1], "host": [2]},
//!     "component_parameters": {"common": {"toy_0": {"data_num": 10, "partition": 2}}}}"#;
//! let file = |name, text| tributary_fate1::File { name, text };
//! let job = tributary_fate1::convert(&file("dsl.json", dsl), &file("conf.json", conf)).unwrap();
//! assert!(job.text.contains("component_ref: toy_example"));
//! ```

#![warn(missing_docs)]

mod conf;
mod dsl;
mod job;
mod job_parameters;
mod origins;
mod parameters;
mod reference;
mod table;
mod tree;
mod wiring;

use tributary_document::{Collector, Item, Limits, Node, Problem, Problems, parse};

pub use origins::Origins;
pub use reference::reference;

/// A file as it was read.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// What messages call it.
    pub name: &'a str,
    /// Its bytes.
    pub text: &'a [u8],
}

/// A job of schema 2.x that does the same.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Job {
    /// What messages call it.
    pub file: String,
    /// YAML, with a comment where something is not as it was.
    pub text: String,
    /// What has no effect here, and why.
    pub notes: Vec<String>,
    /// Brings problems of the text back to the files.
    pub origins: Origins,
}

/// Why a job cannot be converted.
#[derive(Debug)]
pub struct Mistakes {
    problems: Problems,
    /// What could be converted.
    partial: Option<Box<Job>>,
}

impl Mistakes {
    /// All that is wrong, with what `check` finds in the part that could be converted: of that only what values are, since wiring has
    /// holes where something is already reported.
    pub fn with(self, check: impl FnOnce(&Job) -> Option<Problems>) -> Problems {
        let found = self.partial.as_deref().and_then(|job| Some((job, check(job)?)));
        let Some((job, found)) = found else { return self.problems };
        let is_value = |path: &str| {
            let place = path.strip_prefix("dag.").unwrap_or_default();
            place.contains(".parameters.") || place.starts_with("conf.") || place.starts_with("parties")
        };
        let values = found.list().iter().filter(|problem| is_value(&problem.path));
        let values = values.map(|problem| job.origins.traced(problem));
        Problems::of(self.problems.list().iter().cloned().chain(values).collect())
    }
}

/// Converts a job; all mistakes of both files at once. What only shows when the job is read as one of schema 2.x (ranges of
/// parameters, inputs that are missing) is for its reader, [`Origins::trace`] and [`Mistakes::with`].
pub fn convert(dsl: &File<'_>, conf: &File<'_>) -> Result<Job, Mistakes> {
    let reports = [Collector::new(dsl.name), Collector::new(conf.name)];
    let nodes = [read(dsl, &reports[0]), read(conf, &reports[1])];
    let converted = match &nodes {
        [Some(dsl), Some(conf)] => {
            convert_roots(&Item::root(dsl, &reports[0]), &Item::root(conf, &reports[1]))
        }
        _ => None,
    };
    let job = converted.map(|converted| written(dsl, conf, converted));
    let problems: Vec<Problem> = reports
        .into_iter()
        .filter_map(|report| report.finish(Some(())).err())
        .flat_map(|problems| problems.list().to_vec())
        .collect();
    match job {
        Some(job) if problems.is_empty() => Ok(job),
        job => Err(Mistakes { problems: Problems::of(problems), partial: job.map(Box::new) }),
    }
}

fn convert_roots(dsl: &Item<'_>, conf: &Item<'_>) -> Option<job::Converted> {
    if !has(dsl, "components") && has(conf, "components") {
        let help = "-d names the DSL, with components, and -c the conf, with role".to_owned();
        dsl.problem_with("this is not a DSL, but the other file is", help);
        return None;
    }
    let dsl = dsl::Dsl::read(dsl);
    conf::Conf::read(conf, &dsl).map(|conf| job::convert(&dsl, &conf))
}

fn read(file: &File<'_>, report: &Collector) -> Option<Node> {
    let mut limits = Limits::default();
    limits.bytes = 1 << 20;
    limits.nodes = 50_000;
    parse(file.text, &limits, report)
}

fn has(root: &Item<'_>, key: &str) -> bool {
    root.keys().contains(&key)
}

fn written(dsl: &File<'_>, conf: &File<'_>, job::Converted { mut tree, notes }: job::Converted) -> Job {
    let file = format!("{} with {}", conf.name, dsl.name);
    tree.comments.push(format!("A job of FATE 1, {file}, converted."));
    tree.comments.extend(notes.iter().map(|note| format!("note: {note}")));
    let (text, mut origins) = tree.write();
    origins.file.clone_from(&file);
    origins.dsl = dsl.name.to_owned();
    origins.conf = conf.name.to_owned();
    Job { file, text, notes, origins }
}

#[cfg(test)]
mod tests;
