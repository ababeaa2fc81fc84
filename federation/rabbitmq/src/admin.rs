//! What is asked of the broker's management interface: the links to partners' brokers, and what lies in the broker.
//!
//! There is one upstream and one policy for each partner, for all channels from it: opening a channel costs no request, and a crash leaves nothing
//! that the next process does not use.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use lapin::BasicProperties;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tributary_broker::{Admin, Route, segment};
use tributary_core::federation::{Broker, Held};
use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt, Shown};
use tributary_system::clock::{from_utc, since_1970};
use tributary_wire::Readable;

use crate::config::{Config, Mode};
use crate::error;
use crate::line::Line;
use crate::queue::remove;

/// Messages that a broker fetches before they are in its own queue.
const PREFETCH: u32 = 32;
/// Policies of an operator for all queues have 0.
const PRIORITY: u32 = 10;

/// The upstreams and policies of a site.
#[derive(Debug)]
pub(crate) struct Links {
    config: Arc<Config>,
    admin: Admin,
    written: Mutex<BTreeSet<PartyId>>,
}

impl Links {
    pub(crate) fn new(config: &Arc<Config>) -> Result<Self> {
        let (config, admin) = (config.clone(), Admin::new(config.management.clone())?);
        Ok(Self { config, admin, written: Mutex::default() })
    }

    /// Makes this site's broker fetch what a partner sends.
    pub(crate) async fn ensure(&self, partner: &PartyId) -> Result<()> {
        let Mode::Replication { routes, writes: true, ca } = &self.config.mode else { return Ok(()) };
        let mut written = self.written.lock().await;
        if written.contains(partner) {
            return Ok(());
        }
        let at = || format!("link this site's broker to that of party {partner}");
        let (name, vhost) = (name(&self.config.own, partner.as_str()), segment(&self.config.vhost));
        let upstream = json!({"value": {
            "uri": uri(&self.config, &routes.of(partner)?, ca.as_deref()),
            "ack-mode": "on-confirm",
            "prefetch-count": PREFETCH,
            "reconnect-delay": 1,
        }});
        let segment = segment(&name);
        self.admin
            // RabbitMQ repeats a URI that it does not take, with the password in it.
            .put_secret(&format!("/api/parameters/federation-upstream/{vhost}/{segment}"), &upstream)
            .await
            .at(at)?;
        let policy = json!({
            "pattern": Readable::pattern(partner, &self.config.own),
            "apply-to": "queues",
            "priority": PRIORITY,
            "definition": {"federation-upstream": name},
        });
        self.admin.put(&format!("/api/policies/{vhost}/{segment}"), &policy).await.at(at)?;
        written.insert(partner.clone());
        Ok(())
    }
}

/// How this site's broker calls that of a partner. It holds a password and is never shown.
fn uri(config: &Config, route: &Route, ca: Option<&str>) -> String {
    let is_tls = route.tls.unwrap_or(config.tls.is_some());
    let (scheme, port) = if is_tls { ("amqps", route.tls_port.or(route.port)) } else { ("amqp", route.port) };
    let port = port.unwrap_or(if is_tls { 5671 } else { 5672 });
    let (user, password) =
        (route.user.as_ref().unwrap_or(&config.user), route.password.as_ref().unwrap_or(&config.password));
    let vhost = route.vhost.as_ref().unwrap_or(&config.vhost);
    let (user, password, vhost) = (segment(user), segment(password.expose()), segment(vhost));
    let host = &route.host;
    let mut uri =
        format!("{scheme}://{user}:{password}@{host}:{port}/{vhost}?heartbeat=10&connection_timeout=10000");
    if let Some(ca) = ca.filter(|_| is_tls) {
        uri.push_str(&format!("&verify=verify_peer&cacertfile={}", segment(ca)));
    }
    uri
}

fn name(own: &PartyId, partner: &str) -> String {
    format!("tributary.{own}.{partner}")
}

/// The broker as the site's operator asks it.
#[derive(Debug)]
pub struct Inspector {
    config: Arc<Config>,
    line: Arc<Line>,
    admin: Admin,
}

/// A queue, as the management interface tells of it. Nothing but the name is there for one that is just being made.
#[derive(Debug, Deserialize)]
struct Listed {
    name: String,
    #[serde(default)]
    messages: u64,
    #[serde(default)]
    message_bytes: u64,
    #[serde(default)]
    consumers: u64,
    idle_since: Option<String>,
}

/// What stands for a partner's broker.
#[derive(Debug, Deserialize)]
struct Upstream {
    name: String,
}

/// A link of a queue to another broker.
#[derive(Debug, Deserialize)]
struct Link {
    #[serde(default)]
    upstream: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Overview {
    #[serde(default)]
    rabbitmq_version: String,
}

impl Inspector {
    /// Calls nobody yet. Must be called within a tokio runtime with I/O and time.
    pub fn new(config: Config) -> Result<Self> {
        let config = Arc::new(config);
        let admin = Admin::new(config.management.clone())?;
        Ok(Self { line: Arc::new(Line::new(config.clone(), "looking")), config, admin })
    }

