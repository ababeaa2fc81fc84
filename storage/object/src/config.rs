//! What the sections of all services have in common: a prefix for each party, certificates, patience.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};

use tributary_core::settings::{Key, Kind, Section};
use tributary_core::{Error, Result, ResultExt};

/// What stands for the party's id in a prefix.
const PARTY: &str = "{party}";
/// Most retries; patience ends sooner.
const RETRIES: usize = 1000;
/// Longest time between two tries.
const PAUSE: Duration = Duration::from_secs(5);
/// A server that accepts no connection for so long is tried again.
const CONNECT: Duration = Duration::from_secs(10);
/// A request, with its answer, that takes longer, or half the patience, is tried again: 8 MiB at 100 KiB a second.
const REQUEST: Duration = Duration::from_secs(90);

pub(crate) const PREFIX: Key = Key::new(
    "prefix",
    Kind::Text,
    PARTY,
    "What the names of its objects begin with; `{party}` stands for the party's id. Two parties must not have the same.",
);
pub(crate) const CA_FILE: Key = Key::optional(
    "ca_file",
    Kind::Path,
    "Certificates (PEM) that may have signed the server's, besides those that this machine trusts. A relative path is under the \
     party's home.",
);
pub(crate) const PATIENCE: Key = Key::new(
    "patience",
    Kind::Seconds,
    "60",
    "How long a request is repeated while the server cannot be reached, fails or asks for fewer requests.",
);

/// What all services are told of a place and the way to it.
#[derive(Debug, Clone)]
pub struct Way {
    /// What the names of objects begin with, without `/` at its ends. Empty for all of the bucket.
    pub prefix: String,
    /// A server that is not the service's own.
    pub endpoint: Option<String>,
    /// More certificates that may have signed the server's.
    pub ca_file: Option<PathBuf>,
    /// How long requests are repeated.
    pub patience: Duration,
}

impl Way {
    /// Reads what is common of a section; a relative path is under the party's `home`.
    pub(crate) fn from_section(section: &Section, party: &str, home: &Path) -> Result<Self> {
        let endpoint = section.find::<&str>("endpoint")?.map(|text| text.trim_end_matches('/').to_owned());
        if let Some(endpoint) = &endpoint
            && !["https://", "http://"].iter().any(|scheme| endpoint.starts_with(scheme))
        {
            return Err(section
                .problem("endpoint", format!("expected https://host or http://host, got {endpoint:?}")));
        }
        Ok(Self {
            prefix: prefix(section, party)?,
            endpoint,
            ca_file: section.find::<&Path>("ca_file")?.map(|path| home.join(path)),
            patience: section.get("patience")?,
        })
    }

    pub(crate) fn without_prefix(self) -> Self {
        Self { prefix: String::new(), ..self }
    }

    /// What addresses begin with.
    pub(crate) fn base(&self, scheme: &str, bucket: &str) -> String {
        format!("{scheme}://{bucket}/{}", self.prefix).trim_end_matches('/').to_owned()
    }

    pub(crate) fn options(&self) -> Result<ClientOptions> {
        let http = self.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        // There is time for a second try within the patience.
        let request = REQUEST.min(self.patience / 2);
        let mut options =
            ClientOptions::new().with_allow_http(http).with_connect_timeout(CONNECT).with_timeout(request);
        if let Some(file) = &self.ca_file {
            let at = || format!("ca_file: read certificates of {}", file.display());
            let pem = fs::read(file).at(at)?;
            let certificates = Certificate::from_pem_bundle(&pem)
                .map_err(|why| Error::invalid("expected certificates in PEM").because(why).at(at()))?;
            for certificate in certificates {
                options = options.with_root_certificate(certificate);
            }
        }
        Ok(options)
    }

    pub(crate) fn retry(&self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig { max_backoff: PAUSE, ..BackoffConfig::default() },
            max_retries: RETRIES,
            retry_timeout: self.patience,
        }
    }
}

/// The name of a bucket or container, alone.
pub(crate) fn bucket(section: &Section, key: &str) -> Result<String> {
    let bucket: &str = section.get(key)?;
    match bucket.is_empty() || bucket.contains(['/', '?', '#', ' ']) {
        true => Err(section.problem(key, "expected the name alone")),
        false => Ok(bucket.to_owned()),
    }
}

/// The error of a client's builder. Its texts name its own keys, and no values of secrets.
pub(crate) fn unfit(section: &str, why: object_store::Error) -> Error {
    Error::invalid(format!("the settings of {section} do not fit together")).because(why)
}

fn prefix(section: &Section, party: &str) -> Result<String> {
    let prefix = section.get::<&str>("prefix")?.replace(PARTY, party);
    let prefix = prefix.trim_matches('/');
    let plain = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(|b| b > b' ' && b != 127);
    match prefix.is_empty() || prefix.split('/').all(plain) {
        true => Ok(prefix.to_owned()),
        false => Err(section.problem("prefix", "expected names with / between them, none of them . or ..")),
    }
}
