//! The site's cluster: one client for all topics of a site, made when it is first needed, and the names of topics.

use std::time::Duration;
use std::{fmt, fs};

use pulsar::authentication::basic::BasicAuthentication;
use pulsar::{Authentication, ConnectionRetryOptions, OperationRetryOptions, TokioExecutor};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tributary_broker::{Admin as Http, Endpoint, Login};
use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt};
use tributary_wire::Channel;

use crate::admin::{Admin, Joined, Space};
use crate::config::Config;
use crate::error::error;

pub(crate) type Client = pulsar::Pulsar<TokioExecutor>;

/// How long an operation at the cluster may take; a connection on which one takes longer is dropped. A message on a slow line is an
/// operation too, which is why a writer has less on its way after each break.
const OPERATION: Duration = Duration::from_secs(20);
/// How often a connection is tried whether it still is one.
const ALIVE: Duration = Duration::from_secs(10);
/// The wait before a second try; it doubles with each.
pub(crate) const FIRST_WAIT: Duration = Duration::from_millis(50);
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// See the module.
pub(crate) struct Cluster {
    pub config: Config,
    pub admin: Admin,
    /// Of the runtime in which connections live: callers may be on any executor.
    pub runtime: Handle,
    pub own: PartyId,
    client: Mutex<Option<Client>>,
}

impl Cluster {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(own: PartyId, config: Config) -> Result<Self> {
        let runtime =
            Handle::try_current().map_err(|e| Error::bug("a queue outside of a runtime").because(e))?;
        Ok(Self { admin: Admin::new(&config)?, config, runtime, own, client: Mutex::new(None) })
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        let Config { host, port, tls, .. } = &self.config;
        format!("pulsar{}://{host}:{port}", if *tls { "+ssl" } else { "" })
    }

    /// The namespace of a channel. In mode `replication` each pair of sites has one, which both name alike, replicated between their clusters
    /// only: in one for all, what goes to one site would wait for ever for the clusters of the others.
    pub(crate) fn space(&self, channel: &Channel) -> Result<Space> {
        self.space_with(if *channel.from() == self.own { channel.to() } else { channel.from() })
    }

    /// The namespace of all channels between this site and another.
    pub(crate) fn space_with(&self, peer: &PartyId) -> Result<Space> {
        let namespace = &self.config.namespace;
        let Some(routes) = self.config.routes.as_ref().filter(|_| *peer != self.own) else {
            return Ok(Space { name: namespace.clone(), joined: None });
        };
        let route = routes.of(peer)?;
        let (first, second) = if self.own < *peer { (&self.own, peer) } else { (peer, &self.own) };
        // Pulsar takes `=` in names, and not `#`.
        let name = format!("{namespace}.{first}.{second}").replace('#', "=");
        let cluster = route.cluster.clone().unwrap_or_else(|| peer.to_string().replace('#', "="));
        // Partners may share a cluster although others have their own.
        let joined = (cluster != self.config.cluster).then_some(Joined { name: cluster, route });
        Ok(Space { name, joined })
    }

    /// All namespaces that there are of this site.
    pub(crate) async fn spaces(&self) -> Result<Vec<Space>> {
        let namespace = &self.config.namespace;
        let own = |name: &&String| {
            let pair = name.strip_prefix(namespace.as_str()).and_then(|rest| rest.strip_prefix('.'));
            let is_end = |end: &str| end == self.own.to_string().replace('#', "=");
            *name == namespace
                || pair.and_then(|pair| pair.split_once('.')).is_some_and(|(a, b)| is_end(a) || is_end(b))
        };
        let names = match self.admin.namespaces().await {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        Ok(names.iter().filter(own).map(|name| Space { name: name.clone(), joined: None }).collect())
    }

    /// The client, which connects again by itself once it has connected.
    pub(crate) async fn client(&self) -> Result<Client> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        match self.connect().await {
            Ok(connected) => Ok(client.insert(connected).clone()),
            Err(error) => Err(self.certificate().await.err().unwrap_or(error)),
        }
    }

    /// `Denied` if the cluster's certificate is not accepted. The client library does not say so: a request of another protocol finds it out.
    async fn certificate(&self) -> Result<()> {
        let Config { host, port, tls, ca, .. } = &self.config;
        if !tls {
            return Ok(());
        }
        let http = Http::new(Endpoint {
            service: "the Pulsar cluster",
            url: format!("https://{host}:{port}"),
            login: Login::None,
            ca: ca.clone(),
            identity: None,
            patience: Duration::ZERO,
            settings: "federation.pulsar.ca and host".into(),
        })?;
        match http.get::<Value>("/").await {
            Err(error) if error.kind() == ErrorKind::Denied => Err(error),
            _ => Ok(()),
        }
    }

    async fn connect(&self) -> Result<Client> {
        let connections = ConnectionRetryOptions {
            max_retries: 0,
            keep_alive: ALIVE,
            connection_timeout: OPERATION,
            ..ConnectionRetryOptions::default()
        };
        // What fails is tried again above, where it is known for how long.
        let operations = OperationRetryOptions {
            operation_timeout: OPERATION,
            max_retries: Some(0),
            ..Default::default()
        };
        let mut builder = Client::builder(self.place(), TokioExecutor)
            .with_connection_retry_options(connections)
            .with_operation_retry_options(operations);
        if let Some(ca) = &self.config.ca {
            builder = builder.with_certificate_chain(fs::read(ca).at(|| format!("read {}", ca.display()))?);
        }
        builder = match &self.config.login {
            Login::None => builder,
            Login::Password { user, password } => {
                builder.with_auth_provider(BasicAuthentication::new(user, password.expose()))
            }
            Login::Token(token) => {
                builder.with_auth(Authentication { name: "token".into(), data: token.expose().into() })
            }
        };
        builder.build().await.map_err(|failure| error("connect", &self.place(), &failure))
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "site {} at {}", self.own, self.place())
    }
}
