//! Azure Blob Storage: the section `storage.azure`, and the client that it makes.
//!
//! Credentials come from the section, else from where Azure's own programs look: the environment, a workload's identity, the machine.

use std::path::Path;

use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};

use tributary_core::Result;
use tributary_core::settings::{Key, Kind, Secret, Section};

use crate::config::{CA_FILE, PATIENCE, PREFIX, Way, bucket, unfit};

/// The keys of the section.
pub const KEYS: &[Key] = &[
    Key::optional(
        "container",
        Kind::Text,
        "Container of the tables. A party whose configuration names one has this store, also if its new tables go to another.",
    ),
    Key::optional("account", Kind::Text, "The storage account."),
    PREFIX,
    Key::optional(
        "endpoint",
        Kind::Text,
        "Address of the account, if it is not `https://<account>.blob.core.windows.net`. With `http://` rows cross the network as \
         they are.",
    ),
    Key::optional(
        "access_key",
        Kind::Secret,
        "The account's key. If neither it nor a signature is given, credentials are looked for as Azure's own programs do.",
    ),
    Key::optional("signature", Kind::Secret, "A shared access signature, in place of the account's key."),
    CA_FILE,
    PATIENCE,
];

/// The section, read.
#[derive(Debug, Clone)]
pub struct AzureConfig {
    /// The storage account.
    pub account: String,
    /// Container of the tables.
    pub container: String,
    /// The account's key.
    pub access_key: Option<Secret>,
    /// A shared access signature.
    pub signature: Option<Secret>,
    /// Place and server.
    pub way: Way,
}

impl AzureConfig {
    /// Whether the section names a container.
    pub fn is_given(section: &Section) -> Result<bool> {
        Ok(section.find::<&str>("container")?.is_some())
    }

    /// Reads the section for a party; a relative path is under its `home`.
    pub fn from_section(section: &Section, party: &str, home: &Path) -> Result<Self> {
        let access_key = section.find::<&Secret>("access_key")?;
        if access_key.is_some_and(|key| !is_base64(key.expose())) {
            return Err(
                section.problem("access_key", "expected the account's key as Azure shows it, in base64")
            );
        }
        Ok(Self {
            account: bucket(section, "account")?,
            container: bucket(section, "container")?,
            access_key: access_key.cloned(),
            signature: section.find::<&Secret>("signature")?.cloned(),
            way: Way::from_section(section, party, home)?,
        })
    }

    /// A whole container of the account: files of others.
    #[must_use]
    pub fn elsewhere(self, container: &str) -> Self {
        Self { container: container.to_owned(), way: self.way.without_prefix(), ..self }
    }

    /// What the addresses of its tables begin with.
    pub(crate) fn base(&self) -> String {
        self.way.base("az", &self.container)
    }

    pub(crate) fn client(&self) -> Result<MicrosoftAzure> {
        let mut builder = match (&self.access_key, &self.signature) {
            (None, None) => MicrosoftAzureBuilder::from_env(),
            (Some(key), _) => MicrosoftAzureBuilder::new().with_access_key(key.expose()),
            (None, Some(signature)) => {
                MicrosoftAzureBuilder::new().with_config(AzureConfigKey::SasKey, signature.expose())
            }
        };
        if let Some(endpoint) = &self.way.endpoint {
            builder = builder.with_endpoint(endpoint.clone());
        }
        let client = builder
            .with_account(&self.account)
            .with_container_name(&self.container)
            .with_client_options(self.way.options()?)
            .with_retry(self.way.retry())
            .build();
        client.map_err(|why| unfit("storage.azure", why))
    }
}

/// Whether a text has the form of base64: the client would say no more than what is wrong with its padding.
fn is_base64(text: &str) -> bool {
    let digits = text.strip_suffix("==").or(text.strip_suffix('=')).unwrap_or(text);
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    !digits.is_empty() && text.len().is_multiple_of(4) && digits.bytes().all(known)
}
