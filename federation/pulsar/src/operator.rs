//! The cluster as a site's operator asks it: whether it can be used, whether replication runs, what lies there.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tributary_core::federation::{Broker, Direction, Held};
use tributary_core::{Error, ErrorKind, PartyId, Result};
use tributary_system::clock::since_1970;
use tributary_wire::Readable;

use crate::admin::Space;
use crate::cluster::Cluster;
use crate::config::Config;

/// A site's cluster, for its operator.
pub struct Operator {
    cluster: Arc<Cluster>,
}

impl Operator {
    /// Connects when it is asked. Must be called within a tokio runtime.
    pub fn new(own: PartyId, config: Config) -> Result<Self> {
        Ok(Self { cluster: Arc::new(Cluster::new(own, config)?) })
    }

    /// Topics of ours in a namespace, without those of others.
    async fn held_in(&self, space: &Space) -> Result<Vec<Held>> {
        let mut all = Vec::new();
        for name in self.cluster.admin.topics(&space.name).await? {
            let Some(readable) = Readable::of(&name) else { continue };
            let Some((direction, peer)) = readable.seen_from(&self.cluster.own) else { continue };
            // It may go in between.
            let backlog = match self.cluster.admin.backlog(space, &name).await {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                backlog => backlog?,
            };
            let waits = backlog.replication.as_ref().map_or(0, |replication| replication.waiting);
            all.push(Held {
                peer: peer.to_owned(),
                name: format!("{}/{name}", space.name),
                purpose: readable.purpose,
                direction,
                frames: backlog.messages.max(waits),
                bytes: backlog.bytes,
                readers: backlog.readers,
                idle: backlog.used.map(|used| since_1970().saturating_sub(used)),
            });
        }
        Ok(all)
    }
}

#[async_trait]
impl Broker for Operator {
    async fn look(&self) -> Result<String> {
        let Config { cluster, tenant, .. } = &self.cluster.config;
        let known = self.cluster.admin.clusters().await?;
        if !known.contains(cluster) {
            let known = known.join(", ");
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("the cluster knows {known}, and no {cluster}; see federation.pulsar.cluster"),
            ));
        }
        // Its namespaces are listed to whoever may make topics in them.
        match self.cluster.admin.namespaces().await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            namespaces => drop(namespaces?),
        }
        self.cluster.client().await?;
        Ok(format!("cluster {cluster} at {}, tenant {tenant}", self.cluster.place()))
    }

    async fn link(&self, partner: &PartyId) -> Result<Option<String>> {
        let space = self.cluster.space_with(partner)?;
        let Some(joined) = &space.joined else { return Ok(None) };
        let name = &joined.name;
        for held in self.held_in(&space).await?.iter().filter(|held| held.direction == Direction::Sent) {
            let topic = held.name.rsplit_once('/').map_or(held.name.as_str(), |(_, topic)| topic);
            let replication = self.cluster.admin.backlog(&space, topic).await?.replication;
            if let Some(replication) = replication.filter(|replication| !replication.is_connected) {
                let waiting = replication.waiting;
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!(
                        "replication to cluster {name} at {} is down, and {waiting} messages wait; see whether that cluster runs and is \
                         reached from here, its entry in the route table, and whether the partner has opened its side",
                        joined.route.host
                    ),
                ));
            }
        }
        Ok(Some(format!("replication to cluster {name} at {}", joined.route.host)))
    }

    async fn held(&self) -> Result<Vec<Held>> {
        let mut all = Vec::new();
        for space in self.cluster.spaces().await? {
            all.extend(self.held_in(&space).await?);
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn remove(&self, held: &Held) -> Result<()> {
        let (space, topic) = held
            .name
            .split_once('/')
            .ok_or_else(|| Error::invalid(format!("{} is no namespace and topic", held.name)))?;
        let space = Space { name: space.to_owned(), joined: None };
        self.cluster.admin.remove(&space, topic).await
    }

    async fn unlink(&self) -> Result<u64> {
        let mut removed = 0;
        for space in self.cluster.spaces().await? {
            removed += u64::from(self.cluster.admin.remove_if_empty(&space).await?);
        }
        Ok(removed)
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operator of {:?}", self.cluster)
    }
}
