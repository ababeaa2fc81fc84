//! From a job file to a job that can run, or to the resources that it would get.

use tributary_component::Component;
use tributary_core::{Error, ErrorKind, JobId, PartyId, Result};
use tributary_document::Problems;
use tributary_flow::Job;
use tributary_flow::lookup::look_up;
use tributary_flow::place::{Placed, place};
use tributary_flow::spec::{JobSpec, SyncType};
use tributary_runtime::Home;

use crate::LATEST;

/// A job file that was read and checked.
#[derive(Debug)]
pub struct Submission<'a> {
    home: &'a Home,
    spec: JobSpec,
}

impl<'a> Submission<'a> {
    /// Reads and checks a job. Messages call the source `file`.
    pub fn read(home: &'a Home, file: &str, source: &[u8]) -> Result<Self, Problems> {
        Ok(Self { home, spec: JobSpec::parse(file, source, home.components())? })
    }

    /// Settings of the job and of its sites that have no effect, a line each.
    pub fn notes(&self) -> Result<Vec<String>> {
        let conf = &self.spec.conf;
        let of_servers = [
            ("priority", conf.priority != 0),
            ("sync_type", conf.sync_type != SyncType::default()),
            ("scheduler_party_id", conf.scheduler_party_id.is_some()),
        ];
        let of_servers = of_servers
            .into_iter()
            .filter(|(_, is_set)| *is_set)
            .map(|(key, _)| format!("dag.conf.{key} has no effect where all parties run in one process"));
        let mut notes: Vec<String> = self.spec.notes.iter().cloned().chain(of_servers).collect();
        for party in self.parties() {
            // The machine's file applies to all of its parties.
            let of_site = self.home.party_settings(&party)?.notes();
            notes.extend(of_site.into_iter().filter(|note| !notes.contains(note)).collect::<Vec<_>>());
        }
        Ok(notes)
    }

    /// The job, with the sites of all its parties. `id`: the id to use instead of date and time.
    pub fn into_job(self, id: Option<&str>) -> Result<Job> {
        let id = match id {
            Some(LATEST) => {
                let text = format!("job id {LATEST:?} means the latest job of a party; choose another");
                return Err(Error::invalid(text));
            }
            Some(id) => JobId::new(id)?,
            None => tributary_flow::new_job_id()?,
        };
        let sites = self.home.sites(&self.parties())?;
        Ok(Job { id, spec: self.spec, sites, components: self.home.components().clone() })
    }

    /// The resources of every task on every party's engine. Placements do not depend on tables; the second result lists the
    /// tables and models that a party lacks.
    pub fn explain(&self) -> Result<(Placed, impl Future<Output = Result<()>>)> {
        let sites = self.home.sites(&self.parties())?;
        let placed = place(&self.spec, &sites)?;
        Ok((placed, async move { look_up(&self.spec, &sites).await }))
    }

    fn parties(&self) -> Vec<PartyId> {
        let mut ids: Vec<PartyId> = self.spec.parties.iter().map(|p| p.id.clone()).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

/// A component by name; the error suggests the nearest.
pub fn component<'a>(home: &'a Home, name: &str) -> Result<&'a dyn Component> {
    home.components().get(name).map(|found| &**found).ok_or_else(|| {
        let help = tributary_document::suggestion(name, home.components().names());
        let help = help.map_or(String::new(), |help| format!(" ({help})"));
        Error::new(ErrorKind::NotFound, format!("no component {name:?}{help}"))
    })
}
