//! The way to a partner and back, step by step: for each step that fails, what to change and at which site.
//!
//! What this site can find out alone comes first: keys, cards, certificates, addresses, whether a port answers. Then the party's transport is opened
//! and the partner is asked. A step whose precondition failed is not tried, so that one mistake is one failure.
//!
//! One process of a site speaks with its partners at a time, so a ping needs that no other one does; at the partner either answers, an agent
//! or a ping to this site.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde::Serialize;
use tributary_core::{Error, PartyId, Result};
use tributary_runtime::{Home, Way};
use tributary_system::clock::since_1970;
use tributary_trust::{Address, Card, SiteFolder};

mod broker;
mod far;

/// How long a port may take to answer.
const CONNECT: Duration = Duration::from_secs(5);
/// How long nobody may listen there: the partner's operator may be about to start its process.
const STARTING: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// A certificate that ends within this time is worth a word.
const SOON: i64 = 30;
const DAY_SECONDS: i64 = 24 * 3600;

/// What was found on the way to a partner.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The partner.
    pub partner: PartyId,
    /// In the order in which they depend on each other.
    pub steps: Vec<Step>,
}

/// One thing that must be right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Which.
    pub what: What,
    /// How it is.
    #[serde(flatten)]
    pub state: State,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// This site has keys.
    OwnKeys,
    /// This site trusts a card of the partner.
    TheirCard,
    /// Both certificates are valid now.
    Certificates,
    /// One of both sites can call the other.
    Addresses,
    /// The partner's port answers, or that of the exchange.
    Port,
    /// The broker between both takes this site in, and lets it do what a job needs.
    Broker,
    /// This site's broker fetches from that of the partner.
    Link,
    /// This site's transport can be opened.
    Transport,
    /// The partner answered, sealed by its own key and to that of this site.
    Answer,
    /// Both run builds that understand each other.
    Versions,
    /// Both clocks show the same time.
    Clocks,
    /// How long the way there and back takes.
    RoundTrip,
    /// How much goes over it.
    Bandwidth,
}

/// How a step is.
pub type State = tributary_core::check::State<Change>;

/// What to change at a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// At which.
    pub at: PartyId,
    /// What.
    pub change: String,
}

impl What {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OwnKeys => "own keys",
            Self::TheirCard => "their card",
            Self::Certificates => "certificates",
            Self::Addresses => "address",
            Self::Port => "port",
            Self::Broker => "broker",
            Self::Link => "broker link",
            Self::Transport => "transport",
            Self::Answer => "answer",
            Self::Versions => "versions",
            Self::Clocks => "clocks",
            Self::RoundTrip => "round trip",
            Self::Bandwidth => "bandwidth",
        }
    }
}

impl Report {
    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step.state, State::Failed { .. }))
    }

    fn add(&mut self, what: What, state: State) {
        self.steps.push(Step { what, state });
    }

    fn skip(&mut self, what: &[What], why: &str) {
        what.iter().for_each(|what| self.add(*what, State::Skipped { why: why.to_owned() }));
    }
}

fn good(found: impl Into<String>) -> State {
    State::Good { found: found.into() }
}

fn failed<const N: usize>(found: impl Into<String>, changes: [(&PartyId, String); N]) -> State {
    State::Failed { found: found.into(), changes: changes.map(change).into() }
}

fn doubtful<const N: usize>(found: impl Into<String>, changes: [(&PartyId, String); N]) -> State {
    State::Doubtful { found: found.into(), changes: changes.map(change).into() }
}

fn change((at, change): (&PartyId, String)) -> Change {
    Change { at: at.clone(), change }
}

/// The way from a party to a partner.
#[derive(Debug)]
pub struct Ping<'a> {
    home: &'a Home,
    by_broker: bool,
    cards: Option<Cards>,
    report: Report,
}

impl<'a> Ping<'a> {
    /// Looks as far as the party's site alone can. Errors: only about the home folder and its configuration; everything about the way is in
    /// the report.
    pub fn look(home: &'a Home, party: &PartyId, partner: &PartyId) -> Result<Self> {
        Self::look_for(home, party, partner, STARTING)
    }

