//! Who belongs to a cluster: certificates of one authority, and one key, in a folder that driver, scheduler and executors
//! each have a copy of.
//!
//! ```text
//! ca.pem     the cluster's authority          cluster.key   seals what goes through others; 64 hexadecimal digits
//! node.pem   a certificate it signed          node.key      its private key
//! ```
//!
//! Certificates name the cluster and not a machine: a process that has one may take any part. The scheduler in addition compares
//! what a peer says of itself ([`Identity`]): equal kernels, or the same plan would mean two things.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::BALLISTA_VERSION;
use ballista_core::extension::EndpointOverrideFn;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity as TlsIdentity, ServerTlsConfig};
use tributary_core::error::{Error, ErrorKind, Result, ResultExt};
use tributary_core::kernel::Kernels;
use tributary_system::random;
use zeroize::Zeroizing;

use crate::seal::ClusterKey;

/// What every certificate of a cluster says its bearer is.
const NAME: &str = "node.cluster.tributary";
const FILES: [&str; 4] = ["ca.pem", "node.pem", "node.key", "cluster.key"];
/// Raised with every change of what drivers, schedulers and executors say to each other.
const PROTOCOL: u32 = 2;

/// The contents of a key folder.
#[derive(Clone)]
pub struct Keys {
    pub(crate) cluster: ClusterKey,
    pub(crate) authority: String,
    pub(crate) certificate: String,
    /// Wiped here when dropped; the TLS library keeps a copy of its own.
    pub(crate) private: Zeroizing<String>,
}

/// Never the keys.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys of a cluster")
    }
}

impl Keys {
    /// Reads a folder. `NotFound` or `InvalidInput` name the file.
    pub fn read(folder: &Path) -> Result<Self> {
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).at(|| format!("read {}", path.display()))
        };
        let secret = |name: &str| text(name).map(Zeroizing::new);
        let (authority, certificate, private) = (text(FILES[0])?, text(FILES[1])?, secret(FILES[2])?);
        let (path, key) = (folder.join(FILES[3]), secret(FILES[3])?);
        let bytes = HEXLOWER_PERMISSIVE.decode(key.trim().as_bytes()).map(Zeroizing::new);
        let bytes = bytes
            .map_err(|_| Error::invalid(format!("expected {} hexadecimal digits", 2 * ClusterKey::BYTES)));
        let cluster =
            bytes.and_then(|bytes| ClusterKey::new(&bytes)).at(|| format!("read {}", path.display()))?;
        Ok(Self { cluster, authority, certificate, private })
    }

    /// Makes a folder for a new cluster, readable by its owner only from its first moment. `AlreadyExists` if there is one: its
    /// nodes would no longer know each other.
    pub fn create(folder: &Path) -> Result<()> {
        if FILES.iter().any(|name| folder.join(name).exists()) {
            let text = format!("{} holds keys of a cluster; remove them to make new ones", folder.display());
            return Err(Error::new(ErrorKind::AlreadyExists, text));
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.at(|| format!("create {}", folder.display()))?;
        let mut key = Zeroizing::new([0u8; ClusterKey::BYTES]);
        random::fill(key.as_mut_slice())?;
        let hex = Zeroizing::new(HEXLOWER.encode(key.as_slice()));
        let made = certificates().map_err(|e| Error::bug("make certificates").because(e))?;
        for (name, text) in FILES.iter().zip([&made.authority, &made.certificate, &*made.private, &*hex]) {
            let path = folder.join(name);
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            file.and_then(|mut file| file.write_all(text.as_bytes()))
                .at(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }

    /// The key that seals.
    pub fn cluster_key(&self) -> ClusterKey {
        self.cluster.clone()
    }

    pub(crate) fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(TlsIdentity::from_pem(&self.certificate, self.private.as_bytes()))
            .client_ca_root(Certificate::from_pem(&self.authority))
            .timeout(HANDSHAKE)
    }

    fn client(&self) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .identity(TlsIdentity::from_pem(&self.certificate, self.private.as_bytes()))
            .ca_certificate(Certificate::from_pem(&self.authority))
            .domain_name(NAME)
    }

    /// How a process of the cluster reaches `host:port`.
    pub(crate) fn endpoint(&self, address: &str, identity: &Identity) -> Result<Endpoint> {
        let endpoint = Endpoint::from_shared(format!("https://{address}"))
            .and_then(|endpoint| endpoint.user_agent(identity.to_string()))
            .and_then(|endpoint| endpoint.tls_config(self.client()));
        let endpoint = endpoint.map_err(|e| {
            Error::invalid(format!("address {address:?}, expected host:port, and keys in PEM")).because(e)
        })?;
        Ok(endpoint
            .connect_timeout(Duration::from_secs(10))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10))
            .initial_connection_window_size(64 << 20)
            .initial_stream_window_size(16 << 20))
    }

    /// The same for connections that Ballista makes.
    pub(crate) fn override_endpoints(&self, identity: &Identity) -> EndpointOverrideFn {
        let (keys, identity) = (self.clone(), identity.clone());
        Arc::new(move |endpoint: Endpoint| {
            let authority = endpoint.uri().authority().map(|a| a.as_str().to_owned()).unwrap_or_default();
            Ok(keys.endpoint(&authority, &identity)?)
        })
    }
}

