//! What a coordinator remembers of a job, behind a contract: changes, appended one after another, each only if no other was
//! appended in between.
//!
//! The state of a job is what its changes come to, so the history cannot disagree with it. A change that others act on is durable
//! before they are told: then a coordinator that was killed continues where it was, and decides nothing twice.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tributary_core::{Error, ErrorKind, JobHash, JobId, Result, ResultExt};
use tributary_system::clock::now_ms;

use crate::event::Failure;
use crate::record::{Records, private_folder};
use crate::scheduler::Outcome;
use crate::staged::flush;

/// Something that a coordinator decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum JobChange {
    /// The job begins: all sites have booked.
    Begun {
        /// What they agreed on.
        hash: JobHash,
    },
    /// An attempt at a task starts.
    Started {
        /// Which task.
        task: String,
        /// From 0.
        attempt: u32,
    },
    /// An attempt ended, and its outputs count at all parties or at none.
    Decided {
        /// Which task.
        task: String,
        /// From 0.
        attempt: u32,
        /// Whether they count.
        record: bool,
    },
    /// The job is over.
    Ended {
        /// How.
        outcome: Outcome,
        /// What failed.
        failure: Option<Failure>,
    },
}

/// A change as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// 1 for the first change of a job, then one more each time.
    pub revision: u64,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The change.
    #[serde(flatten)]
    pub change: JobChange,
}

/// What the changes of a job come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobState {
    /// The number of changes.
    pub revision: u64,
    /// What the parties agreed on; none before the job began.
    pub hash: Option<JobHash>,
    /// By task: its last attempt, and whether that one's outputs count, if that is decided.
    pub tasks: BTreeMap<String, (u32, Option<bool>)>,
    /// How the job ended, and what failed.
    pub ended: Option<(Outcome, Option<Failure>)>,
}

impl JobState {
    /// The state after some changes.
    pub fn of(entries: &[Entry]) -> Self {
        let mut state = Self::default();
        for entry in entries {
            state.revision = entry.revision;
            match &entry.change {
                JobChange::Begun { hash } => state.hash = Some(*hash),
                JobChange::Started { task, attempt } => {
                    state.tasks.insert(task.clone(), (*attempt, None));
                }
                JobChange::Decided { task, attempt, record } => {
                    state.tasks.insert(task.clone(), (*attempt, Some(*record)));
                }
                JobChange::Ended { outcome, failure } => state.ended = Some((*outcome, failure.clone())),
            }
        }
        state
    }

    /// Whether the outputs of an attempt count; none if that is not decided.
    pub fn verdict(&self, task: &str, attempt: u32) -> Option<bool> {
        let (last, record) = self.tasks.get(task)?;
        match (attempt.cmp(last), &self.ended) {
            (std::cmp::Ordering::Equal, None) => *record,
            (std::cmp::Ordering::Equal, Some(_)) => Some(*record == Some(true)),
            // another attempt follows only one that came to nothing
            (std::cmp::Ordering::Less, _) => Some(false),
            (std::cmp::Ordering::Greater, ended) => ended.as_ref().map(|_| false),
        }
    }
}

/// See the module.
#[async_trait]
pub trait JobStore: fmt::Debug + Send + Sync + 'static {
    /// Appends a change as number `revision`; `Conflict` if there is one of this number already, or none of the one before.
    /// Durable when it returns.
    async fn append(&self, job: &JobId, revision: u64, change: JobChange) -> Result<()>;
    /// All changes of a job, the first one first; none of a job that is not known.
    async fn history(&self, job: &JobId) -> Result<Vec<Entry>>;
}

/// Changes in a file of each job's folder, a line each.
#[derive(Debug)]
pub struct JobFiles(Records);

impl JobFiles {
    /// Under the home of a site.
    pub fn new(records: Records) -> Self {
        Self(records)
    }

    fn path(&self, job: &JobId) -> PathBuf {
        self.0.job_folder(job).join("coordinator.jsonl")
    }