    /// The same, for a partner whose process may start within this time.
    pub(crate) fn look_for(
        home: &'a Home,
        party: &PartyId,
        partner: &PartyId,
        starting: Duration,
    ) -> Result<Self> {
        if party == partner {
            return Err(Error::invalid(format!("party {party} is this site; give the id of a partner")));
        }
        let (folder, way) = (home.site_folder(party)?, home.way(party, partner)?);
        let (mut report, cards) = look_from(&folder, partner, &way, since_1970());
        if let Some(cards) = &cards
            && !way.by_broker
        {
            match report.is_good() {
                true => report.add(What::Port, port(cards, &called(cards, &way), &way, starting)),
                false => report.skip(&[What::Port], "something before it failed"),
            }
        }
        Ok(Self { home, by_broker: way.by_broker, cards, report })
    }

    /// What was found so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Asks the partner, unless something failed before. Must be called within a tokio runtime with I/O and time. Waits for a
    /// partner that is not there as long as the transport does, a minute by default.
    pub async fn ask(mut self) -> Report {
        if self.by_broker {
            match &self.cards {
                Some(cards) if self.report.is_good() => {
                    broker::look(&mut self.report, self.home, cards).await
                }
                _ => self.report.skip(&broker::STEPS, "something before it failed"),
            }
        }
        match &self.cards {
            Some(cards) if self.report.is_good() => far::ask(&mut self.report, self.home, cards).await,
            _ => self.report.skip(&far::STEPS, "something before it failed"),
        }
        self.report
    }
}

fn look_from(folder: &SiteFolder, partner: &PartyId, way: &Way, now: Duration) -> (Report, Option<Cards>) {
    let mut report = Report { partner: partner.clone(), steps: Vec::new() };
    let own = folder.party();
    let cards = match (folder.identity(), folder.partner(partner)) {
        (Err(error), _) => {
            let init = format!("tributary site init --party {own}, then give the card to party {partner}");
            report.add(What::OwnKeys, failed(error.chain(), [(own, init)]));
            return (report, None);
        }
        (Ok(identity), Err(error)) => {
            report.add(What::OwnKeys, good(identity.card().fingerprint().to_string()));
            let trust = format!("tributary site trust {partner}.card --party {own}");
            report.add(What::TheirCard, failed(error.chain(), [(own, trust)]));
            return (report, None);
        }
        (Ok(identity), Ok(theirs)) => Cards { own: identity.card().clone(), theirs },
    };
    report.add(What::OwnKeys, good(cards.own.fingerprint().to_string()));
    report.add(What::TheirCard, good(cards.theirs.fingerprint().to_string()));
    report.add(What::Certificates, certificates(&cards, now));
    if !way.by_broker {
        let called = called(&cards, way);
        report.add(What::Addresses, addresses(&cards, &called, way.exchange.as_deref()));
    }
    (report, Some(cards))
}

/// What this site calls: what its configuration says, else the partner's card, else the exchange.
fn called(cards: &Cards, way: &Way) -> Vec<String> {
    let of_card = || cards.theirs.addresses().iter().map(Address::to_string).collect();
    let called = way.address.clone().map_or_else(of_card, |address| vec![address]);
    if called.is_empty() { way.exchange.iter().cloned().collect() } else { called }
}

/// The cards of both sides.
#[derive(Debug, Clone)]
struct Cards {
    /// Of this site.
    own: Card,
    /// Of the partner, as trusted here.
    theirs: Card,
}

fn certificates(cards: &Cards, now: Duration) -> State {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let days = |card: &Card| card.certificate().valid_until().saturating_sub(now).div_euclid(DAY_SECONDS);
    let renew = |card: &Card, other: &Card| {
        let (party, other) = (card.party(), other.party());
        let text = format!(
            "tributary site rotate --party {party}; then party {other} trusts the new card with --replace"
        );
        (card.party().clone(), text)
    };
    let ends = |card: &Card| {
        format!("that of party {} is valid until {}", card.party(), card.certificate().last_day())
    };
    let found = format!("{}, {}", ends(&cards.own), ends(&cards.theirs));
    let pairs = [(&cards.own, &cards.theirs), (&cards.theirs, &cards.own)];
    for (limit, is_failure) in [(0, true), (SOON, false)] {
        let late =
            pairs.iter().filter(|(card, _)| days(card) < limit).map(|(card, other)| renew(card, other));
        let changes: Vec<Change> = late.map(|(at, change)| Change { at, change }).collect();
        match (changes.is_empty(), is_failure) {
            (true, _) => {}
            (false, true) => return State::Failed { found, changes },
            (false, false) => return State::Doubtful { found, changes },
        }
    }
    good(found)
}