const HANDSHAKE: Duration = Duration::from_secs(10);

struct Made {
    authority: String,
    certificate: String,
    private: Zeroizing<String>,
}

fn certificates() -> Result<Made, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "Tributary cluster");
    let authority_key = KeyPair::generate()?;
    let authority = params.self_signed(&authority_key)?;
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![NAME.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, NAME);
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Made {
        authority: authority.pem(),
        certificate: certificate.pem(),
        private: Zeroizing::new(key.serialize_pem()),
    })
}

/// What a process says of itself when it connects.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    kernels: [u8; 32],
}

impl Identity {
    /// Of a binary with these kernels.
    pub fn of(kernels: &Kernels) -> Self {
        Self { kernels: kernels.fingerprint() }
    }

    /// Why a peer that says this is refused, if it is.
    pub(crate) fn refuse(&self, peer: &str) -> Option<String> {
        let same = peer.split(' ').take(3).eq(self.to_string().split(' '));
        (!same).then(|| {
            format!("refused: this cluster is {self:?}, and the peer says {peer:?}; run the same build of tributary everywhere")
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernels = HEXLOWER.encode(&self.kernels[..16]);
        write!(f, "tributary/{PROTOCOL} kernels/{kernels} ballista/{BALLISTA_VERSION}")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_of_keys_is_made_once_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        assert_eq!(Keys::read(&keys).unwrap_err().kind(), ErrorKind::NotFound);
        Keys::create(&keys).unwrap();
        let read = Keys::read(&keys).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&keys), 0o700);
        assert!(FILES.iter().all(|name| mode(&keys.join(name)) == 0o600));
        assert!(read.authority.contains("BEGIN CERTIFICATE") && read.private.contains("PRIVATE KEY"));
        assert_eq!(format!("{read:?}"), "keys of a cluster");
        assert_eq!(Keys::create(&keys).unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::write(keys.join("cluster.key"), "no key").unwrap();
        let error = Keys::read(&keys).unwrap_err();
        assert!(error.to_string().contains("cluster.key"), "{error}");
    }

    #[test]
    fn a_peer_with_other_kernels_is_refused_and_both_are_named() {
        let own = Identity { kernels: [1; 32] };
        let other = Identity { kernels: [2; 32] };
        assert_eq!(own.refuse(&format!("{own} tonic/0.14")), None);
        let refused = own.refuse(&format!("{other} tonic/0.14")).unwrap();
        assert!(refused.contains(&"01".repeat(16)) && refused.contains(&"02".repeat(16)), "{refused}");
        assert!(own.refuse("").is_some());
    }
}