    fn try_append(&self, job: &JobId, entry: &Entry) -> Result<bool> {
        let path = self.path(job);
        let append = || -> io::Result<bool> {
            private_folder(&self.0.job_folder(job))?;
            let mut file = File::options().read(true).append(true).create(true).mode(0o600).open(&path)?;
            file.lock()?;
            let (entries, whole) = read(&mut file)?;
            if entries.last().map_or(0, |last| last.revision) + 1 != entry.revision {
                return Ok(false);
            }
            // a line that was cut off by a crash was never reported as kept
            file.set_len(whole)?;
            let mut line = serde_json::to_vec(entry)?;
            line.push(b'\n');
            file.write_all(&line)?;
            file.sync_data()?;
            Ok(true)
        };
        let appended = append().at(|| format!("write {}", path.display()))?;
        if appended && entry.revision == 1 {
            path.parent()
                .into_iter()
                .chain(path.parent().and_then(|folder| folder.parent()))
                .try_for_each(flush)?;
        }
        Ok(appended)
    }
}

/// The whole lines of a file, and how many bytes they take.
fn read(file: &mut File) -> io::Result<(Vec<Entry>, u64)> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let entries = lines.map(serde_json::from_slice).collect::<serde_json::Result<Vec<Entry>>>()?;
    Ok((entries, whole as u64))
}

#[async_trait]
impl JobStore for JobFiles {
    async fn append(&self, job: &JobId, revision: u64, change: JobChange) -> Result<()> {
        match self.try_append(job, &Entry { revision, at_ms: now_ms(), change })? {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "job {job} has other changes than {} before this one; another process coordinates it",
                    revision - 1
                ),
            )),
        }
    }

    async fn history(&self, job: &JobId) -> Result<Vec<Entry>> {
        let path = self.path(job);
        let history = File::open(&path).and_then(|mut file| read(&mut file));
        match history {
            Ok((entries, _)) => Ok(entries),
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(reason) => Err(reason).at(|| format!("read {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    /// What every store promises.
    fn suite(store: &dyn JobStore) {
        let job = JobId::new("a").unwrap();
        let started = |attempt| JobChange::Started { task: "t".into(), attempt };
        let decided = |attempt, record| JobChange::Decided { task: "t".into(), attempt, record };
        let append = |revision, change| block_on(store.append(&job, revision, change));
        let state = || JobState::of(&block_on(store.history(&job)).unwrap());
        assert_eq!(state(), JobState::default());
        let hash = JobHash::new([7; 32]);
        append(1, JobChange::Begun { hash }).unwrap();
        append(2, started(0)).unwrap();
        for revision in [1, 2, 4] {
            assert_eq!(append(revision, started(9)).unwrap_err().kind(), ErrorKind::Conflict);
        }
        assert_eq!((state().hash, state().verdict("t", 0)), (Some(hash), None));
        append(3, decided(0, false)).unwrap();
        append(4, started(1)).unwrap();
        assert_eq!([0, 1].map(|attempt| state().verdict("t", attempt)), [Some(false), None]);
        append(5, decided(1, true)).unwrap();
        append(6, started(2)).unwrap();
        append(7, JobChange::Ended { outcome: Outcome::Failed, failure: None }).unwrap();
        assert_eq!((state().ended, state().verdict("t", 2)), (Some((Outcome::Failed, None)), Some(false)));
        let revisions: Vec<u64> =
            block_on(store.history(&job)).unwrap().iter().map(|entry| entry.revision).collect();
        assert_eq!(revisions, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(block_on(store.history(&JobId::new("b").unwrap())).unwrap(), []);
    }

    #[test]
    fn files_keep_the_promises_of_a_store() {
        let home = tempfile::tempdir().unwrap();
        suite(&JobFiles::new(Records::new(home.path())));
    }

    #[test]
    fn of_two_coordinators_one_appends() {
        let home = tempfile::tempdir().unwrap();
        let job = JobId::new("a").unwrap();
        let appended = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let store = JobFiles::new(Records::new(home.path()));
                    for revision in 1..=10 {
                        let change = JobChange::Started { task: "t".into(), attempt: 0 };
                        if block_on(store.append(&job, revision, change)).is_ok() {
                            appended.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(appended.into_inner(), 10);
    }

    #[test]
    fn a_line_that_was_cut_off_is_written_again() {
        let home = tempfile::tempdir().unwrap();
        let (job, records) = (JobId::new("a").unwrap(), Records::new(home.path()));
        let store = JobFiles::new(records);
        let change = || JobChange::Started { task: "t".into(), attempt: 0 };
        block_on(store.append(&job, 1, change())).unwrap();
        let mut file = File::options().append(true).open(store.path(&job)).unwrap();
        file.write_all(b"{\"revision\": 2, ").unwrap();
        block_on(store.append(&job, 2, change())).unwrap();
        assert_eq!(block_on(store.history(&job)).unwrap().len(), 2);
    }
}
