//! S3 and servers that speak its protocol: the section `storage.s3`, and the client that it makes.
//!
//! Keys come from the section, else from where AWS's own programs look: the environment, a token of a web identity, the container,
//! the machine.

use std::path::Path;

use object_store::aws::{AmazonS3, AmazonS3Builder};

use tributary_core::settings::{Key, Kind, Secret, Section};
use tributary_core::{Error, Result};

use crate::config::{CA_FILE, PATIENCE, PREFIX, Way, bucket, unfit};

/// The keys of the section.
pub const KEYS: &[Key] = &[
    Key::optional(
        "bucket",
        Kind::Text,
        "Bucket of the tables. A party whose configuration names one has this store, also if its new tables go to another.",
    ),
    PREFIX,
    Key::optional(
        "endpoint",
        Kind::Text,
        "Address of a server that speaks the protocol of S3, as `https://host:port`; AWS if it is not given. With `http://` rows \
         cross the network as they are.",
    ),
    Key::new("region", Kind::Text, "us-east-1", "Region of the bucket."),
    Key::optional(
        "path_style",
        Kind::Bool,
        "Whether the bucket is named in the path instead of the host name. If it is not given: with an `endpoint`, yes.",
    ),
    Key::optional(
        "access_key_id",
        Kind::Secret,
        "Id of the access key. If it is not given, keys are looked for as AWS's own programs do: environment, web identity, \
         container, machine.",
    ),
    Key::optional("secret_access_key", Kind::Secret, "The access key; see [secrets](#secrets)."),
    Key::optional("session_token", Kind::Secret, "Token of a key that was lent."),
    CA_FILE,
    PATIENCE,
];

/// What S3 copies in one request.
pub const COPIED_AT_ONCE: u64 = 5 << 30;

/// The section, read.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// Bucket of the tables.
    pub bucket: String,
    /// Region of the bucket.
    pub region: String,
    /// Whether the bucket is in the path, not in the host name.
    pub path_style: bool,
    /// The access key, else the client's own search.
    pub keys: Option<S3Keys>,
    /// The largest object, in bytes, that the service copies by itself in one request; larger ones are read and written.
    pub copied_at_once: u64,
    /// Place and server.
    pub way: Way,
}

/// An access key.
#[derive(Debug, Clone)]
pub struct S3Keys {
    /// Its id.
    pub id: Secret,
    /// The key.
    pub key: Secret,
    /// For a key that was lent.
    pub token: Option<Secret>,
}

impl S3Config {
    /// Whether the section names a bucket.
    pub fn is_given(section: &Section) -> Result<bool> {
        Ok(section.find::<&str>("bucket")?.is_some())
    }

    /// Reads the section for a party; a relative path is under its `home`.
    pub fn from_section(section: &Section, party: &str, home: &Path) -> Result<Self> {
        let way = Way::from_section(section, party, home)?;
        Ok(Self {
            bucket: bucket(section, "bucket")?,
            path_style: section.find("path_style")?.unwrap_or(way.endpoint.is_some()),
            region: section.get::<&str>("region")?.to_owned(),
            keys: keys(section)?,
            copied_at_once: COPIED_AT_ONCE,
            way,
        })
    }

    /// A whole bucket by the same way and with the same keys: files of others.
    #[must_use]
    pub fn elsewhere(self, bucket: &str) -> Self {
        Self { bucket: bucket.to_owned(), way: self.way.without_prefix(), ..self }
    }

    /// What the addresses of its tables begin with.
    pub(crate) fn base(&self) -> String {
        self.way.base("s3", &self.bucket)
    }

