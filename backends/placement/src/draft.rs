//! A placement in the making: what the arithmetic of every engine does alike.
//!
//! An engine opens a [`Draft`] with the options that it reads, decides how many cores work for a task, and finishes it.
//! The draft reads options, says what has no effect, books cores, counts partitions and refuses what the site does not
//! have. Booking is written once because the two front doors differ there and the engines do not.

use std::collections::BTreeMap;

use tributary_core::error::{Error, Result};
use tributary_core::layout::Layout;
use tributary_core::placement::{CoreRequest, Placement, Wish};
use tributary_suggest::{quoted, suggestion};

use crate::vocabulary::{known, why_without_effect};

/// Cores of a task, and of a job, that says nothing. FATE 1.5.0 gave that many to each node; 1.11 and 2 give them to the
/// task, and so do we.
const DEFAULT_CORES: u64 = 4;

/// What a [`Draft`] needs to know of the engine and its site.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The engine's name, as in `service_conf.yaml`.
    pub engine: &'a str,
    /// The options that it reads, by name.
    pub reads: &'a [&'a str],
    /// A greater number of anything is taken for a typing mistake.
    pub most: u32,
    /// Cores of the site for this engine; if unknown, nothing is refused.
    pub site_cores: Option<u64>,
}

/// Whether a task's cores count in the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Books {
    /// They do.
    Cores,
    /// The task works without booking.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub struct Draft<'a> {
    request: &'a CoreRequest,
    terms: Terms<'a>,
    reasons: Vec<String>,
    notes: Vec<String>,
}

impl<'a> Draft<'a> {
    /// Sorts the request's options into those read, those of other engines, which become notes, and unknown ones:
    /// `InvalidInput` that names all of them.
    pub fn new(request: &'a CoreRequest, terms: Terms<'a>) -> Result<Self> {
        let (mut notes, mut unknown) = (Vec::new(), Vec::new());
        for name in request.options.keys().map(String::as_str).filter(|name| !terms.reads.contains(name)) {
            match why_without_effect(name) {
                Some(why) => {
                    notes.push(format!("option {name} has no effect on engine {} here: {why}", terms.engine));
                }
                None => unknown.push(unknown_option(name, terms)),
            }
        }
        if !unknown.is_empty() {
            return Err(Error::invalid(unknown.join("; ")));
        }
        Ok(Self { request, terms, reasons: Vec::new(), notes })
    }