fn addresses(cards: &Cards, called: &[String], exchange: Option<&str>) -> State {
    let (own, partner) = (cards.own.party(), cards.theirs.party());
    match (called, exchange, cards.own.addresses()) {
        ([], _, []) => {
            let open = |party: &PartyId, other: &PartyId| {
                format!(
                    "tributary site card --address HOST:PORT --party {party}; then party {other} trusts the new card"
                )
            };
            failed(
                "neither card has an address, so no site can call the other",
                [(own, open(own, partner)), (partner, open(partner, own))],
            )
        }
        ([], _, own) => {
            let own: Vec<String> = own.iter().map(Address::to_string).collect();
            good(format!("party {partner} calls this site at {}", own.join(" or ")))
        }
        ([only], Some(exchange), _) if only == exchange => {
            good(format!("party {partner} is reached through the exchange at {exchange}"))
        }
        (called, ..) => good(format!("this site calls party {partner} at {}", called.join(" or "))),
    }
}

/// Whether one of the addresses answers at all.
fn port(cards: &Cards, called: &[String], way: &Way, starting: Duration) -> State {
    let (own, partner) = (cards.own.party(), cards.theirs.party());
    if called.is_empty() {
        return State::Skipped { why: format!("party {partner} only calls out") };
    }
    let began = Instant::now();
    let found = loop {
        let mut found = Vec::new();
        for address in called {
            match connect(address) {
                Ok(took) => return good(format!("{address} answers in {:.1} ms", took.as_secs_f64() * 1e3)),
                Err(why) => found.push(format!("{address}: {why}")),
            }
        }
        if began.elapsed() >= starting {
            break found;
        }
        std::thread::sleep(PAUSE);
    };
    if let ([only], Some(exchange)) = (called, &way.exchange)
        && only == exchange
    {
        let text = format!(
            "see that the exchange runs and listens at {exchange}, that its firewall lets calls in, and that this machine may call it"
        );
        return failed(format!("the exchange at {}", found.join("; ")), [(own, text)]);
    }
    failed(
        found.join("; "),
        [
            (
                partner,
                "see that the site's process runs and listens there, and that its firewall lets calls in"
                    .to_owned(),
            ),
            (own, format!("see that this machine may call {}", called.join(" or "))),
        ],
    )
}

