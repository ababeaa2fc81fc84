//! What is asked of the cluster's REST interface: tenant, namespace, topics, how much lies in one, and whether replication runs.
//!
//! Topics are made and removed here and nowhere else: in a namespace of ours the cluster makes none by itself, so that a late frame does not
//! bring back what was removed.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use tributary_broker::{Admin as Http, Endpoint, Route, segment};
use tributary_core::{Error, ErrorKind, Result};

use crate::config::Config;

/// The one subscription of a topic: that of its receiver.
pub(crate) const SUBSCRIPTION: &str = "receiver";
/// Bytes that may lie in a topic; beyond that the cluster takes no more. Far above what a sender of ours has on its way.
const QUOTA_BYTES: u64 = 4 << 30;
/// How long a namespace may be unknown after it was made.
const NEW_NAMESPACE_TRIES: u32 = 30;
const NEW_NAMESPACE_WAIT: Duration = Duration::from_millis(100);
/// What the statistics of a subscription know of its use.
const USES: [&str; 3] = ["lastAckedTimestamp", "lastConsumedTimestamp", "lastConsumedFlowTimestamp"];
/// Pulsar's own ports.
const PORT: u16 = 6650;
const TLS_PORT: u16 = 6651;

/// The interface of a site's own cluster.
#[derive(Debug)]
pub(crate) struct Admin {
    http: Http,
    tenant: String,
    cluster: String,
    /// Whether this site calls its own cluster with TLS: so do brokers each other, unless the route says otherwise.
    tls: bool,
    ttl_seconds: u64,
}

/// A namespace, and the other cluster that it is replicated with.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    /// Without the tenant.
    pub name: String,
    pub joined: Option<Joined>,
}

/// Another site's cluster.
#[derive(Debug, Clone)]
pub(crate) struct Joined {
    /// What it is called here.
    pub name: String,
    pub route: Route,
}

/// What lies in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub messages: u64,
    pub bytes: u64,
    pub readers: u64,
    /// When something was last read or acknowledged, since 1970; none if never.
    pub used: Option<Duration>,
    /// To the other cluster, if there is one and this is where the topic is written.
    pub replication: Option<Replication>,
}

/// What another cluster does not have yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replication {
    /// Messages.
    pub waiting: u64,
    /// Whether it takes them.
    pub is_connected: bool,
}

