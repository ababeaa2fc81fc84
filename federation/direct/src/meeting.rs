//! How a line begins: the connection, TLS, the call, the greeting; from both ends. All of it within a bounded time and memory, since
//! until its end the other side may be anybody.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt};
use tributary_wire::KeyRing;

use crate::batch::Cutter;
use crate::config::Place;
use crate::greeting::{self, Greeting, Hello, MAX_GREETING_BYTES, Own};
use crate::stream::{Io, Stream, broken, buffered};
use crate::tls::{Fingerprint, Tls};

/// How long a refusal may take to be read.
const REFUSAL: Duration = Duration::from_secs(1);

/// Calls that are being answered at once. Who says nothing has its place for as long as a greeting may take.
const MAX_CALLERS: usize = 256;

/// Answers calls, each in a task of its own, and then runs what came of each. Only answering counts against the bound.
pub(crate) async fn listen<A, R>(
    listener: TcpListener,
    answer: impl Fn(TcpStream, SocketAddr) -> A,
    run: impl Fn(Result<Met>) -> R + Clone + Send + 'static,
) where
    A: Future<Output = Result<Met>> + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let callers = Arc::new(Semaphore::new(MAX_CALLERS));
    let mut lines = JoinSet::new();
    loop {
        while lines.try_join_next().is_some() {}
        let Ok(permit) = callers.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((io, from)) => {
                let (met, run) = (answer(io, from), run.clone());
                lines.spawn(async move {
                    let met = met.await;
                    drop(permit);
                    run(met).await;
                });
            }
            // Out of file handles, or a caller that is gone already.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// A site as it meets others.
pub(crate) struct Meeting {
    pub own: Own,
    pub keys: KeyRing,
    pub tls: Option<Tls>,
    /// Certificates of all sites that may call.
    pub known: Arc<Vec<(PartyId, Fingerprint)>>,
    pub patience: Duration,
}

/// Who called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Own,
    Other,
}

/// Two sites that have proved who they are.
pub(crate) struct Met {
    pub site: PartyId,
    pub caller: Caller,
    pub process: u64,
    pub stream: Stream,
    /// What came behind the greeting.
    pub cutter: Cutter,
}

/// A stream during the greeting.
struct Talk {
    stream: Stream,
    cutter: Cutter,
    /// The other side, as errors name it.
    whom: String,
}

impl Talk {
    fn new(stream: Stream, whom: String) -> Self {
        Self { stream, cutter: Cutter::new(MAX_GREETING_BYTES), whom }
    }

    async fn say(&mut self, greeting: &Greeting) -> Result<()> {
        self.stream.say(&greeting.encode()?).await
    }

    async fn hear(&mut self) -> Result<Greeting> {
        loop {
            if let Some(message) = self.cutter.next()? {
                return Greeting::decode(&message, &self.whom);
            }
            let came = self.stream.read().await?.ok_or_else(|| self.unexpected())?;
            self.cutter.add(came);
        }
    }

    fn unexpected(&self) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            format!("{} ended the greeting, or said something else than was its turn", self.whom),
        )
    }

    /// Says why, so that the other operator sees it too.
    async fn refuse(mut self, error: &Error) {
        let said = async {
            drop(self.say(&Greeting::refused(&error.to_string())).await);
            self.stream.end().await;
        };
        drop(timeout(REFUSAL, said).await);
    }
}

impl Meeting {
    /// Calls a site.
    pub(crate) async fn call(&self, site: &PartyId, place: &Place) -> Result<Met> {
        let address = place.address.as_deref().unwrap_or_default();
        let called = timeout(self.patience, self.try_call(site, address, place.certificate));
        let late = || Error::new(ErrorKind::Timeout, format!("no answer within {:?}", self.patience));
        called.await.unwrap_or_else(|_| Err(late())).at(|| format!("call site {site} at {address}"))
    }

    async fn try_call(&self, site: &PartyId, address: &str, certificate: Option<Fingerprint>) -> Result<Met> {
        let whom = format!("site {site}");
        let unreachable = |e: io::Error| {
            Error::new(
                ErrorKind::Unavailable,
                "it cannot be reached; see whether it runs, and its address in federation.direct.peers",
            )
            .because(e)
        };
        let io = TcpStream::connect(address).await.map_err(unreachable)?;
        io.set_nodelay(true).map_err(unreachable)?;
        let io = self.encrypt(io, site, address, certificate).await?;
        let alert = io.alert();
        let met = self.open(io, site, address).await;
        met.map_err(|error| {
            // The other side judges this side's certificate when its own handshake is over.
            let alert = alert.get().zip(self.tls.as_ref());
            alert.and_then(|(alert, tls)| tls.refused(&whom, alert)).unwrap_or(error)
        })
    }

