//! The first words on a line: which sites it joins, in which version, and the proof.
//!
//! | who called | who was called |
//! |---|---|
//! | `Hello` with a challenge | |
//! | | `Answer` with a challenge and its proof over both |
//! | its `Proof` over both | |
//! | | `Welcome` |
//!
//! ISO/IEC 9798-4, three passes, with a key that only the two sites have. It is done with and without TLS: TLS may end at a proxy. What
//! follows is not authenticated one by one: what is in frames is sealed, and a proxy in the middle of a line could cut it anyway.
//! Mark and version stay as they are in every version of the protocol.

use serde::{Deserialize, Serialize};
use tributary_core::{Error, ErrorKind, PartyId, Result, Shown};
use tributary_system::random;
use tributary_wire::{KeyRing, LineKey};

/// Raised with every change of what goes over a line.
pub(crate) const VERSION: u16 = 2;

const MARK: &[u8; 14] = b"tributary-line";

/// Longest greeting.
pub(crate) const MAX_GREETING_BYTES: usize = 2048;
/// Longest reason of a refusal.
const MAX_REASON_BYTES: usize = 1024;

type Nonce = [u8; 32];

/// What is said first by both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub from: PartyId,
    pub to: PartyId,
    /// A number of the sender's process, to notice when it was started again.
    pub process: u64,
    pub challenge: Nonce,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Greeting {
    Hello(Hello),
    Answer(Hello, Nonce),
    Proof(Nonce),
    /// The line stands.
    Welcome,
    /// The sender wants no line, for this reason.
    Refused(String),
}

impl Greeting {
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let said = postcard::to_stdvec(self).map_err(|e| Error::bug("encode a greeting").because(e))?;
        Ok(marked(&said))
    }

    /// A refusal, with as much of the reason as a greeting holds.
    pub(crate) fn refused(why: &str) -> Self {
        Self::Refused(why.chars().take(MAX_REASON_BYTES / 4).collect())
    }

    /// What came from `whom`. `Denied` for another version and for a refusal, `Corrupt` for what is no greeting.
    pub(crate) fn decode(bytes: &[u8], whom: &str) -> Result<Self> {
        let Some((version, said)) = bytes.strip_prefix(MARK).and_then(|rest| rest.split_first_chunk()) else {
            return Err(Error::new(ErrorKind::Corrupt, format!("{whom} does not greet as a site does")));
        };
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            let text = format!(
                "{whom} speaks version {version} of the line between sites, here is version {VERSION}; upgrade the older one"
            );
            return Err(Error::new(ErrorKind::Denied, text));
        }
        match postcard::take_from_bytes(said) {
            Ok((Self::Refused(why), _)) => {
                let text = format!("{whom} refused the line: {}", Shown::new(&why));
                Err(Error::new(ErrorKind::Denied, text))
            }
            Ok((greeting, [])) => Ok(greeting),
            _ => Err(Error::new(ErrorKind::Corrupt, format!("{whom} sent a greeting that does not decode"))),
        }
    }
}

/// What stays in every version of the protocol, before what is said in this one.
pub(crate) fn marked(said: &[u8]) -> Vec<u8> {
    [&MARK[..], &VERSION.to_le_bytes(), said].concat()
}

/// A site that greets, and its number of this process.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub id: PartyId,
    pub process: u64,
}

impl Own {
    pub(crate) fn hello(&self, to: &PartyId) -> Result<Hello> {
        let mut challenge = [0; 32];
        random::fill(&mut challenge)?;
        Ok(Hello { from: self.id.clone(), to: to.clone(), process: self.process, challenge })
    }
}

/// What both sides prove: all that either said, and who proves it.
struct Claim<'a> {
    key: LineKey,
    called: &'a Hello,
    answered: &'a Hello,
}

impl Claim<'_> {
    fn data(&self, by: &'static str) -> Result<Vec<u8>> {
        postcard::to_stdvec(&(VERSION, by, self.called, self.answered))
            .map_err(|e| Error::bug("encode what is proved on a line").because(e))
    }

    fn prove(&self, by: &'static str) -> Result<Nonce> {
        self.key.proof(&self.data(by)?)
    }

    fn check(&self, by: &'static str, proof: &Nonce, site: &PartyId, keys: &KeyRing) -> Result<()> {
        if self.key.proves(&self.data(by)?, proof)? {
            return Ok(());
        }
        let (own, theirs) = (keys.own_public().fingerprint(), keys.of(site)?.fingerprint());
        Err(Error::new(
            ErrorKind::Denied,
            format!(
                "site {site} did not prove that it has its registered key; compare what both sites have registered: \
                 site {site} has key {theirs} as known here, this site has key {own}"
            ),
        ))
    }
}

const CALLED: &str = "called";
const ANSWERED: &str = "answered";