    /// What is asked for.
    pub fn request(&self) -> &'a CoreRequest {
        self.request
    }

    /// Cores where the job asks for none. A small site gives what it has: only a wish is refused.
    pub fn default_cores(&self) -> u32 {
        DEFAULT_CORES.min(self.terms.site_cores.unwrap_or(DEFAULT_CORES)).max(1) as u32
    }

    /// A wish as a whole number from 1; `InvalidInput` calls it `name`.
    pub fn count(&self, name: &str, number: u64) -> Result<u32> {
        in_range(name, number, self.terms.most)
    }

    /// An option as a whole number from 1, if it is given.
    pub fn option(&self, name: &str) -> Result<Option<u32>> {
        let Some(text) = self.request.options.get(name) else { return Ok(None) };
        let number = text.trim().parse().map_err(|_| self.not_a_number(name, text))?;
        self.count(name, number).map(Some)
    }

    /// As [`Draft::option`], but 0 and less mean that it is not given. The runtime conf's rule, noted where it is used.
    pub fn positive_option(&mut self, name: &str) -> Result<Option<u32>> {
        let Some(text) = self.request.options.get(name) else { return Ok(None) };
        match text.trim().parse::<i128>() {
            Ok(number) if number <= 0 => {
                self.note(format!("option {name} is {number}, which counts as not given"));
                Ok(None)
            }
            Ok(number) => self.count(name, u64::try_from(number).unwrap_or(u64::MAX)).map(Some),
            Err(_) => Err(self.not_a_number(name, text)),
        }
    }

    fn not_a_number(&self, name: &str, text: &str) -> Error {
        let most = self.terms.most;
        Error::invalid(format!("option {name} is {}, expected a whole number from 1 to {most}", quoted(text)))
    }

    /// Says how a number came about.
    pub fn because(&mut self, reason: impl Into<String>) {
        self.reasons.push(reason.into());
    }

    /// Says what has no effect.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The placement of a task that works on `cores`: books them, and as many for the job as the wish says.
    /// `InvalidInput` for what the site does not have.
    pub fn finish(
        mut self,
        cores: u64,
        books: Books,
        settings: BTreeMap<String, String>,
    ) -> Result<Placement> {
        let cores = self.fitting("a task", cores)?;
        let (task_booked, job_booked) = match books {
            Books::Cores => (cores, self.job_cores(cores)?),
            Books::Nothing => (0, 0),
        };
        if books == Books::Nothing {
            self.because("an arbiter books nothing");
        }
        let partitions = self.partitions(cores)?;
        let Self { reasons, notes, .. } = self;
        Ok(Placement { partitions, cores, task_booked, job_booked, settings, reasons, notes })
    }

    fn job_cores(&mut self, task: u32) -> Result<u32> {
        let (job, reason) = match self.request.wish {
            Wish::Dag { job_cores: Some(n) } => {
                (u64::from(self.count("dag.conf.cores", n)?), "as dag.conf.cores says".to_owned())
            }
            Wish::Dag { job_cores: None } => {
                (u64::from(self.default_cores()), "the default, at most what the site has".to_owned())
            }
            Wish::RuntimeConf { task_parallelism, .. } => {
                let n = self.count("task_parallelism", task_parallelism.unwrap_or(1))?;
                (u64::from(n) * u64::from(task), format!("task_parallelism {n} times {task}"))
            }
        };
        let raised = if job < u64::from(task) { ", raised to what one task needs" } else { "" };
        let job = self.fitting("the job", job.max(u64::from(task)))?;
        self.because(format!(
            "the job books {job} cores: {reason}{raised}; tasks at once: {}",
            job / task.max(1)
        ));
        Ok(job)
    }

    fn fitting(&self, what: &str, cores: u64) -> Result<u32> {
        let most = self.terms.site_cores.unwrap_or(u64::from(u32::MAX));
        match u32::try_from(cores) {
            Ok(fits) if cores <= most => Ok(fits),
            _ => Err(Error::invalid(format!(
                "{what} asks for {cores} cores and engine {engine} of this site has at most {most}; lower {}, or raise \
                 computing.{engine}.cores in service_conf.yaml",
                self.wishes(),
                engine = self.terms.engine,
            ))),
        }
    }

    /// Where the wishes for cores are written.
    fn wishes(&self) -> String {
        let options = self.terms.reads.join(" or ");
        match self.request.wish {
            Wish::Dag { .. } => format!("dag.conf.cores or engine_run ({options})"),
            Wish::RuntimeConf { .. } => format!("task_cores, task_parallelism or {options}"),
        }
    }

    fn partitions(&mut self, cores: u32) -> Result<u32> {
        let (n, why) = match self.request.partitions {
            Some(n) => (in_range("computing_partitions", n, Layout::MAX_PARTITIONS)?, "as asked"),
            None => (cores.min(Layout::MAX_PARTITIONS), "one for each core of a task"),
        };
        self.because(format!("tables have {n} partitions: {why}"));
        Ok(n)
    }
}

fn in_range(name: &str, number: u64, most: u32) -> Result<u32> {
    match u32::try_from(number) {
        Ok(fits) if fits > 0 && fits <= most => Ok(fits),
        _ => Err(Error::invalid(format!("{name} is {number}, expected 1 to {most}"))),
    }
}

