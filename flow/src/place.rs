//! From what a job asks for to what each engine gives: placements of all tasks at all parties, before anything runs.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use tributary_core::placement::{CoreRequest, Placement};
use tributary_core::{Error, ErrorKind, Party, PartyId, Result, Site};

use crate::spec::{JobSpec, PartyTask};

/// Where everything runs.
#[derive(Debug, Clone, Serialize)]
pub struct Placed {
    /// Cores of the whole job at each party.
    pub job_cores: BTreeMap<String, u32>,
    /// By task and party, in the order of the job.
    pub tasks: Vec<PlacedTask>,
}

/// One task at one party.
#[derive(Debug, Clone, Serialize)]
pub struct PlacedTask {
    /// Which task.
    pub task: String,
    /// Who.
    pub party: Party,
    /// Name of the computing engine there.
    pub engine: String,
    /// What it gives.
    pub placement: Placement,
}

impl Placed {
    /// The placement of a task at a party.
    pub(crate) fn get(&self, task: &str, party: &Party) -> Result<&Placement> {
        let found = self.tasks.iter().find(|p| p.task == task && p.party == *party);
        found.map(|p| &p.placement).ok_or_else(|| Error::bug(format!("task {task} is not placed at {party}")))
    }
}

/// Places every task; the error names every task and party whose wish cannot be met.
pub fn place(spec: &JobSpec, sites: &BTreeMap<PartyId, Site>) -> Result<Placed> {
    let (mut placed, mut wrong) = (Placed { job_cores: BTreeMap::new(), tasks: Vec::new() }, Vec::new());
    for name in spec.levels.iter().flatten() {
        for part in &spec.tasks[name].parties {
            let site = site(sites, &part.party.id)?;
            let request = request(spec, part, site);
            let placement = match site.engine.place(&request) {
                Ok(placement) => placement,
                Err(error) => {
                    wrong.push(format!("place task {name} at {}: {error}", part.party));
                    continue;
                }
            };
            let job = placed.job_cores.entry(part.party.to_string()).or_default();
            *job = (*job).max(placement.job_booked);
            placed.tasks.push(PlacedTask {
                task: name.clone(),
                party: part.party.clone(),
                engine: site.engine.info().name.into(),
                placement,
            });
        }
    }
    if wrong.is_empty() { Ok(placed) } else { Err(Error::invalid(wrong.join("\n"))) }
}

pub(crate) fn site<'a>(sites: &'a BTreeMap<PartyId, Site>, party: &PartyId) -> Result<&'a Site> {
    sites.get(party).ok_or_else(|| Error::new(ErrorKind::NotFound, format!("party {party} has no site here")))
}

fn request(spec: &JobSpec, part: &PartyTask, site: &Site) -> CoreRequest {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let options = part.conf.engine_run.iter().flatten().map(|(key, value)| (key.clone(), text(value)));
    CoreRequest {
        role: Some(part.party.role.clone()),
        job_cores: spec.conf.cores.map(u64::from),
        partitions: spec.conf.computing_partitions.map(u64::from),
        options: options.collect(),
        site_cores: Some(u64::from(site.cores)),
        ..CoreRequest::default()
    }
}