/// For who was called: the answer to a hello.
pub(crate) fn answer(own: &Own, keys: &KeyRing, hello: &Hello) -> Result<(Hello, Greeting)> {
    if hello.to != own.id {
        let text = format!("this is site {}, not {}; see which address the line goes to", own.id, hello.to);
        return Err(Error::new(ErrorKind::Denied, text));
    }
    let answered = own.hello(&hello.from)?;
    let claim = Claim { key: keys.line_key(&hello.from)?, called: hello, answered: &answered };
    let proof = claim.prove(ANSWERED)?;
    Ok((answered.clone(), Greeting::Answer(answered, proof)))
}

/// For who called: checks the answer and proves in turn.
pub(crate) fn conclude(keys: &KeyRing, called: &Hello, answered: &Hello, proof: &Nonce) -> Result<Greeting> {
    if answered.from != called.to || answered.to != called.from {
        let text = format!(
            "site {} answered as site {}; see which address the line goes to",
            called.to, answered.from
        );
        return Err(Error::new(ErrorKind::Denied, text));
    }
    let claim = Claim { key: keys.line_key(&called.to)?, called, answered };
    claim.check(ANSWERED, proof, &called.to, keys)?;
    claim.prove(CALLED).map(Greeting::Proof)
}

/// For who was called: checks the proof of who called.
pub(crate) fn accept(keys: &KeyRing, called: &Hello, answered: &Hello, proof: &Nonce) -> Result<()> {
    let claim = Claim { key: keys.line_key(&called.from)?, called, answered };
    claim.check(CALLED, proof, &called.from, keys)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tributary_wire::SecretKey;

    use super::*;

    fn own(id: &str) -> Own {
        Own { id: id.parse().unwrap(), process: 7 }
    }

    fn ring(own: u8) -> KeyRing {
        let secret = |byte| SecretKey::from_bytes([byte; 32]);
        let ring = KeyRing::new(secret(own)).with("1".parse().unwrap(), secret(1).public()).unwrap();
        ring.with("2".parse().unwrap(), secret(2).public()).unwrap()
    }

    /// Site 1 with key `a` calls site 2 with key `b`.
    fn meet(a: u8, b: u8) -> Result<()> {
        let hello = own("1").hello(&"2".parse().unwrap())?;
        let (answered, answer) = answer(&own("2"), &ring(b), &hello)?;
        let Greeting::Answer(_, proof) = answer else { panic!("{answer:?}") };
        let Greeting::Proof(proof) = conclude(&ring(a), &hello, &answered, &proof)? else {
            panic!("no proof")
        };
        accept(&ring(b), &hello, &answered, &proof)
    }

    #[test]
    fn sites_with_their_registered_keys_meet_and_others_do_not() {
        meet(1, 2).unwrap();
        for (a, b) in [(1, 3), (3, 2), (3, 3), (2, 2)] {
            let error = meet(a, b).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Denied);
            assert!(error.to_string().contains("compare"), "{error}");
        }
    }

    #[test]
    fn proofs_are_of_no_use_again_nor_backwards() {
        let to = "2".parse().unwrap();
        let (hello, other) = (own("1").hello(&to).unwrap(), own("1").hello(&to).unwrap());
        let (answered, said) = answer(&own("2"), &ring(2), &hello).unwrap();
        let Greeting::Answer(_, reflected) = said else { panic!("{said:?}") };
        assert!(conclude(&ring(1), &other, &answered, &reflected).is_err(), "another challenge");
        let Greeting::Proof(proof) = conclude(&ring(1), &hello, &answered, &reflected).unwrap() else {
            panic!()
        };
        let (fresh, _) = answer(&own("2"), &ring(2), &hello).unwrap();
        assert!(accept(&ring(2), &hello, &fresh, &proof).is_err(), "a replay");
        assert!(accept(&ring(2), &hello, &answered, &reflected).is_err(), "a reflection");
    }

    #[test]
    fn other_sites_versions_and_refusals_are_named() {
        let error = answer(&own("3"), &ring(2), &own("1").hello(&"2".parse().unwrap()).unwrap()).unwrap_err();
        assert!(error.to_string().contains("this is site 3, not 2"), "{error}");
        let unknown =
            answer(&own("2"), &ring(2), &own("9").hello(&"2".parse().unwrap()).unwrap()).unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::Denied);
        let mut other = Greeting::Proof([0; 32]).encode().unwrap();
        other[MARK.len()] = 9;
        let error = Greeting::decode(&other, "site 2").unwrap_err();
        assert!(
            error.to_string().contains("site 2 speaks version 9") && error.to_string().contains("version 2"),
            "{error}"
        );
        let refused = Greeting::refused(&"no\u{1b}[2J".repeat(1000)).encode().unwrap();
        assert!(refused.len() <= MAX_GREETING_BYTES);
        let error = Greeting::decode(&refused, "site 2").unwrap_err().to_string();
        assert!(error.contains("site 2 refused the line: no") && !error.contains('\u{1b}'), "{error}");
        assert_eq!(Greeting::decode(b"GET / HTTP/1.1", "it").unwrap_err().kind(), ErrorKind::Corrupt);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(said in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(Greeting::decode(&said, "it"));
            drop(Greeting::decode(&[&MARK[..], &VERSION.to_le_bytes(), &said].concat(), "it"));
        }
    }
}
