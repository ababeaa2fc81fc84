//! Where a site listens: a host and a port, as a card says it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Serialize;
use tributary_core::{Error, Result, Shown};

/// `host:port`: a DNS name in lower case, an IPv4 address, or an IPv6 address in brackets; a port from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// The host, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, from 1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(format!(
                "address {:?}, expected HOST:PORT, such as bank.example:9370 or [2001:db8::1]:9370",
                Shown::new(text)
            ))
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let digits = !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit());
        let port = port.parse::<u16>().ok().filter(|port| digits && *port > 0).ok_or_else(wrong)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner.parse::<Ipv6Addr>().map_err(|_| wrong())?.to_string(),
            None if is_name(host) || host.parse::<Ipv4Addr>().is_ok() => host.to_ascii_lowercase(),
            None => return Err(wrong()),
        };
        Ok(Self { host, port })
    }
}

/// Whether it is a name of DNS (RFC 1123, and the `_` of many internal names) that no one takes for an IPv4 address.
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number = |label: &str| label.bytes().all(|digit| digit.is_ascii_digit());
    host.len() <= 253 && host.split('.').all(is_label) && !host.rsplit('.').next().is_some_and(is_number)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_have_one_spelling() {
        for (given, shown) in [
            ("Bank.Example:9370", "bank.example:9370"),
            ("localhost:1", "localhost:1"),
            ("127.0.0.1:65535", "127.0.0.1:65535"),
            ("[2001:DB8:0::1]:80", "[2001:db8::1]:80"),
            ("tributary_1:80", "tributary_1:80"),
        ] {
            assert_eq!(given.parse::<Address>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}:80", "a".repeat(64));
        for wrong in [
            "",
            "bank",
            "bank:",
            ":80",
            "bank:0",
            "bank:65536",
            "bank:+80",
            "bank:80 ",
            "2001:db8::1:80",
            "[bank]:80",
            "a..b:80",
            "-a:80",
            "1.2.3:80",
            "1.2.3.4.5:80",
            "a b:80",
            "http://bank:80",
            "a/b:80",
            "bänk:80",
            &long,
        ] {
            let error = wrong.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("expected HOST:PORT"), "{wrong}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_comes_back(text in "[a-z0-9:.\\[\\]-]{0,20}|.*") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
            }
        }
    }
}
