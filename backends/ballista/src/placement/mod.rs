//! From a job's wish for cores to executors of a cluster: pure functions of the site's numbers and the request.
//!
//! FATE leaves it to the cluster what a wish that does not fit comes to, and then waits for ever. Here it is refused, with
//! the site's numbers and what to change.

mod eggroll;
mod spark;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use tributary_core::error::{Error, Result};
use tributary_core::placement::{CoreRequest, Placement};
use tributary_placement::Terms;
use tributary_placement::nodes::PER_NODE;

/// Whose rules count cores, and whose names options have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// EggRoll's: a task works on every node, with the same number of cores.
    Eggroll,
    /// Spark's: a task gets executors of so many cores, wherever they fit.
    Spark,
}

/// A cluster as the site's configuration counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cluster {
    /// How it counts.
    pub arithmetic: Arithmetic,
    /// Machines, all alike.
    pub nodes: u32,
    /// Cores of all nodes together that jobs may have.
    pub cores: u32,
}

/// What works for one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executors {
    /// How many.
    pub count: u32,
    /// Cores of each.
    pub cores: u32,
}

/// What one task gets. If the request knows of fewer cores than the cluster has, those are all there are.
///
/// `InvalidInput` for options that no engine knows, and for what the cluster cannot hold.
pub fn place(cluster: &Cluster, request: &CoreRequest) -> Result<Placement> {
    let room = Room::of(cluster, request)?;
    match cluster.arithmetic {
        Arithmetic::Eggroll => eggroll::place(&room, request),
        Arithmetic::Spark => spark::place(&room, request),
    }
}

impl Arithmetic {
    /// The engine's name in `service_conf.yaml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eggroll => "eggroll",
            Self::Spark => "spark",
        }
    }

    /// Settings for the number of executors and for the cores of each.
    fn settings(self) -> [&'static str; 2] {
        match self {
            Self::Eggroll => ["nodes", PER_NODE],
            Self::Spark => [spark::EXECUTORS, spark::CORES],
        }
    }
}

impl Executors {
    /// Reads them from a placement that [`place`] made.
    pub fn of(placement: &Placement) -> Result<Self> {
        let number = |name: &str| placement.settings.get(name)?.parse::<u32>().ok().filter(|n| *n > 0);
        let read = |arithmetic: Arithmetic| {
            let [count, cores] = arithmetic.settings();
            Some(Self { count: number(count)?, cores: number(cores)? })
        };
        let executors = read(Arithmetic::Eggroll).or_else(|| read(Arithmetic::Spark));
        let adds_up = |e: &Self| e.total() == u64::from(placement.cores);
        executors.filter(adds_up).ok_or_else(|| {
            Error::invalid(format!(
                "settings {:?} do not say which executors make up {} cores",
                placement.settings, placement.cores
            ))
        })
    }

    /// Cores of all.
    pub fn total(self) -> u64 {
        u64::from(self.count) * u64::from(self.cores)
    }

    fn settings(self, arithmetic: Arithmetic) -> BTreeMap<String, String> {
        let [count, cores] = arithmetic.settings().map(str::to_owned);
        BTreeMap::from([(count, self.count.to_string()), (cores, self.cores.to_string())])
    }
}

/// More executors, cores or tasks than this are taken for a typing mistake; job files are read within the same bound.
const MOST: u32 = 1_000_000;

/// What the cluster can hold.
#[derive(Debug)]
struct Room {
    arithmetic: Arithmetic,
    nodes: u32,
    /// Of all nodes together.
    cores: u32,
    /// Nodes of one site may differ by a core; the smallest counts, since any executor may land there.
    per_node: u32,
}

impl Room {
    fn of(cluster: &Cluster, request: &CoreRequest) -> Result<Self> {
        let Cluster { arithmetic, nodes, cores } = *cluster;
        let name = arithmetic.name();
        let per_node = cores.checked_div(nodes).filter(|cores| *cores > 0).ok_or_else(|| {
            Error::invalid(format!(
                "engine {name} of this site has {cores} cores on {nodes} nodes, expected at least one node and one core on \
                 each; mend computing.{name} in service_conf.yaml"
            ))
        })?;
        let asked = request.site_cores.and_then(|cores| u32::try_from(cores).ok());
        Ok(Self { arithmetic, nodes, cores: asked.map_or(cores, |asked| asked.min(cores)), per_node })
    }

    fn terms<'a>(&self, reads: &'a [&'a str]) -> Terms<'a> {
        let engine = self.arithmetic.name();
        Terms { engine, reads, most: MOST, site_cores: Some(self.cores.into()) }
    }

    /// How many executors of so many cores there is room for: an executor is on one node.
    fn executors_of(&self, cores: u32) -> u32 {
        let on_nodes = self.nodes.saturating_mul(self.per_node.checked_div(cores).unwrap_or(0));
        on_nodes.min(self.cores.checked_div(cores).unwrap_or(0))
    }

    /// Cores that each of so many executors may have; 0 if not even one.
    fn cores_of(&self, executors: u32) -> u32 {
        let on_one_node = executors.div_ceil(self.nodes);
        let each = self.per_node.checked_div(on_one_node).unwrap_or(0);
        each.min(self.cores.checked_div(executors).unwrap_or(0))
    }

    /// `wish` is the name of what asked for the cores of an executor.
    fn check(&self, executors: Executors, wish: &str) -> Result<()> {
        let Executors { count, cores } = executors;
        let Self { nodes, per_node, cores: total, .. } = self;
        let raise = format!("raise computing.{}.cores in service_conf.yaml", self.arithmetic.name());
        if cores > *per_node {
            return Err(Error::invalid(format!(
                "a task asks for executors of {cores} cores and a node of this site has {per_node} (engine {}: {total} cores on \
                 {nodes} nodes); lower {wish}, or {raise}",
                self.arithmetic.name()
            )));
        }
        let most = self.executors_of(cores);
        if count > most {
            return Err(Error::invalid(format!(
                "a task asks for {count} executors of {cores} cores and this site has room for {most} (engine {}: {total} cores on \
                 {nodes} nodes, {per_node} each); lower {} or {wish}, or {raise}",
                self.arithmetic.name(),
                self.arithmetic.settings()[0],
            )));
        }
        Ok(())
    }
}
