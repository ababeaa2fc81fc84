//! The queue of a site: a topic for each channel.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, sleep};
use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt};
use tributary_wire::{Channel, Delivery, Queue, Receipt};

use crate::admin::Space;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::reader::Inlet;
use crate::writer::Outlet;

/// How long the other cluster is waited for at the end.
const BRINGING: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// A site's ends of all its channels, at its cluster. Sites in one process have one each, or the same if they use the same cluster.
pub struct Pulsar {
    cluster: Arc<Cluster>,
    own: PartyId,
    ends: Mutex<HashMap<Channel, Ends>>,
}

/// What this process has of a channel; both, where a site meets itself.
#[derive(Default)]
struct Ends {
    outlet: Option<Arc<Outlet>>,
    inlet: Option<Arc<Inlet>>,
}

impl Ends {
    fn close(self) {
        self.outlet.iter().for_each(|outlet| outlet.close());
        self.inlet.iter().for_each(|inlet| inlet.close());
    }
}

impl Pulsar {
    /// The queue of a site. Connects when it is first used. Must be called within a tokio runtime.
    pub fn new(own: PartyId, config: Config) -> Result<Self> {
        let cluster = Arc::new(Cluster::new(own.clone(), config)?);
        Ok(Self { cluster, own, ends: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Channel, Ends>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs to its end on the runtime, whoever waits for it and stops doing so.
    async fn on_runtime<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let joined = self.cluster.runtime.spawn(call).await;
        joined.map_err(|e| Error::new(ErrorKind::Cancelled, "the process ends").because(e))?
    }

    fn outlet(&self, channel: &Channel) -> Result<Arc<Outlet>> {
        let mut ends = self.lock();
        let ends = ends.get_mut(channel).ok_or_else(|| absent(channel))?;
        if let Some(outlet) = &ends.outlet {
            return Ok(outlet.clone());
        }
        let space = self.cluster.space(channel)?;
        let outlet = Outlet::start(self.cluster.clone(), space, channel);
        Ok(ends.outlet.insert(outlet).clone())
    }

    fn inlet(&self, channel: &Channel) -> Result<Arc<Inlet>> {
        let mut ends = self.lock();
        let ends = ends.get_mut(channel).ok_or_else(|| absent(channel))?;
        // Nothing is lost by beginning again, other than at the sender's end.
        if let Some(inlet) = ends.inlet.as_ref().filter(|inlet| inlet.ended() != Some(ErrorKind::Unavailable))
        {
            return Ok(inlet.clone());
        }
        let topic = self.cluster.admin.topic(&self.cluster.space(channel)?, channel.as_str());
        let ahead = channel.carriage().ahead;
        Ok(ends.inlet.insert(Inlet::start(self.cluster.clone(), topic, ahead)).clone())
    }
}

/// Removes the sender's own copy of a topic once the other cluster has all of it. If that takes long, it is left to expire.
async fn bring(cluster: &Cluster, space: &Space, name: &str) -> Result<()> {
    let end = Instant::now() + BRINGING;
    while Instant::now() < end {
        match cluster.admin.backlog(space, name).await {
            Ok(backlog)
                if backlog.replication.as_ref().is_some_and(|replication| replication.waiting == 0) =>
            {
                return cluster.admin.remove(space, name).await;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Ok(_) => sleep(ASK_AGAIN).await,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn absent(channel: &Channel) -> Error {
    Error::new(ErrorKind::NotFound, format!("no channel {channel}"))
}

#[async_trait]
impl Queue for Pulsar {
    fn name(&self) -> &'static str {
        "pulsar"
    }

    async fn open(&self, channel: &Channel) -> Result<()> {
        let space = self.cluster.space(channel)?;
        // In another cluster the receiver makes its own topic, and what comes before waits in this one.
        let receives = space.joined.is_none() || *channel.to() == self.own;
        let (cluster, name) = (self.cluster.clone(), channel.as_str().to_owned());
        let made = async move { cluster.admin.make(&space, &name, receives).await };
        self.on_runtime(made).await.at(|| format!("make topic {channel} at {}", self.cluster.place()))?;
        let mut ends = self.lock();
        let ends = ends.entry(channel.clone()).or_default();
        // What ended because the topic was gone begins again with the new one.
        ends.outlet.take_if(|outlet| outlet.is_ended());
        ends.inlet.take_if(|inlet| inlet.ended().is_some());
        Ok(())
    }

    async fn send(&self, channel: &Channel, frames: &[Bytes]) -> Result<()> {
        self.outlet(channel)?.send(frames).await
    }

    async fn flush(&self, channel: &Channel) -> Result<()> {
        self.outlet(channel)?.flush().await
    }

    async fn receive(&self, channel: &Channel) -> Result<Delivery> {
        self.inlet(channel)?.receive().await
    }

    async fn acknowledge(&self, channel: &Channel, receipt: Receipt) -> Result<()> {
        self.inlet(channel)?.acknowledge(receipt);
        Ok(())
    }

    async fn remove(&self, channel: &Channel) -> Result<()> {
        if let Some(ends) = self.lock().remove(channel) {
            ends.close();
        }
        let space = self.cluster.space(channel)?;
        let (cluster, name) = (self.cluster.clone(), channel.as_str().to_owned());
        let removed = async move { cluster.admin.remove(&space, &name).await };
        self.on_runtime(removed).await.at(|| format!("remove topic {channel} at {}", self.cluster.place()))
    }

    async fn finish(&self, channel: &Channel) -> Result<()> {
        if let Some(ends) = self.lock().remove(channel) {
            ends.close();
        }
        let space = self.cluster.space(channel)?;
        if space.joined.is_none() {
            return Ok(());
        }
        let (cluster, name) = (self.cluster.clone(), channel.as_str().to_owned());
        self.on_runtime(async move { bring(&cluster, &space, &name).await }).await
    }
}

impl Drop for Pulsar {
    fn drop(&mut self) {
        self.lock().drain().for_each(|(_, ends)| ends.close());
    }
}

impl fmt::Debug for Pulsar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue of {:?}", self.cluster)
    }
}