    async fn open(&self, io: Io, site: &PartyId, address: &str) -> Result<Met> {
        let stream = Stream::call(io, address).await.map_err(|e| broken(&e))?;
        let mut talk = Talk::new(stream, format!("site {site}"));
        match self.introduce(&mut talk, site).await {
            Ok(process) => Ok(Met {
                site: site.clone(),
                caller: Caller::Own,
                process,
                stream: talk.stream,
                cutter: talk.cutter,
            }),
            Err(error) => {
                if error.kind() == ErrorKind::Denied {
                    talk.refuse(&error).await;
                }
                Err(error)
            }
        }
    }

    /// The greeting of who called; returns the number of the other site's process.
    async fn introduce(&self, talk: &mut Talk, site: &PartyId) -> Result<u64> {
        let hello = self.own.hello(site)?;
        talk.say(&Greeting::Hello(hello.clone())).await?;
        let Greeting::Answer(answered, proof) = talk.hear().await? else { return Err(talk.unexpected()) };
        let proof = greeting::conclude(&self.keys, &hello, &answered, &proof)?;
        talk.say(&proof).await?;
        match talk.hear().await? {
            Greeting::Welcome => Ok(answered.process),
            _ => Err(talk.unexpected()),
        }
    }

    async fn encrypt(
        &self,
        io: TcpStream,
        site: &PartyId,
        address: &str,
        certificate: Option<Fingerprint>,
    ) -> Result<Io> {
        let Some(tls) = &self.tls else { return Ok(Io::Plain(io)) };
        let certificate = certificate.ok_or_else(|| {
            let text = format!("no certificate of site {site} is registered here; register its card with `tributary site trust`");
            Error::new(ErrorKind::Denied, text)
        })?;
        let (config, refusal) = tls.client(site, certificate)?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        // Names are not compared; a proxy may choose by it.
        let name = ServerName::try_from(host.to_owned()).or_else(|_| ServerName::try_from("site".to_owned()));
        let name = name.map_err(|e| Error::invalid(format!("address {address}")).because(e))?;
        match TlsConnector::from(config).connect(name, buffered(io)).await {
            Ok(io) => Ok(Io::Tls(Box::new(io.into()), Default::default())),
            Err(error) => Err(tls.explain(&format!("site {site}"), &refusal, error)),
        }
    }

    /// Takes a call from whoever it is.
    pub(crate) async fn accept(&self, io: TcpStream, from: &str) -> Result<Met> {
        let accepted = timeout(self.patience, self.try_accept(io, from));
        let late =
            || Error::new(ErrorKind::Timeout, format!("it did not say who it is within {:?}", self.patience));
        accepted.await.unwrap_or_else(|_| Err(late())).at(|| format!("answer a call from {from}"))
    }

    async fn try_accept(&self, io: TcpStream, from: &str) -> Result<Met> {
        let gone = |e: io::Error| Error::new(ErrorKind::Unavailable, "the caller is gone").because(e);
        io.set_nodelay(true).map_err(gone)?;
        let whom = "the caller".to_owned();
        let (io, certificate) = match &self.tls {
            None => (Io::Plain(io), None),
            Some(tls) => {
                let (config, refusal) = tls.server(self.known.clone())?;
                let io = TlsAcceptor::from(config)
                    .accept(buffered(io))
                    .await
                    .map_err(|e| tls.explain(&whom, &refusal, e))?;
                let shown = io
                    .get_ref()
                    .1
                    .peer_certificates()
                    .and_then(|chain| chain.first())
                    .map(|der| Fingerprint::of(der));
                (Io::Tls(Box::new(io.into()), Default::default()), shown)
            }
        };
        let stream = Stream::accept(io).await.map_err(|e| broken(&e))?;
        let stream =
            stream.ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("{from} did not open a line")))?;
        let mut talk = Talk::new(stream, whom);
        let met = self.greet(&mut talk, certificate).await;
        match met {
            Ok(hello) => Ok(Met {
                site: hello.from,
                caller: Caller::Other,
                process: hello.process,
                stream: talk.stream,
                cutter: talk.cutter,
            }),
            Err(error) => {
                talk.refuse(&error).await;
                Err(error)
            }
        }
    }

    async fn greet(&self, talk: &mut Talk, certificate: Option<Fingerprint>) -> Result<Hello> {
        let Greeting::Hello(hello) = talk.hear().await? else { return Err(talk.unexpected()) };
        talk.whom = format!("site {}", hello.from);
        if let Some(shown) = certificate
            && !self.known.contains(&(hello.from.clone(), shown))
        {
            let text = format!(
                "site {} called with a certificate (SHA-256 {shown}) that is registered for another site",
                hello.from
            );
            return Err(Error::new(ErrorKind::Denied, text));
        }
        let (answered, answer) = greeting::answer(&self.own, &self.keys, &hello)?;
        talk.say(&answer).await?;
        let Greeting::Proof(proof) = talk.hear().await? else { return Err(talk.unexpected()) };
        greeting::accept(&self.keys, &hello, &answered, &proof)?;
        talk.say(&Greeting::Welcome).await?;
        Ok(hello)
    }
}