    pub(crate) fn client(&self) -> Result<AmazonS3> {
        let mut builder = match &self.keys {
            None => AmazonS3Builder::from_env(),
            Some(keys) => AmazonS3Builder::new()
                .with_access_key_id(keys.id.expose())
                .with_secret_access_key(keys.key.expose()),
        };
        if let Some(token) = self.keys.as_ref().and_then(|keys| keys.token.as_ref()) {
            builder = builder.with_token(token.expose());
        }
        if let Some(endpoint) = &self.way.endpoint {
            // A host of its own for each bucket is the builder's business only for AWS.
            let endpoint = match (self.path_style, endpoint.split_once("://")) {
                (false, Some((scheme, host))) => format!("{scheme}://{}.{host}", self.bucket),
                _ => endpoint.clone(),
            };
            builder = builder.with_endpoint(endpoint);
        }
        let client = builder
            .with_bucket_name(&self.bucket)
            .with_region(&self.region)
            .with_virtual_hosted_style_request(!self.path_style)
            .with_client_options(self.way.options()?)
            .with_retry(self.way.retry())
            .build();
        client.map_err(|why| unfit("storage.s3", why))
    }
}

fn keys(section: &Section) -> Result<Option<S3Keys>> {
    let secret = |name| Ok::<_, Error>(section.find::<&Secret>(name)?.cloned());
    let token = secret("session_token")?;
    match (secret("access_key_id")?, secret("secret_access_key")?) {
        (Some(id), Some(key)) => Ok(Some(S3Keys { id, key, token })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(section.problem("secret_access_key", "it needs access_key_id beside it")),
        (Some(_), None) => Err(section.problem("access_key_id", "it needs secret_access_key beside it")),
    }
}

#[cfg(test)]
mod tests {
    use tributary_core::settings::Origin;

    use super::*;

    fn section(values: &[(&'static str, &str)]) -> Section {
        let mut section = Section::new("storage.s3", KEYS).unwrap();
        for (name, text) in values {
            let key = KEYS.iter().find(|key| key.name == *name).unwrap();
            section.set(name, key.kind.parse(text).unwrap(), Origin::Option("test"));
        }
        section
    }

    fn read(values: &[(&'static str, &str)]) -> Result<S3Config> {
        S3Config::from_section(&section(values), "9999", Path::new("/home"))
    }

    #[test]
    fn each_party_has_a_place_of_its_own() {
        for (prefix, base) in [
            (None, "s3://b/9999"),
            (Some("/sites/{party}/tables/"), "s3://b/sites/9999/tables"),
            (Some(""), "s3://b"),
        ] {
            let mut values = vec![("bucket", "b")];
            values.extend(prefix.map(|prefix| ("prefix", prefix)));
            assert_eq!(read(&values).unwrap().base(), base);
        }
        for prefix in ["a//b", "../a", "a/./b", "a b"] {
            assert!(read(&[("bucket", "b"), ("prefix", prefix)]).is_err(), "{prefix}");
        }
    }

    #[test]
    fn the_path_names_the_bucket_where_the_server_is_not_aws_unless_told() {
        let endpoint = ("endpoint", "https://minio:9000/");
        assert!(!read(&[("bucket", "b")]).unwrap().path_style);
        assert!(read(&[("bucket", "b"), endpoint]).unwrap().path_style);
        assert!(!read(&[("bucket", "b"), endpoint, ("path_style", "false")]).unwrap().path_style);
        assert!(read(&[("bucket", "b"), ("endpoint", "minio:9000")]).is_err());
    }

    #[test]
    fn half_a_key_is_refused_and_no_key_is_ever_shown() {
        let error = read(&[("bucket", "b"), ("secret_access_key", "hunter2")]).unwrap_err().chain();
        assert!(error.contains("access_key_id") && !error.contains("hunter2"), "{error}");
        let whole = read(&[("bucket", "b"), ("access_key_id", "hunter1"), ("secret_access_key", "hunter2")]);
        let whole = whole.unwrap();
        let shown = format!("{whole:?} {whole:#?} {:?}", crate::ObjectBytes::s3(&whole).unwrap());
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(!S3Config::is_given(&section(&[])).unwrap());
    }
}