fn unknown_option(name: &str, terms: Terms<'_>) -> String {
    let names: Vec<&str> = terms.reads.iter().copied().chain(known()).collect();
    let near = suggestion(name, names);
    let help = near.unwrap_or_else(|| format!("engine {} reads {}", terms.engine, terms.reads.join(" and ")));
    format!("unknown option {} ({help})", quoted(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_core::ids::Role;

    const TERMS: Terms<'_> =
        Terms { engine: "spark", reads: &["executor-cores"], most: 100, site_cores: Some(8) };

    fn with_option(name: &str, value: &str) -> CoreRequest {
        CoreRequest { options: [(name.to_owned(), value.to_owned())].into(), ..CoreRequest::default() }
    }

    #[test]
    fn an_option_of_another_engine_is_noted_and_an_unknown_one_refused() {
        let note = |name| Draft::new(&with_option(name, "secret"), TERMS).unwrap().notes.concat();
        for name in known().filter(|name| !TERMS.reads.contains(name)) {
            assert!(
                note(name).starts_with(&format!("option {name} has no effect on engine spark")),
                "{}",
                note(name)
            );
            assert!(!note(name).contains("secret"), "the value is not shown");
        }
        assert_eq!(note("executor-cores"), "");
        let refused = |name| Draft::new(&with_option(name, "1"), TERMS).unwrap_err().to_string();
        assert_eq!(
            refused("executor_core"),
            r#"unknown option "executor_core" (did you mean "executor-cores"?)"#
        );
        assert_eq!(
            refused("exector-memory"),
            r#"unknown option "exector-memory" (did you mean "executor-memory"?)"#
        );
        assert_eq!(refused("pace"), r#"unknown option "pace" (engine spark reads executor-cores)"#);
    }

    #[test]
    fn an_option_is_a_whole_number_from_1() {
        let read =
            |text: &str| Draft::new(&with_option("executor-cores", text), TERMS)?.option("executor-cores");
        assert_eq!(read(" 7 ").unwrap(), Some(7));
        assert_eq!(read("0").unwrap_err().to_string(), "executor-cores is 0, expected 1 to 100");
        for text in ["101", "18446744073709551615"] {
            assert!(
                read(text).unwrap_err().to_string().ends_with(&format!("is {text}, expected 1 to 100")),
                "{text}"
            );
        }
        for text in ["", "-1", "2.0", "two", "2 cores", "99999999999999999999", "null", "[2]"] {
            assert!(read(text).unwrap_err().to_string().ends_with("a whole number from 1 to 100"), "{text}");
        }
    }

    #[test]
    fn in_a_runtime_conf_nothing_and_less_count_as_not_given() {
        let read = |text: &str| {
            let request = with_option("executor-cores", text);
            let mut draft = Draft::new(&request, TERMS)?;
            draft.positive_option("executor-cores").map(|option| (option, draft.notes.len()))
        };
        assert_eq!(read("7").unwrap(), (Some(7), 0));
        assert_eq!(read("0").unwrap(), (None, 1));
        assert_eq!(read("-3").unwrap(), (None, 1));
        assert!(read("101").is_err() && read("18446744073709551616").is_err() && read("two").is_err());
    }

    #[test]
    fn the_two_ways_book_a_job_by_their_own_rules() {
        let booked = |wish, cores| {
            let request = CoreRequest { wish, ..CoreRequest::default() };
            Draft::new(&request, TERMS)?.finish(cores, Books::Cores, BTreeMap::new()).map(|p| p.job_booked)
        };
        let dag = |job_cores| Wish::Dag { job_cores };
        assert_eq!(booked(dag(None), 1).unwrap(), 4);
        assert_eq!(booked(dag(None), 6).unwrap(), 6);
        assert_eq!(booked(dag(Some(8)), 3).unwrap(), 8);
        assert_eq!(booked(dag(Some(2)), 3).unwrap(), 3);
        let conf = |task_parallelism| Wish::RuntimeConf { task_cores: None, task_parallelism };
        assert_eq!(booked(conf(None), 3).unwrap(), 3);
        assert_eq!(booked(conf(Some(2)), 3).unwrap(), 6);
        let refused = |wish, cores| booked(wish, cores).unwrap_err().to_string();
        assert_eq!(
            refused(conf(Some(3)), 3),
            "the job asks for 9 cores and engine spark of this site has at most 8; lower task_cores, task_parallelism or \
             executor-cores, or raise computing.spark.cores in service_conf.yaml"
        );
        assert!(refused(dag(None), 9).starts_with("a task asks for 9 cores"));
        assert!(refused(dag(Some(9)), 1).contains("lower dag.conf.cores or engine_run (executor-cores)"));
        assert_eq!(refused(conf(Some(0)), 1), "task_parallelism is 0, expected 1 to 100");
    }

    #[test]
    fn who_books_nothing_still_works_within_the_site() {
        let role = Some(Role::new("arbiter").unwrap());
        let request = CoreRequest { role, partitions: Some(70_000), ..CoreRequest::default() };
        let finish = |request: &CoreRequest, cores| {
            Draft::new(request, TERMS)?.finish(cores, Books::Nothing, BTreeMap::new())
        };
        assert!(finish(&request, 1).unwrap_err().to_string().contains("computing_partitions is 70000"));
        let request = CoreRequest { partitions: None, ..request };
        let placement = finish(&request, 2).unwrap();
        assert_eq!((placement.cores, placement.task_booked, placement.job_booked), (2, 0, 0));
        assert_eq!(placement.parallelism(), u32::MAX);
        assert!(finish(&request, 9).is_err());
        assert!(finish(&request, u64::MAX).is_err());
    }
}
