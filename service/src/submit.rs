//! From a job file to a job that can run, or to the resources that it would get.

use std::collections::BTreeMap;
use std::sync::Arc;

use tributary_component::Component;
use tributary_core::{Error, ErrorKind, JobId, PartyId, Result};
use tributary_document::Problems;
use tributary_fate1 as fate1;
use tributary_flow::agent::{Agent, Offer};
use tributary_flow::event::Watcher;
use tributary_flow::place::Placed;
use tributary_flow::record::Records;
use tributary_flow::spec::{JobSpec, OwnPart, SyncType};
use tributary_flow::store::JobFiles;
use tributary_flow::{Coordinator, SiteAgent};
use tributary_runtime::Home;

use crate::LATEST;

/// A job file that was read and checked.
#[derive(Debug)]
pub struct Submission<'a> {
    home: &'a Home,
    offer: Offer,
}

impl<'a> Submission<'a> {
    /// Reads and checks a job. Messages call the source `file`. `id`: the id to use instead of date and time.
    pub fn read(home: &'a Home, file: &str, source: &[u8], id: Option<&str>) -> Result<Self, NotRead> {
        Ok(Self { home, offer: Offer::read(job_id(id)?, file, source, home.components())? })
    }

    /// The same for a job of FATE 1 that was converted; its problems are those of the files that it was converted from.
    pub fn of_converted(home: &'a Home, job: &fate1::Job, id: Option<&str>) -> Result<Self, NotRead> {
        let mut read = Self::read(home, &job.file, job.text.as_bytes(), id).map_err(|why| match why {
            NotRead::Problems(problems) => NotRead::Problems(job.origins.trace(&problems)),
            error => error,
        })?;
        Arc::make_mut(&mut read.offer.spec).notes.splice(0..0, job.notes.iter().cloned());
        Ok(read)
    }

    /// Settings of the job and of its sites that have no effect, a line each.
    pub fn notes(&self) -> Result<Vec<String>> {
        let conf = &self.offer.spec.conf;
        let of_servers =
            [("priority", conf.priority != 0), ("sync_type", conf.sync_type != SyncType::default())];
        let of_servers = of_servers
            .into_iter()
            .filter(|(_, is_set)| *is_set)
            .map(|(key, _)| format!("dag.conf.{key} has no effect where all parties run in one process"));
        let mut notes: Vec<String> = self.offer.spec.notes.iter().cloned().chain(of_servers).collect();
        for party in self.offer.spec.sites() {
            // The machine's file applies to all of its parties.
            let of_site = self.home.party_settings(&party)?.notes();
            notes.extend(of_site.into_iter().filter(|note| !notes.contains(note)).collect::<Vec<_>>());
        }
        Ok(notes)
    }

    pub(crate) fn parts(&self) -> (&'a Home, &Offer) {
        (self.home, &self.offer)
    }

    pub(crate) fn into_parts(self) -> (&'a Home, Offer) {
        (self.home, self.offer)
    }

    /// A coordinator of the job, with agents of all its sites in this process.
    pub fn all_here(self, watcher: &Watcher) -> Result<Coordinator> {
        let sites = self.home.sites(&self.offer.spec.sites())?;
        let coordinating = self.offer.spec.coordinator();
        let site = sites.get(&coordinating).or_else(|| sites.values().next());
        let site = site.ok_or_else(|| Error::bug("a job has a party"))?;
        let (store, patience) = (Arc::new(JobFiles::new(Records::new(&site.home))), site.patience);
        let agent = |(id, site)| {
            let agent = SiteAgent::new(site, self.home.components().clone(), watcher.clone());
            (id, Arc::new(agent) as Arc<dyn Agent>)
        };
        let agents: BTreeMap<PartyId, Arc<dyn Agent>> = sites.into_iter().map(agent).collect();
        Ok(Coordinator { offer: self.offer, agents, store, patience })
    }

    /// The resources of every task on every party's engine. Placements do not depend on tables; the second result lists the
    /// tables and models that a party lacks.
    pub async fn explain(self) -> Result<(Placed, Result<()>)> {
        let unwatched: Watcher = Arc::new(|_| {});
        self.all_here(&unwatched)?.explain().await
    }

    /// The same for one party alone, without a word to any other. `own`: what it keeps to itself about its part.
    pub async fn explain_part(self, party: &PartyId, own: Option<OwnPart>) -> Result<(Placed, Result<()>)> {
        self.expect_part(party)?;
        let site = self.home.site_alone(party)?;
        let (store, patience) = (Arc::new(JobFiles::new(Records::new(&site.home))), site.patience);
        let agent = SiteAgent::new(site, self.home.components().clone(), Arc::new(|_| {})).with_own(own);
        let agents = BTreeMap::from([(party.clone(), Arc::new(agent) as Arc<dyn Agent>)]);
        Coordinator { offer: self.offer, agents, store, patience }.explain().await
    }

    /// `InvalidInput` for a party without a part in the job.
    pub(crate) fn expect_part(&self, party: &PartyId) -> Result<()> {
        let sites = self.offer.spec.sites();
        if sites.contains(party) {
            return Ok(());
        }
        let sites: Vec<&str> = sites.iter().map(PartyId::as_str).collect();
        let text = format!("party {party} has no part in the job, which has {}", sites.join(", "));
        Err(Error::invalid(text))
    }
}

/// A job of FATE 1 as one of schema 2.x; all mistakes of both files at once.
pub fn converted(home: &Home, dsl: &fate1::File<'_>, conf: &fate1::File<'_>) -> Result<fate1::Job, Problems> {
    fate1::convert(dsl, conf).map_err(|mistakes| {
        mistakes.with(|job| JobSpec::parse(&job.file, job.text.as_bytes(), home.components()).err())
    })
}

/// The id of a job: as given, else date and time.
fn job_id(given: Option<&str>) -> Result<JobId> {
    match given {
        Some(LATEST) => {
            let text = format!("job id {LATEST:?} means the latest job of a party; choose another");
            Err(Error::invalid(text))
        }
        Some(id) => JobId::new(id),
        None => tributary_flow::new_job_id(),
    }
}

/// Why a job cannot be submitted.
#[derive(Debug)]
pub enum NotRead {
    /// The file has mistakes.
    Problems(Problems),
    /// Something else is wrong.
    Error(Error),
}

impl From<Problems> for NotRead {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}

impl From<Error> for NotRead {
    fn from(error: Error) -> Self {
        Self::Error(error)
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
