//! The cores of a site that its jobs have booked: over all of its jobs, roles and processes.
//!
//! A file under the site's home names jobs and their cores. An entry counts while the job's claim is held, so that a process that
//! is killed gives its cores back without anybody doing it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tributary_core::{JobId, Result, ResultExt};

use crate::agent::Booked;
use crate::claim::Claim;
use crate::record::{Records, private_folder};

/// See the module.
#[derive(Debug)]
pub(crate) struct Cores {
    folder: PathBuf,
    records: Records,
    /// All cores that the site gives to jobs.
    total: u32,
}

type Entries = BTreeMap<JobId, u32>;

impl Cores {
    /// The cores of the site with this home.
    pub(crate) fn of(records: &Records, total: u32) -> Self {
        Self { folder: records.home().join("cores"), records: records.clone(), total }
    }

    /// Books cores for a job whose claim this process holds; as many as the site has, if it wants more.
    pub(crate) fn book(&self, job: &JobId, wanted: u32) -> Result<Booked> {
        let wanted = wanted.min(self.total);
        self.change(|entries| {
            let others: Vec<(&JobId, u32)> = entries
                .iter()
                .filter(|(other, _)| *other != job)
                .map(|(other, cores)| (other, *cores))
                .collect();
            let free = self.total.saturating_sub(others.iter().map(|(_, cores)| cores).sum());
            if wanted > free {
                let others: Vec<String> =
                    others.iter().map(|(other, cores)| format!("job {other} has {cores}")).collect();
                let total = self.total;
                return Booked::NotYet(format!(
                    "{free} of {total} cores are free, {wanted} wanted; {}",
                    others.join(", ")
                ));
            }
            entries.insert(job.clone(), wanted);
            Booked::Yes
        })
    }

    /// Gives the cores of a job back.
    pub(crate) fn release(&self, job: &JobId) -> Result<()> {
        self.change(|entries| {
            entries.remove(job);
        })
    }

    /// Changes the entries of jobs that still run.
    fn change<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> Result<T> {
        let file = self.folder.join("booked.json");
        private_folder(&self.folder).at(|| format!("create {}", self.folder.display()))?;
        let _turn = Claim::take(&self.folder)?;
        // A file that cannot be read is of no use to anybody: which jobs run is known from their claims.
        let mut entries: Entries =
            fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let mut ended = Vec::new();
        for job in entries.keys() {
            if !Claim::is_held(&self.records.job_folder(job))? {
                ended.push(job.clone());
            }
        }
        entries.retain(|job, _| !ended.contains(job));
        let result = change(&mut entries);
        let bytes = serde_json::to_vec(&entries).unwrap_or_default();
        fs::write(&file, bytes).at(|| format!("write {}", file.display()))?;
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::ModelRef;

    fn job(records: &Records, id: &str) -> (JobId, Claim) {
        let job = JobId::new(id).unwrap();
        let claim = records.claim(&job, &ModelRef::new(id, "0"), None).unwrap();
        (job, claim)
    }

    #[test]
    fn jobs_share_the_cores_of_their_site_until_they_end_or_are_killed() {
        let home = tempfile::tempdir().unwrap();
        let records = Records::new(home.path());
        let cores = || Cores::of(&records, 4);
        let ((a, _held), (b, killed), (c, _also)) =
            (job(&records, "a"), job(&records, "b"), job(&records, "c"));
        assert_eq!(cores().book(&a, 3).unwrap(), Booked::Yes);
        assert_eq!(cores().book(&a, 3).unwrap(), Booked::Yes, "again, because the answer was lost");
        let waits = "1 of 4 cores are free, 2 wanted; job a has 3";
        assert_eq!(cores().book(&b, 2).unwrap(), Booked::NotYet(waits.into()));
        assert_eq!(cores().book(&b, 1).unwrap(), Booked::Yes);
        cores().release(&a).unwrap();
        drop(killed);
        assert_eq!(cores().book(&c, 9).unwrap(), Booked::Yes, "all there are");
    }
}