    /// Whether the user may do what a channel needs: makes a queue that no one else sees, sends to it, and reads it.
    async fn try_out(&self) -> Result<()> {
        let name =
            format!("tributary.look.{}.{}", self.config.own.as_str().replace('#', "-"), std::process::id());
        let using = |e| error::using(&self.config, &name, &e);
        let channel = self.line.channel().await?;
        let options =
            QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await.map_err(using)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(using)?;
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let sent = channel.basic_publish(
            "".into(),
            name.as_str().into(),
            options,
            b"look",
            BasicProperties::default(),
        );
        sent.await.map_err(using)?.await.map_err(using)?;
        channel.basic_get(name.as_str().into(), BasicGetOptions { no_ack: true }).await.map_err(using)?;
        channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.map_err(using)?;
        Ok(())
    }

    async fn listed(&self) -> Result<Vec<Listed>> {
        let vhost = segment(&self.config.vhost);
        self.admin
            .get(&format!("/api/queues/{vhost}?columns=name,messages,message_bytes,consumers,idle_since"))
            .await
    }
}

#[async_trait]
impl Broker for Inspector {
    async fn look(&self) -> Result<String> {
        self.try_out().await?;
        let place =
            format!("RabbitMQ at {}, virtual host {}", self.config.place(), Shown::new(&self.config.vhost));
        match self.admin.get::<Overview>("/api/overview").await {
            Ok(overview) => Ok(format!("{place}, version {}", Shown::new(&overview.rabbitmq_version))),
            // With one broker for all sites, jobs need no more.
            Err(error) if matches!(self.config.mode, Mode::Client) => {
                Ok(format!("{place}; without its management interface: {}", error.chain()))
            }
            Err(error) => Err(error),
        }
    }

    async fn link(&self, partner: &PartyId) -> Result<Option<String>> {
        let Mode::Replication { routes, .. } = &self.config.mode else { return Ok(None) };
        let route = routes.of(partner)?;
        let vhost = segment(&self.config.vhost);
        let links = self.admin.get::<Vec<Link>>(&format!("/api/federation-links/{vhost}")).await;
        let links = links.at(|| "list the links of the plugin rabbitmq_federation; see whether it and rabbitmq_federation_management are enabled")?;
        let name = name(&self.config.own, partner.as_str());
        let mut links = links.iter().filter(|link| link.upstream == name).peekable();
        let place = format!("the broker of party {partner} at {}", Shown::new(&route.host));
        if links.peek().is_none() {
            return Ok(Some(format!("this site's broker has no channel open from {place}")));
        }
        match links.find(|link| link.status != "running") {
            None => Ok(Some(format!("this site's broker fetches from {place}"))),
            Some(Link { status, error, .. }) => {
                let why = error.as_deref().unwrap_or("it says nothing more");
                let text = format!(
                    "this site's broker does not reach {place}: {} ({}); see the party's entry in the route table, and whether that broker lets this one in",
                    Shown::new(status),
                    Shown::new(why)
                );
                Err(Error::new(ErrorKind::Unavailable, text))
            }
        }
    }

    async fn held(&self) -> Result<Vec<Held>> {
        let now = since_1970();
        let held = |listed: Listed| {
            let name = Readable::of(&listed.name)?;
            let (direction, peer) = name.seen_from(&self.config.own)?;
            let idle = listed.idle_since.as_deref().and_then(from_utc).map(|since| now.saturating_sub(since));
            Some(Held {
                peer: peer.to_owned(),
                direction,
                purpose: name.purpose.clone(),
                name: listed.name,
                frames: listed.messages,
                bytes: listed.message_bytes,
                readers: listed.consumers,
                idle,
            })
        };
        let mut held: Vec<Held> = self.listed().await?.into_iter().filter_map(held).collect();
        held.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(held)
    }

    async fn remove(&self, held: &Held) -> Result<()> {
        remove(&self.line, &held.name, QueueDeleteOptions::default()).await
    }

    async fn unlink(&self) -> Result<u64> {
        let Mode::Replication { writes: true, .. } = self.config.mode else { return Ok(0) };
        let (vhost, prefix) = (segment(&self.config.vhost), name(&self.config.own, ""));
        let upstreams: Vec<Upstream> =
            self.admin.get(&format!("/api/parameters/federation-upstream/{vhost}")).await?;
        // Asked after the upstreams: a channel that is made now has its link made again.
        let queues = self.listed().await?;
        let is_used = |partner: &PartyId| {
            queues
                .iter()
                .any(|queue| Readable::of(&queue.name).is_some_and(|name| name.seen_from(partner).is_some()))
        };
        let mut removed = 0;
        for Upstream { name } in upstreams {
            let Some(partner) = name.strip_prefix(&prefix).and_then(|partner| partner.parse().ok()) else {
                continue;
            };
            if !is_used(&partner) {
                for what in ["policies", "parameters/federation-upstream"] {
                    self.admin.delete(&format!("/api/{what}/{vhost}/{}", segment(&name))).await?;
                }
                removed += 1;
            }
        }
        Ok(removed)
    }
}
