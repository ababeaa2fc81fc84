//! The administration interface of a broker: JSON over HTTP, with a login.
//!
//! A request is tried again only where another try can help: while nobody answers, or the broker says that it is busy. All requests of the
//! engines may be repeated. They run on the runtime in which the client was made, so the futures may be polled by any executor.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Certificate, Client, Identity, Method, Response, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use tributary_core::settings::Secret;
use tributary_core::{Error, ErrorKind, Result, ResultExt};

use crate::answer;

/// The wait before the second try; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(15);
/// A broker of several machines may send a request to another of them.
const REDIRECTS: usize = 3;

/// Where an administration interface is, and how to speak to it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// What errors call it: `RabbitMQ's management interface`.
    pub service: &'static str,
    /// Scheme, host and port: `http://127.0.0.1:15672`.
    pub url: String,
    /// Who asks.
    pub login: Login,
    /// PEM file of the only authorities that may have signed its certificate; else those of the system.
    pub ca: Option<PathBuf>,
    /// PEM files of the certificate that is shown to it, and of its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// For how long a request is tried while nobody answers it.
    pub patience: Duration,
    /// What to look at if nobody answers: names of settings.
    pub settings: String,
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Login {
    /// Nobody: the interface asks for no login.
    None,
    /// A user.
    Password {
        /// Its name.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// Whoever has this token.
    Token(Secret),
}

/// A client of an administration interface.
#[derive(Clone)]
pub struct Admin {
    endpoint: Endpoint,
    client: Client,
    runtime: Handle,
    /// Whether errors repeat what was answered.
    shows_answers: bool,
}

impl Admin {
    /// Calls nobody yet. Must be called within a tokio runtime with I/O and time. `InvalidInput` for a CA file that is none.
    pub fn new(endpoint: Endpoint) -> Result<Self> {
        let runtime = Handle::try_current()
            .map_err(|e| Error::bug("a client of a broker is made outside of a tokio runtime").because(e))?;
        // A proxy of the environment is for the world outside; the broker is the site's own.
        // The client would follow a redirect without the login.
        let mut client = Client::builder().no_proxy().timeout(TRY).redirect(redirect::Policy::none());
        if let Some(path) = &endpoint.ca {
            let at = || format!("read the certificates in {}", path.display());
            let pem = std::fs::read(path).at(at)?;
            let wrong = |e: reqwest::Error| Error::invalid("expected certificates in PEM").because(e);
            client = client.tls_built_in_root_certs(false);
            for certificate in Certificate::from_pem_bundle(&pem).map_err(wrong).at(at)? {
                client = client.add_root_certificate(certificate);
            }
        }
        if let Some((certificate, key)) = &endpoint.identity {
            let at = || {
                format!("read the certificate in {} and its key in {}", certificate.display(), key.display())
            };
            let pem = [std::fs::read(certificate).at(at)?, std::fs::read(key).at(at)?].concat();
            let wrong =
                |e: reqwest::Error| Error::invalid("expected a certificate and a key in PEM").because(e);
            client = client.identity(Identity::from_pem(&pem).map_err(wrong).at(at)?);
        }
        let client = client.build().map_err(|e| Error::invalid("the HTTP client cannot be made").because(e));
        Ok(Self { client: client.at(|| endpoint.service)?, endpoint, runtime, shows_answers: true })
    }

    /// What lies at a path, which begins with `/`. `NotFound`, `Denied`, `Unavailable`; `Corrupt` for what is not of this type or too long.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let bytes = self.request(Method::GET, path, None).await?;
        let wrong = |e| {
            Error::new(ErrorKind::Corrupt, format!("{} answered something else", self.named(path))).because(e)
        };
        serde_json::from_slice(&bytes).map_err(wrong)
    }

    /// Puts it there. `Conflict` if something else is there.
    pub async fn put(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<()> {
        self.request(Method::PUT, path, Some(encode(body)?)).await.map(drop)
    }

    /// As [`Admin::put`], for a body with a secret in it: a broker may repeat in an error what it was sent, so no text of it is shown.
    pub async fn put_secret(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<()> {
        Self { shows_answers: false, ..self.clone() }.put(path, body).await
    }

    /// Changes what lies there.
    pub async fn post(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<()> {
        self.request(Method::POST, path, Some(encode(body)?)).await.map(drop)
    }

    /// Removes it. No error if nothing is there.
    pub async fn delete(&self, path: &str) -> Result<()> {
        match self.request(Method::DELETE, path, None).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done.map(drop),
        }
    }

    async fn request(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>> {
        let (admin, path) = (self.clone(), path.to_owned());
        let work = self.runtime.spawn(async move { admin.try_often(method, &path, body).await });
        work.await.map_err(|e| Error::bug("a request to a broker did not end").because(e))?
    }

    async fn try_often(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>> {
        let (end, mut wait) = (Instant::now() + self.endpoint.patience, FIRST_WAIT);
        loop {
            match self.try_once(&method, path, body.clone()).await {
                Err(error) if error.kind() == ErrorKind::Unavailable && Instant::now() + wait < end => {
                    sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                answered => return answered.at(|| format!("{method} {path}")),
            }
        }
    }

    async fn try_once(&self, method: &Method, path: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>> {
        let named = format!("{}{path}", self.endpoint.url);
        let mut url =
            Url::parse(&named).map_err(|e| Error::invalid(format!("the address {named}")).because(e))?;
        for _ in 0..=REDIRECTS {
            let response = self.send(method, url.clone(), body.clone()).await?;
            let Some(next) = redirected(&response) else {
                return answer::read(&self.endpoint, response, self.shows_answers).await;
            };
            // The login goes along: to another machine of the broker, and never in clear where it was not.
            if next.scheme() != url.scheme() {
                let text = format!(
                    "{} sends a request from {} to {}",
                    self.named(path),
                    url.scheme(),
                    next.scheme()
                );
                return Err(Error::new(ErrorKind::Denied, text));
            }
            url = next;
        }
        let text = format!("{} sends a request on more than {REDIRECTS} times", self.named(path));
        Err(Error::new(ErrorKind::Unavailable, text))
    }

    async fn send(&self, method: &Method, url: Url, body: Option<Vec<u8>>) -> Result<Response> {
        let mut request = self.client.request(method.clone(), url);
        request = match &self.endpoint.login {
            Login::None => request,
            Login::Password { user, password } => request.basic_auth(user, Some(password.expose())),
            Login::Token(token) => request.bearer_auth(token.expose()),
        };
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        request.send().await.map_err(|e| answer::unreachable(&self.endpoint, e))
    }

    fn named(&self, path: &str) -> String {
        format!("{} at {}{path}", self.endpoint.service, self.endpoint.url)
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client of {} at {}", self.endpoint.service, self.endpoint.url)
    }
}

/// Where an answer sends the request.
fn redirected(response: &Response) -> Option<Url> {
    let location = response.headers().get(LOCATION).filter(|_| response.status().is_redirection())?;
    response.url().join(location.to_str().ok()?).ok()
}

fn encode(body: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(body).map_err(|e| Error::bug("encode a request to a broker").because(e))
}

/// A name as one segment of a path: `/` becomes `%2F`.
pub fn segment(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A client of a server that gives these answers, one a connection, and what it heard.
    async fn client(
        answers: Vec<String>,
        patience: Duration,
    ) -> (Admin, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let mut heard = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 10_000];
                let count = stream.read(&mut buffer).await.unwrap();
                heard.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            heard
        });
        (admin(url, patience), served)
    }

    fn admin(url: String, patience: Duration) -> Admin {
        let password = Secret::new("hunter2".into());
        let login = Login::Password { user: "fate".into(), password };
        let settings = "federation.rabbitmq.host and mng_port".into();
        Admin::new(Endpoint { service: "the test", url, login, ca: None, identity: None, patience, settings })
            .unwrap()
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn what_is_there_is_decoded_and_the_login_is_sent() {
        let (admin, served) = client(vec![answer("200 OK", "[1, 2]")], Duration::ZERO).await;
        assert_eq!(admin.get::<Vec<u8>>("/api/x").await.unwrap(), [1, 2]);
        let heard = served.await.unwrap().remove(0);
        assert!(
            heard.starts_with("GET /api/x HTTP/1.1") && heard.contains("authorization: Basic "),
            "{heard}"
        );
    }

    fn sent_to(url: &str) -> String {
        format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: {url}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
    }

    #[tokio::test]
    async fn a_request_goes_on_to_another_machine_of_the_broker_with_its_login() {
        let (second, heard) = client(vec![answer("200 OK", "7")], Duration::ZERO).await;
        let there = format!("{}/x?a=b", second.endpoint.url);
        let (first, _served) = client(vec![sent_to(&there)], Duration::ZERO).await;
        assert_eq!(first.get::<u8>("/x").await.unwrap(), 7);
        let heard = heard.await.unwrap().remove(0);
        assert!(heard.starts_with("GET /x?a=b ") && heard.contains("authorization: Basic "), "{heard}");
    }

    #[tokio::test]
    async fn a_request_is_not_sent_on_for_ever_nor_to_another_protocol() {
        let (admin, _served) = client(vec![sent_to("/x"); 4], Duration::ZERO).await;
        assert_eq!(admin.get::<u8>("/x").await.unwrap_err().kind(), ErrorKind::Unavailable);
        let (admin, _served) = client(vec![sent_to("https://127.0.0.1/x")], Duration::ZERO).await;
        assert_eq!(admin.get::<u8>("/x").await.unwrap_err().kind(), ErrorKind::Denied);
    }

    #[tokio::test]
    async fn each_status_is_an_error_of_its_own_and_shows_no_secret() {
        let cases = [
            ("401 Unauthorized", ErrorKind::Denied, "login refused"),
            ("403 Forbidden", ErrorKind::Denied, "not permitted"),
            ("404 Not Found", ErrorKind::NotFound, "nothing"),
            ("409 Conflict", ErrorKind::Conflict, "something else"),
            ("400 Bad Request", ErrorKind::InvalidInput, "no such\\u{1b} thing"),
            ("503 Service Unavailable", ErrorKind::Unavailable, "503"),
        ];
        for (status, kind, expected) in cases {
            let (admin, _served) = client(vec![answer(status, "no such\u{1b} thing")], Duration::ZERO).await;
            let error = admin.get::<Vec<u8>>("/x").await.unwrap_err();
            assert_eq!(error.kind(), kind, "{status}");
            assert!(
                error.chain().contains(expected) && !error.chain().contains("hunter"),
                "{}",
                error.chain()
            );
            assert!(!format!("{admin:?}").contains("hunter"));
        }
    }

    #[tokio::test]
    async fn what_a_broker_says_of_a_secret_is_not_shown() {
        let uri = "amqp://u:hunter2@h h";
        for status in ["400 Bad Request", "403 Forbidden", "404 Not Found", "409 Conflict", "500 Oops"] {
            let (admin, _served) = client(vec![answer(status, uri)], Duration::ZERO).await;
            let error = admin.put_secret("/x", &uri).await.unwrap_err().chain();
            assert!(error.contains("is not shown") && !error.contains("hunter"), "{status}: {error}");
        }
    }

    #[tokio::test]
    async fn what_is_busy_is_asked_again_and_what_is_gone_is_no_error_for_a_removal() {
        let answers = vec![answer("503 Busy", ""), answer("404 Not Found", "")];
        let (admin, served) = client(answers, Duration::from_secs(60)).await;
        admin.delete("/x").await.unwrap();
        assert_eq!(served.await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn nobody_there_says_which_settings_to_look_at() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = admin(format!("http://{free}"), Duration::ZERO).put("/x", &1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("federation.rabbitmq.host and mng_port"), "{error}");
    }

    #[tokio::test]
    async fn an_endless_answer_is_refused() {
        let endless =
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "[".repeat(answer::MOST_BYTES + 1));
        let (admin, _served) = client(vec![endless], Duration::ZERO).await;
        assert_eq!(admin.get::<Vec<u8>>("/x").await.unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert_eq!(segment("/"), "%2F");
        assert_eq!(segment("tributary.j.t.0.guest_1"), "tributary.j.t.0.guest_1");
        assert_eq!(segment("a b?ä"), "a%20b%3F%C3%A4");
    }
}
