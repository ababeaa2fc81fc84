//! The certificate that a site shows on a line: made and signed by the site itself, and believed only because it is pinned.
//!
//! It names the party, so that a person who looks at it with other tools sees whose it is, and one fixed DNS name, because party
//! ids are no DNS names and TLS libraries ask for one. Neither name is what makes it trusted.

use std::fmt;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};
use time::{Date, Duration, OffsetDateTime};
use tributary_core::{Error, ErrorKind, PartyId, Result};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::{Zeroize, Zeroizing};

/// The DNS name that every site's certificate has, for TLS libraries that ask for a name.
pub const TLS_NAME: &str = "site.tributary";

/// Longest certificate that is read.
pub(crate) const MAX_CERTIFICATE_BYTES: usize = 4 << 10;
/// Longest private key that is read, PKCS #8.
pub(crate) const MAX_PRIVATE_KEY_BYTES: usize = 1 << 10;

/// How long it is valid: ten years.
const DAYS: i64 = 3653;
/// How long before it was made it is valid, for sites whose clocks are behind.
const DAYS_BEFORE: i64 = 2;

/// A certificate that names a party, in DER.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    until: OffsetDateTime,
}

impl Certificate {
    /// Makes one, with its private key (PKCS #8, DER), valid for ten years from `now` (time since 1970).
    pub(crate) fn make(party: &PartyId, now: std::time::Duration) -> Result<(Self, Zeroizing<Vec<u8>>)> {
        let failed = |e: rcgen::Error| Error::bug("make a certificate").because(e);
        let now =
            i64::try_from(now.as_secs()).ok().and_then(|now| OffsetDateTime::from_unix_timestamp(now).ok());
        let from = now.and_then(|now| now.checked_sub(Duration::days(DAYS_BEFORE)));
        let until = now.and_then(|now| now.checked_add(Duration::days(DAYS)));
        let (Some(from), Some(until)) = (from, until) else {
            return Err(Error::invalid(
                "this machine's clock shows no time at which a certificate could be made; set it",
            ));
        };
        let mut params = CertificateParams::new(vec![TLS_NAME.to_owned()]).map_err(failed)?;
        params.subject_alt_names.push(SanType::URI(uri(party).try_into().map_err(failed)?));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, TLS_NAME);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (from, until);
        let mut pair = KeyPair::generate().map_err(failed)?;
        let der = params.self_signed(&pair).map_err(failed)?.der().to_vec();
        let private = Zeroizing::new(pair.serialize_der());
        pair.zeroize();
        Ok((Self::read(der, party)?, private))
    }

    /// Takes a certificate in DER that names this party. `Corrupt` if it is none, or names another.
    pub fn read(der: Vec<u8>, party: &PartyId) -> Result<Self> {
        let wrong = |why: &str| Error::new(ErrorKind::Corrupt, format!("the certificate {why}"));
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(wrong(&format!("has {} bytes, at most {MAX_CERTIFICATE_BYTES} are read", der.len())));
        }
        let (rest, read) = X509Certificate::from_der(&der).map_err(|_| wrong("is not one of X.509"))?;
        if !rest.is_empty() {
            return Err(wrong("is followed by other bytes"));
        }
        let names = read.subject_alternative_name().map_err(|_| wrong("has names that cannot be read"))?;
        let uri = uri(party);
        let is_of_party = |name: &GeneralName<'_>| matches!(name, GeneralName::URI(found) if *found == uri);
        if !names.is_some_and(|names| names.value.general_names.iter().any(is_of_party)) {
            return Err(wrong(&format!("does not name party {party} ({uri})")));
        }
        let until = read.validity().not_after.to_datetime();
        Ok(Self { der, until })
    }

    /// The bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Until when it is valid, seconds since 1970; negative for earlier times.
    pub fn valid_until(&self) -> i64 {
        self.until.unix_timestamp()
    }

    /// The last day on which it is valid, UTC: `2036-11-28`.
    pub fn last_day(&self) -> String {
        let date: Date = self.until.date();
        format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} bytes, until {})", self.der.len(), self.last_day())
    }
}

/// How a certificate names a party. `#` is the only character of an id that a URI gives another meaning.
fn uri(party: &PartyId) -> String {
    format!("tributary:party/{}", party.as_str().replace('#', "%23"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: std::time::Duration = std::time::Duration::from_secs(1_795_348_800);

    fn party(id: &str) -> PartyId {
        id.parse().unwrap()
    }

    #[test]
    fn a_certificate_names_its_party_and_is_valid_for_ten_years() {
        let longest = "x#".repeat(64);
        for id in ["9999", "A.b_c-d#e", &longest] {
            let (made, private) = Certificate::make(&party(id), NOW).unwrap();
            assert!(!private.is_empty() && private.len() <= MAX_PRIVATE_KEY_BYTES);
            assert_eq!(Certificate::read(made.der().to_vec(), &party(id)).unwrap(), made);
            assert_eq!(made.last_day(), "2036-11-22");
            let error = Certificate::read(made.der().to_vec(), &party("1")).unwrap_err();
            assert!(error.to_string().contains("does not name party 1"), "{error}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let (made, _) = Certificate::make(&party("1"), NOW).unwrap();
        let longer = [made.der(), &[0]].concat();
        for wrong in
            [&b""[..], b"no certificate", &made.der()[1..], &made.der()[..50], &longer, &[0x30; 8192]]
        {
            assert_eq!(
                Certificate::read(wrong.to_vec(), &party("1")).unwrap_err().kind(),
                ErrorKind::Corrupt
            );
        }
    }

    #[test]
    fn a_clock_that_shows_no_time_makes_no_certificate() {
        assert!(Certificate::make(&party("1"), std::time::Duration::MAX).is_err());
        Certificate::make(&party("1"), std::time::Duration::ZERO).unwrap();
    }
}
