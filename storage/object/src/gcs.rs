//! Google Cloud Storage: the section `storage.gcs`, and the client that it makes.
//!
//! Credentials come from the section, else from where Google's own programs look: the environment, the user's own login, the machine.

use std::path::{Path, PathBuf};

use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};

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
        "Address of the service, if it is not `https://storage.googleapis.com`. With `http://` rows cross the network as they are.",
    ),
    Key::optional(
        "service_account_file",
        Kind::Path,
        "File with the key of a service account (JSON). A relative path is under the party's home. If neither it nor `service_account_key` is \
         given, credentials are looked for as Google's own programs do.",
    ),
    Key::optional("service_account_key", Kind::Secret, "The same key itself, in place of its file."),
    Key::new(
        "sign",
        Kind::Bool,
        "true",
        "Whether requests carry credentials; `false` to read what everybody may read.",
    ),
    CA_FILE,
    PATIENCE,
];

/// The section, read.
#[derive(Debug, Clone)]
pub struct GcsConfig {
    /// Bucket of the tables.
    pub bucket: String,
    /// The key of a service account, else the client's own search.
    pub account: Option<ServiceAccount>,
    /// Whether requests carry credentials.
    pub sign: bool,
    /// Place and server.
    pub way: Way,
}

/// Where the key of a service account is.
#[derive(Debug, Clone)]
pub enum ServiceAccount {
    /// In a file.
    File(PathBuf),
    /// In the configuration.
    Key(Secret),
}

impl GcsConfig {
    /// Whether the section names a bucket.
    pub fn is_given(section: &Section) -> Result<bool> {
        Ok(section.find::<&str>("bucket")?.is_some())
    }

    /// Reads the section for a party; a relative path is under its `home`.
    pub fn from_section(section: &Section, party: &str, home: &Path) -> Result<Self> {
        let file = section.find::<&Path>("service_account_file")?.map(|path| home.join(path));
        let key = section.find::<&Secret>("service_account_key")?.cloned();
        let account = match (file, key) {
            (Some(_), Some(_)) => {
                return Err(
                    section.problem("service_account_key", "expected it or service_account_file, not both")
                );
            }
            (Some(file), None) => Some(ServiceAccount::File(file)),
            (None, key) => key.map(ServiceAccount::Key),
        };
        let (bucket, sign) = (bucket(section, "bucket")?, section.get("sign")?);
        Ok(Self { bucket, account, sign, way: Way::from_section(section, party, home)? })
    }

    /// A whole bucket by the same way and with the same credentials: files of others.
    #[must_use]
    pub fn elsewhere(self, bucket: &str) -> Self {
        Self { bucket: bucket.to_owned(), way: self.way.without_prefix(), ..self }
    }

    /// What the addresses of its tables begin with.
    pub(crate) fn base(&self) -> String {
        self.way.base("gs", &self.bucket)
    }

    pub(crate) fn client(&self) -> Result<GoogleCloudStorage> {
        let mut builder = match &self.account {
            None if self.sign => GoogleCloudStorageBuilder::from_env(),
            None => GoogleCloudStorageBuilder::new(),
            Some(ServiceAccount::File(file)) => {
                let path = file
                    .to_str()
                    .ok_or_else(|| Error::invalid("service_account_file: its name is not UTF-8"))?;
                GoogleCloudStorageBuilder::new().with_service_account_path(path)
            }
            Some(ServiceAccount::Key(key)) => {
                GoogleCloudStorageBuilder::new().with_service_account_key(key.expose())
            }
        };
        if let Some(endpoint) = &self.way.endpoint {
            builder = builder.with_base_url(endpoint);
        }
        let client = builder
            .with_bucket_name(&self.bucket)
            .with_skip_signature(!self.sign)
            .with_client_options(self.way.options()?)
            .with_retry(self.way.retry())
            .build();
        client.map_err(|why| unfit("storage.gcs", why))
    }
}
