//! TLS between sites that know each other's certificates: no authority, no host names. A certificate is right if it is the registered one
//! (by SHA-256), is valid today, and its owner signed the handshake with its key.
//!
//! TLS 1.3 only, and no resumption: each connection shows its certificate. A refusal is kept as text beside the handshake, because TLS
//! has but one byte to say why; the text goes to this site's log and errors, and the other side reads the alert.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fmt, io};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, CryptoProvider, WebPkiSupportedAlgorithms};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName,
    ServerConfig, SignatureScheme,
};
use tributary_core::{Error, ErrorKind, PartyId, Result};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

const SHA256_BYTES: usize = 32;
const DAY_SECONDS: u64 = 24 * 3600;

/// SHA-256 of a certificate (DER): what a site registers of another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; SHA256_BYTES]);

impl Fingerprint {
    /// Of a certificate.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(|| {
            let shown = tributary_core::Shown::new(text);
            Error::invalid(format!("fingerprint {shown:?}, expected {} hex digits", 2 * SHA256_BYTES))
        })
    }
}

/// A site's certificate and private key, both DER (the key PKCS #8).
#[derive(Clone)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: Zeroizing<Vec<u8>>,
}

impl Identity {
    /// Stored ones.
    pub fn new(certificate: Vec<u8>, key: Zeroizing<Vec<u8>>) -> Self {
        Self { certificate: certificate.into(), key }
    }

    /// A fresh key (ECDSA, P-256) with a certificate signed by itself, for so many days from yesterday on.
    pub fn generate(site: &PartyId, days: u32) -> Result<Self> {
        let wrong = |e: rcgen::Error| Error::bug("make a certificate").because(e);
        let key = rcgen::KeyPair::generate().map_err(wrong)?;
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("tributary site {site}"));
        let now = SystemTime::now();
        // Clocks of sites differ.
        params.not_before = (now - std::time::Duration::from_secs(DAY_SECONDS)).into();
        params.not_after = (now + std::time::Duration::from_secs(DAY_SECONDS * u64::from(days))).into();
        let certificate = params.self_signed(&key).map_err(wrong)?;
        Ok(Self::new(certificate.der().to_vec(), Zeroizing::new(key.serialize_der())))
    }

    /// The certificate (DER).
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The private key (PKCS #8), for storing it in a file that only this site's user can read.
    pub fn reveal_key(&self) -> &[u8] {
        &self.key
    }

    /// What other sites register.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
}

/// Ready for handshakes in both roles.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    own: Fingerprint,
    key: Arc<SingleCertAndKey>,
    provider: Arc<CryptoProvider>,
}

impl Tls {
    pub(crate) fn new(identity: &Identity) -> Result<Self> {
        let provider = Arc::new(crypto::ring::default_provider());
        let der = PrivateKeyDer::try_from(identity.key.to_vec())
            .map_err(|why| Error::invalid(format!("the private key of this site's certificate: {why}")))?;
        let key = CertifiedKey::from_der(vec![identity.certificate.clone()], der, &provider)
            .map_err(|e| Error::invalid("this site's certificate and private key do not fit").because(e))?;
        Ok(Self { own: identity.fingerprint(), key: Arc::new(key.into()), provider })
    }

    /// For one call to a site, whose certificate is known.
    pub(crate) fn client(
        &self,
        site: &PartyId,
        expected: Fingerprint,
    ) -> Result<(Arc<ClientConfig>, Refusal)> {
        let check = Arc::new(Check::new(Expected::One(site.clone(), expected), self));
        let refusal = check.refusal.clone();
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| Error::bug("set TLS up").because(e))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(check);
        let mut config = builder.with_client_cert_resolver(self.key.clone());
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok((Arc::new(config), refusal))
    }

    /// For one call from some site; all of these certificates are known.
    pub(crate) fn server(
        &self,
        known: Arc<Vec<(PartyId, Fingerprint)>>,
    ) -> Result<(Arc<ServerConfig>, Refusal)> {
        let check = Arc::new(Check::new(Expected::Any(known), self));
        let refusal = check.refusal.clone();
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| Error::bug("set TLS up").because(e))?;
        let mut config = builder.with_client_cert_verifier(check).with_cert_resolver(self.key.clone());
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok((Arc::new(config), refusal))
    }

    /// What a failed handshake means.
    pub(crate) fn explain(&self, whom: &str, refusal: &Refusal, error: io::Error) -> Error {
        if let Some(why) = refusal.take() {
            return Error::new(ErrorKind::Denied, why);
        }
        if let Some(refused) = alert(&error).and_then(|alert| self.refused(whom, alert)) {
            return refused;
        }
        if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
            let text = format!(
                "no TLS with {whom}; see whether both sites have it on (`tls`), and that no proxy in between ends it"
            );
            return Error::new(ErrorKind::Denied, text).because(error);
        }
        Error::new(ErrorKind::Unavailable, format!("the connection with {whom} ended in its first words"))
            .because(error)
    }

    /// What it means if the other side did not like this side's certificate.
    pub(crate) fn refused(&self, whom: &str, alert: AlertDescription) -> Option<Error> {
        use AlertDescription as A;
        let own = self.own;
        let text = match alert {
            A::CertificateExpired => format!(
                "{whom} says that the certificate of this site (SHA-256 {own}) is not valid now; see both clocks, or make a new one \
                 with `tributary site rotate`"
            ),
            A::AccessDenied | A::CertificateRequired | A::CertificateUnknown | A::BadCertificate => format!(
                "{whom} does not know the certificate of this site (SHA-256 {own}); its operator registers this site's card with \
                 `tributary site trust`"
            ),
            _ => return None,
        };
        Some(Error::new(ErrorKind::Denied, text))
    }
}