fn connect(address: &str) -> Result<Duration, String> {
    let start = Instant::now();
    let resolved = address.to_socket_addrs();
    let resolved = resolved.map_err(|e| format!("the name is not known here ({e})"))?;
    let mut why = "the name has no address".to_owned();
    for socket in resolved {
        match TcpStream::connect_timeout(&socket, CONNECT) {
            Ok(_) => return Ok(start.elapsed()),
            Err(e) => why = e.to_string(),
        }
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use tributary_trust::Existing;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_795_348_800);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn id(text: &str) -> PartyId {
        text.parse().unwrap()
    }

    fn site(home: &tempfile::TempDir, party: &str, addresses: &[&str]) -> SiteFolder {
        let site = SiteFolder::of(&home.path().join(party), &id(party));
        let addresses: Vec<Address> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        site.create(&addresses, NOW, Existing::Keep).unwrap();
        site
    }

    /// Bank and shop with these addresses; the bank trusts the shop.
    fn sites(bank: &[&str], shop: &[&str]) -> (tempfile::TempDir, SiteFolder) {
        let home = tempfile::tempdir().unwrap();
        let (bank, shop) = (site(&home, "9999", bank), site(&home, "10000", shop));
        bank.trust(shop.identity().unwrap().card(), Existing::Keep).unwrap();
        (home, bank)
    }

    fn look(site: &SiteFolder, now: Duration) -> Report {
        look_from(site, &id("10000"), &Way::default(), now).0
    }

    /// The only step that failed, and at which sites something is to be changed.
    fn check(report: &Report, what: What, at: &[&str], expected: &str) {
        let steps: Vec<&Step> =
            report.steps.iter().filter(|step| matches!(step.state, State::Failed { .. })).collect();
        let [step] = steps[..] else { panic!("{report:?}") };
        assert_eq!(step.what, what);
        let State::Failed { found, changes } = &step.state else { panic!("{step:?}") };
        let shown = format!("{found} {changes:?}");
        assert!(shown.contains(expected), "{shown}");
        assert_eq!(changes.iter().map(|change| change.at.as_str()).collect::<Vec<_>>(), at);
    }

    #[test]
    fn what_this_site_lacks_is_said_with_the_command_that_makes_it() {
        let home = tempfile::tempdir().unwrap();
        let none = SiteFolder::of(&home.path().join("9999"), &id("9999"));
        check(&look(&none, NOW), What::OwnKeys, &["9999"], "tributary site init --party 9999");
        check(
            &look(&site(&home, "9999", &[]), NOW),
            What::TheirCard,
            &["9999"],
            "tributary site trust 10000.card",
        );
    }

    #[test]
    fn two_sites_that_only_call_out_cannot_meet() {
        let (_home, bank) = sites(&[], &[]);
        check(&look(&bank, NOW), What::Addresses, &["9999", "10000"], "neither card has an address");
        let (_home, bank) = sites(&["bank.example:1"], &[]);
        let (report, cards) = look_from(&bank, &id("10000"), &Way::default(), NOW);
        assert!(report.is_good());
        let skipped = port(&cards.unwrap(), &[], &Way::default(), Duration::ZERO);
        assert_eq!(skipped, State::Skipped { why: "party 10000 only calls out".into() });
    }

    #[test]
    fn an_exchange_joins_sites_that_only_call_out() {
        let exchange = TcpListener::bind("127.0.0.1:0").unwrap();
        let way = Way {
            address: None,
            exchange: Some(exchange.local_addr().unwrap().to_string()),
            ..Way::default()
        };
        let (_home, bank) = sites(&[], &[]);
        let report = look_from(&bank, &id("10000"), &way, NOW).0;
        assert!(report.is_good(), "{report:?}");
        assert!(
            matches!(&report.steps[3].state, State::Good { found } if found.contains("through the exchange"))
        );
    }

    #[test]
    fn a_port_that_answers_is_found_behind_one_that_does_not() {
        // Nobody else gets this port at the other address of this machine while it is held here.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap().to_string();
        let closed = open.replace("127.0.0.1", "127.0.0.2");
        let port_of = |shop: &[&str], way: &Way| {
            let (_home, bank) = sites(&[], shop);
            let (mut report, cards) = look_from(&bank, &id("10000"), way, NOW);
            let cards = cards.unwrap();
            report.add(What::Port, port(&cards, &called(&cards, way), way, Duration::ZERO));
            report
        };
        check(&port_of(&[&closed], &Way::default()), What::Port, &["10000", "9999"], "refused");
        let report = port_of(&[&closed, &open], &Way::default());
        let last = &report.steps.last().unwrap().state;
        assert!(matches!(last, State::Good { found } if found.starts_with(&open)), "{report:?}");
        // The configuration knows better than the card.
        let way = Way { address: Some(open), ..Way::default() };
        assert!(port_of(&[&closed], &way).is_good());
    }

    #[test]
    fn certificates_that_end_are_told_early_and_fail_once_they_ended() {
        let (_home, bank) = sites(&["bank.example:1"], &[]);
        let state = |days: u32| look(&bank, NOW + DAY * days).steps[2].clone();
        assert!(matches!(state(3600).state, State::Good { .. }));
        assert!(matches!(state(3630).state, State::Doubtful { .. }));
        let State::Failed { changes, .. } = state(3654).state else { panic!() };
        assert_eq!(changes.len(), 2);
        assert!(
            changes[1].at == id("10000") && changes[1].change.contains("tributary site rotate --party 10000")
        );
        assert!(!look(&bank, NOW + DAY * 3654).is_good());
    }
}
