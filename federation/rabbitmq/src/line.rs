//! A connection to the broker: made when it is first needed, and again when it broke.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism};
use lapin::{Channel, Connection, ConnectionProperties, Event};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tributary_core::{Error, ErrorKind, Result, ResultExt};

use crate::config::{Config, Tls};
use crate::error;

/// The wait before the second try; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(10);
/// Either side says something as often as this, else the other ends the connection.
const HEARTBEAT_SECONDS: u16 = 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct Line {
    pub config: Arc<Config>,
    /// What the broker's operator reads in its list of connections.
    purpose: &'static str,
    current: Mutex<Option<Arc<Connection>>>,
}

impl Line {
    pub(crate) fn new(config: Arc<Config>, purpose: &'static str) -> Self {
        Self { config, purpose, current: Mutex::new(None) }
    }

    /// A channel of its own for the caller; one try. Must be called on the runtime.
    pub(crate) async fn channel(&self) -> Result<Channel> {
        let connection = self.connection().await?;
        let made = timeout(TRY, connection.create_channel()).await;
        match made {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(e)) => Err(error::using(&self.config, "", &e).at("open a channel")),
            Err(_) => Err(self.silent()),
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>> {
        let mut current = self.current.lock().await;
        if let Some(connection) = current.as_ref().filter(|connection| connection.status().connected()) {
            return Ok(connection.clone());
        }
        let connection = timeout(TRY, self.connect()).await.map_err(|_| self.silent())??;
        let connection = Arc::new(connection);
        tokio::spawn(watch(connection.events_listener(), self.config.clone()));
        *current = Some(connection.clone());
        Ok(connection)
    }

    async fn connect(&self) -> Result<Connection> {
        let config = &self.config;
        let scheme = if config.tls.is_some() { AMQPScheme::AMQPS } else { AMQPScheme::AMQP };
        let query = AMQPQueryString {
            heartbeat: Some(HEARTBEAT_SECONDS),
            auth_mechanism: config.by_certificate.then_some(SASLMechanism::External),
            connection_timeout: u64::try_from(TRY.as_millis()).ok(),
            ..AMQPQueryString::default()
        };
        let userinfo =
            AMQPUserInfo { username: config.user.clone(), password: config.password.expose().to_owned() };
        let authority = AMQPAuthority { userinfo, host: config.host.clone(), port: config.port };
        let uri = AMQPUri { scheme, authority, vhost: config.vhost.clone(), query };
        let name = format!("tributary site {}, {}", config.own, self.purpose);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let tls = tls(config.tls.as_ref())?;
        let runtime = lapin::runtime::default_runtime()
            .map_err(|e| Error::bug("no runtime for a broker").because(e))?;
        let connected = Connection::connect_uri_with_config(uri, properties, tls, runtime).await;
        connected.map_err(|e| error::connecting(config, &e))
    }

    fn silent(&self) -> Error {
        let text = format!(
            "the broker at {} did not answer within {TRY:?}; see federation.rabbitmq.host and port",
            self.config.place()
        );
        Error::new(ErrorKind::Unavailable, text)
    }

    /// Repeats what failed because the broker was out of reach, until it was so for too long.
    pub(crate) async fn patiently<T, F: Future<Output = Result<T>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T> {
        let mut outage = Outage::default();
        loop {
            match call().await {
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    outage.wait(&self.config, error).await?
                }
                done => return done,
            }
        }
    }
}

/// A time in which nothing worked.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    since: Option<Instant>,
    wait: Duration,
}

impl Outage {
    /// Something worked.
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }

    /// Waits before the next try; returns the error if it has been too long.
    pub(crate) async fn wait(&mut self, config: &Config, error: Error) -> Result<()> {
        let since = *self.since.get_or_insert_with(Instant::now);
        self.wait = (self.wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
        if since.elapsed() >= config.away {
            return Err(error.at(format!("tried again for {} s", config.away.as_secs())));
        }
        sleep(self.wait.min(config.away.saturating_sub(since.elapsed()))).await;
        Ok(())
    }
}

fn tls(given: Option<&Tls>) -> Result<OwnedTLSConfig> {
    let Some(Tls { ca, identity }) = given else { return Ok(OwnedTLSConfig::default()) };
    let read = |path: &std::path::Path| std::fs::read(path).at(|| format!("read {}", path.display()));
    let cert_chain = match ca {
        Some(path) => Some(String::from_utf8(read(path)?).map_err(|e| {
            Error::invalid(format!("{}: expected certificates in PEM", path.display())).because(e)
        })?),
        None => None,
    };
    let identity = match identity {
        Some((certificate, key)) => Some(OwnedIdentity::PKCS8 { pem: read(certificate)?, key: read(key)? }),
        None => None,
    };
    Ok(OwnedTLSConfig { identity, cert_chain })
}

/// Says when the broker has no room for what is published, and when it has again.
async fn watch(events: impl futures::Stream<Item = Event>, config: Arc<Config>) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let place = config.place();
        match event {
            Event::ConnectionBlocked(why) => {
                let why = tributary_core::Shown::new(&why).to_string();
                config.notices.say(&format!(
                    "the broker at {place} takes nothing more for now ({why}); sending waits until it does"
                ));
            }
            Event::ConnectionUnblocked => {
                config.notices.say(&format!("the broker at {place} takes messages again"))
            }
            Event::Error(_) => return,
            _ => {}
        }
    }
}