impl Admin {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let scheme = if config.http_tls { "https" } else { "http" };
        let endpoint = Endpoint {
            service: "Pulsar's REST interface",
            url: format!("{scheme}://{}:{}", config.host, config.http_port),
            login: config.login.clone(),
            ca: config.ca.clone(),
            identity: None,
            patience: config.away,
            settings: "federation.pulsar.host, mng_port, mng_tls, ca, user, password and token".into(),
        };
        Ok(Self {
            http: Http::new(endpoint)?,
            tenant: config.tenant.clone(),
            cluster: config.cluster.clone(),
            tls: config.tls,
            ttl_seconds: config.topic_ttl.as_secs(),
        })
    }

    /// The topic's name for the binary protocol.
    pub(crate) fn topic(&self, space: &Space, name: &str) -> String {
        format!("persistent://{}/{}/{name}", self.tenant, space.name)
    }

    fn namespace(&self, space: &Space) -> String {
        format!("{}/{}", segment(&self.tenant), segment(&space.name))
    }

    fn path(&self, space: &Space, name: &str) -> String {
        format!("/admin/v2/persistent/{}/{}", self.namespace(space), segment(name))
    }

    /// Makes a topic, and the subscription of its receiver, which keeps from the first message on. No error if there is one.
    pub(crate) async fn make(&self, space: &Space, name: &str, receives: bool) -> Result<()> {
        let path = self.path(space, name);
        match unless_there(self.http.put(&path, &json!({})).await) {
            // The namespace.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make_with_namespace(space, &path).await?
            }
            made => made?,
        }
        if receives {
            let earliest = json!({ "ledgerId": -1, "entryId": -1, "partitionIndex": -1 });
            unless_there(self.http.put(&format!("{path}/subscription/{SUBSCRIPTION}"), &earliest).await)?;
        }
        Ok(())
    }

    /// Sites that begin together make the same namespace, and a broker that has heard of one may not know it for a moment.
    async fn make_with_namespace(&self, space: &Space, path: &str) -> Result<()> {
        let conflict = match self.prepare(space).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Some(error),
            prepared => prepared.map(|()| None)?,
        };
        for _ in 0..NEW_NAMESPACE_TRIES {
            match unless_there(self.http.put(path, &json!({})).await) {
                Err(error) if error.kind() == ErrorKind::NotFound => sleep(NEW_NAMESPACE_WAIT).await,
                made => return made,
            }
        }
        // It is not there, and could not be made like this.
        let missing = || Error::new(ErrorKind::NotFound, format!("no namespace {}", self.namespace(space)));
        Err(conflict.unwrap_or_else(missing))
    }

    /// Removes a topic, whoever uses it. No error if there is none.
    pub(crate) async fn remove(&self, space: &Space, name: &str) -> Result<()> {
        self.http.delete(&format!("{}?force=true", self.path(space, name))).await
    }

    /// `NotFound` if there is no such topic.
    pub(crate) async fn backlog(&self, space: &Space, name: &str) -> Result<Backlog> {
        let stats: Value = self.http.get(&format!("{}/stats", self.path(space, name))).await?;
        let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or_default();
        let subscription = &stats["subscriptions"][SUBSCRIPTION];
        // To one other cluster at most.
        let joined = stats["replication"].as_object().and_then(|joined| joined.values().next());
        Ok(Backlog {
            messages: number(subscription, "msgBacklog"),
            bytes: number(&stats, "backlogSize"),
            readers: subscription["consumers"].as_array().map_or(0, Vec::len) as u64,
            used: USES
                .iter()
                .map(|key| number(subscription, key))
                .max()
                .filter(|millis| *millis > 0)
                .map(Duration::from_millis),
            replication: joined.map(|joined| Replication {
                waiting: number(joined, "replicationBacklog"),
                is_connected: joined["connected"].as_bool().unwrap_or_default(),
            }),
        })
    }

    /// Names of topics in a namespace; none if there is no such namespace.
    pub(crate) async fn topics(&self, space: &str) -> Result<Vec<String>> {
        let path = format!("/admin/v2/persistent/{}/{}", segment(&self.tenant), segment(space));
        let names: Vec<String> = or_nothing(self.http.get(&path).await)?;
        Ok(names.iter().filter_map(|name| name.rsplit_once('/')).map(|(_, name)| name.to_owned()).collect())
    }

    /// Names of the tenant's namespaces. `NotFound` if there is no such tenant.
    pub(crate) async fn namespaces(&self) -> Result<Vec<String>> {
        let names: Vec<String> =
            self.http.get(&format!("/admin/v2/namespaces/{}", segment(&self.tenant))).await?;
        Ok(names.iter().filter_map(|name| name.rsplit_once('/')).map(|(_, name)| name.to_owned()).collect())
    }

    /// Names of the clusters that this one knows, its own among them.
    pub(crate) async fn clusters(&self) -> Result<Vec<String>> {
        self.http.get("/admin/v2/clusters").await
    }

    /// Removes a namespace in which there is no topic; whether it did.
    pub(crate) async fn remove_if_empty(&self, space: &Space) -> Result<bool> {
        if !self.topics(&space.name).await?.is_empty() {
            return Ok(false);
        }
        let path = format!("/admin/v2/namespaces/{}", self.namespace(space));
        let removed = async {
            // A namespace that is replicated is not removed.
            self.http.post(&format!("{path}/replication"), &[&self.cluster]).await?;
            self.http.delete(&path).await
        };
        match removed.await {
            // A topic has been made in it meanwhile; or it is an operator's, who made it for sites that may not.
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Denied) => Ok(false),
            removed => removed.map(|()| true),
        }
    }

    /// Makes tenant and namespace, and joins the other cluster, as far as they are not there. `Conflict` if the namespace is there, or cannot be
    /// made like this.
    async fn prepare(&self, space: &Space) -> Result<()> {
        let mut clusters = vec![self.cluster.as_str()];
        if let Some(joined) = &space.joined {
            self.join(joined).await?;
            clusters.push(&joined.name);
        }
        self.allow(&clusters).await?;
        let policies = json!({
            "replication_clusters": clusters,
            "autoTopicCreationOverride": { "allowAutoTopicCreation": false },
            "autoSubscriptionCreationOverride": { "allowAutoSubscriptionCreation": false },
            "message_ttl_in_seconds": self.ttl_seconds,
            "inactive_topic_policies": {
                "inactiveTopicDeleteMode": "delete_when_subscriptions_caught_up",
                "maxInactiveDurationSeconds": self.ttl_seconds,
                "deleteWhileInactive": true,
            },
            "backlog_quota_map": {
                "destination_storage": { "limitSize": QUOTA_BYTES, "policy": "producer_request_hold" },
            },
        });
        let path = format!("/admin/v2/namespaces/{}", self.namespace(space));
        self.http.put(&path, &policies).await
    }

    /// Registers another site's cluster, or changes where it is. What an operator has set besides stays: how brokers log in there, for example.
    async fn join(&self, joined: &Joined) -> Result<()> {
        let path = format!("/admin/v2/clusters/{}", segment(&joined.name));
        let Route { host, port, tls_port, proxy, tls, .. } = &joined.route;
        let mut entry = json!({
            "brokerServiceUrl": format!("pulsar://{host}:{}", port.unwrap_or(PORT)),
            "brokerServiceUrlTls": format!("pulsar+ssl://{host}:{}", tls_port.unwrap_or(TLS_PORT)),
            "brokerClientTlsEnabled": tls.unwrap_or(self.tls || proxy.is_some()),
        });
        if let Some(proxy) = proxy {
            entry["proxyServiceUrl"] = json!(format!("pulsar+ssl://{proxy}"));
            entry["proxyProtocol"] = json!("SNI");
        }
        match self.http.get::<Value>(&path).await {
            Ok(there) if has(&there, &entry) => Ok(()),
            Ok(there) => self.http.post(&path, &with(there, entry)).await,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                unless_there(self.http.put(&path, &entry).await)
            }
            // Who may not see it relies on whoever may.
            Err(error) if error.kind() == ErrorKind::Denied => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes the tenant, or lets it use these clusters.
    async fn allow(&self, clusters: &[&str]) -> Result<()> {
        let path = format!("/admin/v2/tenants/{}", segment(&self.tenant));
        let mut tenant: Value = match self.http.get(&path).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let tenant = json!({ "adminRoles": [], "allowedClusters": clusters });
                return unless_there(self.http.put(&path, &tenant).await);
            }
            Err(error) if error.kind() == ErrorKind::Denied => return Ok(()),
            tenant => tenant?,
        };
        let mut allowed: Vec<String> =
            serde_json::from_value(tenant["allowedClusters"].take()).unwrap_or_default();
        let before = allowed.len();
        allowed.extend(clusters.iter().map(|name| (*name).to_owned()));
        allowed.sort();
        allowed.dedup();
        if allowed.len() == before {
            return Ok(());
        }
        tenant["allowedClusters"] = json!(allowed);
        self.http.post(&path, &tenant).await
    }
}

/// What was to be made is there.
fn unless_there(made: Result<()>) -> Result<()> {
    match made {
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        made => made,
    }
}

fn or_nothing<T: Default>(got: Result<T>) -> Result<T> {
    match got {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
        got => got,
    }
}

/// An object with the members of another, in place of its own of the same names.
fn with(object: Value, members: Value) -> Value {
    match (object, members) {
        (Value::Object(mut object), Value::Object(members)) => {
            object.extend(members);
            Value::Object(object)
        }
        (_, members) => members,
    }
}

/// Whether an object has all members of another.
fn has(object: &Value, members: &Value) -> bool {
    members
        .as_object()
        .is_some_and(|members| members.iter().all(|(key, value)| object.get(key) == Some(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_has_set_of_a_cluster_stays() {
        let there =
            json!({ "brokerServiceUrl": "pulsar://old:6650", "brokerClientAuthenticationPlugin": "token" });
        let ours = json!({ "brokerServiceUrl": "pulsar://new:6650", "brokerClientTlsEnabled": true });
        let merged = with(there, ours.clone());
        assert!(has(&merged, &ours) && merged["brokerClientAuthenticationPlugin"] == "token", "{merged}");
        assert_eq!(with(Value::Null, ours.clone()), ours);
    }
}