/// What the other side's TLS said.
pub(crate) fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// Why this side refused the other's certificate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusal(Arc<Mutex<Option<String>>>);

impl Refusal {
    fn set(&self, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[derive(Debug)]
enum Expected {
    One(PartyId, Fingerprint),
    Any(Arc<Vec<(PartyId, Fingerprint)>>),
}

#[derive(Debug)]
struct Check {
    expected: Expected,
    own: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
    refusal: Refusal,
}

impl Check {
    fn new(expected: Expected, tls: &Tls) -> Self {
        let algorithms = tls.provider.signature_verification_algorithms;
        Self { expected, own: tls.own, algorithms, refusal: Refusal::default() }
    }

    fn certificate(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
        let shown = Fingerprint::of(certificate);
        let refuse = |why: String, error: CertificateError| {
            self.refusal.set(why);
            Err(rustls::Error::InvalidCertificate(error))
        };
        let own = self.own;
        let site = match &self.expected {
            Expected::One(site, expected) if *expected != shown => {
                let why = format!(
                    "site {site} showed a certificate with SHA-256 {shown}, registered here is {expected}; if its operator made a \
                     new one, register its new card with `tributary site trust`, else something stands between the sites"
                );
                return refuse(why, CertificateError::ApplicationVerificationFailure);
            }
            Expected::One(site, _) => site,
            Expected::Any(known) => match known.iter().find(|(_, known)| *known == shown) {
                Some((site, _)) => site,
                None => {
                    let why = format!(
                        "a caller showed a certificate with SHA-256 {shown}, which is registered here for no site; this site's \
                         has {own}. If it is a partner's, register its card with `tributary site trust`"
                    );
                    return refuse(why, CertificateError::ApplicationVerificationFailure);
                }
            },
        };
        match is_valid(certificate, now.as_secs()) {
            Some(true) => Ok(()),
            Some(false) => {
                let why = format!(
                    "the certificate of site {site} (SHA-256 {shown}) is not valid now, as this site (SHA-256 {own}) reads it; see \
                     both clocks, or let its operator make a new one with `tributary site rotate` and register that"
                );
                refuse(why, CertificateError::Expired)
            }
            None => refuse(
                format!("the certificate of site {site} (SHA-256 {shown}) does not decode"),
                CertificateError::BadEncoding,
            ),
        }
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }
}

/// Whether a certificate is valid at a time, in seconds since 1970; `None` if it does not decode.
pub(crate) fn is_valid(certificate: &[u8], at: u64) -> Option<bool> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let validity = certificate.validity();
    let at = i64::try_from(at).ok()?;
    Some((validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&at))
}

/// Days until a certificate ends, negative afterwards; `None` if it does not decode.
pub fn days_left(certificate: &[u8]) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(
        (certificate.validity().not_after.timestamp() - i64::try_from(now).ok()?)
            .div_euclid(DAY_SECONDS as i64),
    )
}

fn tls12() -> Result<HandshakeSignatureValid, rustls::Error> {
    Err(rustls::Error::General("TLS 1.2 is not spoken here".into()))
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.certificate(certificate, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Check {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.certificate(certificate, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_certificate_is_valid_for_its_days() {
        let made = Identity::generate(&"9999".parse().unwrap(), 30).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let day = |days: i64| (now as i64 + days * DAY_SECONDS as i64) as u64;
        for (days, expected) in [(-2, false), (0, true), (29, true), (31, false)] {
            assert_eq!(is_valid(made.certificate(), day(days)), Some(expected), "{days}");
        }
        assert!((29..=30).contains(&days_left(made.certificate()).unwrap()));
        assert_eq!(is_valid(b"garbage", now), None);
    }

    #[test]
    fn a_fingerprint_survives_its_text_with_and_without_colons() {
        let made = Fingerprint::of(b"certificate");
        assert_eq!(made.to_string().parse::<Fingerprint>().unwrap(), made);
        let colons: Vec<String> = made.0.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(colons.join(":").parse::<Fingerprint>().unwrap(), made);
        for bad in ["", "ab", "\u{1b}[2J"] {
            assert!(!bad.parse::<Fingerprint>().unwrap_err().to_string().contains('\u{1b}'));
        }
    }

    #[test]
    fn a_private_key_is_not_printed() {
        let made = Identity::generate(&"1".parse().unwrap(), 1).unwrap();
        assert_eq!(format!("{made:?}"), format!("Identity({})", made.fingerprint()));
    }

    proptest! {
        #[test]
        fn any_certificate_is_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in any::<u64>()) {
            is_valid(&bytes, at);
        }
    }
}
