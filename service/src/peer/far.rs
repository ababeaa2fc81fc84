//! What needs the partner's process: whether it answers, its build, its clock, and how fast the way is.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::{StreamExt, TryStreamExt};
use tributary_core::{Error, ErrorKind, Result, Shown};
use tributary_flow::remote::{Correspondence, MOST_PING_BYTES, Pong, kernels_of};
use tributary_runtime::Home;
use tributary_system::clock::since_1970;

use super::{Cards, Report, State, What, doubtful, failed, good};

/// What is found out here.
pub(super) const STEPS: [What; 6] =
    [What::Transport, What::Answer, What::Versions, What::Clocks, What::RoundTrip, What::Bandwidth];

/// How long a partner may be silent that the transport reached.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the way there and back is measured; the median counts.
const ROUND_TRIPS: usize = 9;
/// Clocks that differ by more than this make records of both sites hard to compare.
const SLOW_CLOCK: Duration = Duration::from_secs(2);
/// Clocks that differ by more than this may refuse certificates and expire what is not over.
const WRONG_CLOCK: Duration = Duration::from_secs(60);
/// Bandwidth is measured with twice as many bytes each time, until they take as long as this or are as many as that.
const LONG_ENOUGH: Duration = Duration::from_millis(500);
const FIRST_BYTES: usize = 64 << 10;
const MOST_BYTES: usize = 32 << 20;
/// Letters on their way at a time.
const AT_ONCE: usize = 8;

/// What two builds must have in common.
#[derive(Debug)]
struct Build {
    product: String,
    kernels: String,
}

/// The partner's process.
#[async_trait]
trait Far: Sync {
    /// Sends bytes there and gets some back, at most [`MOST_PING_BYTES`] each.
    async fn ping(&self, there: usize, back: usize) -> Result<Pong>;
}

struct Line<'a> {
    letters: &'a Correspondence,
    cards: &'a Cards,
}

#[async_trait]
impl Far for Line<'_> {
    async fn ping(&self, there: usize, back: usize) -> Result<Pong> {
        self.letters.ping(self.cards.theirs.party(), there, back, PATIENCE).await
    }
}

/// Opens the party's transport, and asks.
pub(super) async fn ask(report: &mut Report, home: &Home, cards: &Cards) {
    let own = cards.own.party();
    let site = match home.site(own) {
        Ok(site) => site,
        Err(error) => {
            report.add(What::Transport, closed(cards, &error));
            return report.skip(&STEPS[1..], "the transport is not open");
        }
    };
    let post = match site.network.post(own).await {
        Ok(post) => post,
        Err(error) => {
            report.add(What::Transport, closed(cards, &error));
            return report.skip(&STEPS[1..], "the transport is not open");
        }
    };
    report.add(What::Transport, good(site.network.name()));
    let (letters, answering) = Correspondence::for_pings(post, home.components());
    let build =
        Build { product: env!("CARGO_PKG_VERSION").to_owned(), kernels: kernels_of(home.components()) };
    converse(report, cards, &build, &Line { letters: &letters, cards }).await;
    answering.others_are_done().await;
}

fn closed(cards: &Cards, error: &Error) -> State {
    let change = match error.kind() {
        ErrorKind::Unavailable => {
            "stop the other process, an agent or a job if it is of this party; or ping from the partner's site"
        }
        _ => "change the configuration as said",
    };
    failed(error.chain(), [(cards.own.party(), change.to_owned())])
}

async fn converse(report: &mut Report, cards: &Cards, own: &Build, far: &dyn Far) {
    if let Err((step, error)) = try_converse(report, cards, own, far).await {
        let at = STEPS.iter().position(|what| *what == step).unwrap_or_default();
        report.add(step, if step == What::Answer { silent(cards, &error) } else { lost(cards, &error) });
        report.skip(&STEPS[at + 1..], "something before it failed");
    }
}

/// The error is that of a step.
async fn try_converse(
    report: &mut Report,
    cards: &Cards,
    own: &Build,
    far: &dyn Far,
) -> Result<(), (What, Error)> {
    // The first one waits until there is a line, and is no measure of it.
    let pong = far.ping(0, 0).await.map_err(|error| (What::Answer, error))?;
    report.add(What::Answer, good("sealed by the keys that both sites trust"));
    report.add(What::Versions, versions(cards, own, &pong));
    let (trip, clock) = round_trip(far).await.map_err(|error| (What::RoundTrip, error))?;
    report.add(What::Clocks, clocks(cards, clock.0, clock.1, trip));
    report.add(What::RoundTrip, good(format!("{:.1} ms", trip.as_secs_f64() * 1e3)));
    let bandwidth = bandwidth(far, trip).await.map_err(|error| (What::Bandwidth, error))?;
    report.add(What::Bandwidth, bandwidth);
    Ok(())
}

/// The transport reached nobody, or nobody who could open a letter of this site.
fn silent(cards: &Cards, error: &Error) -> State {
    let (own, partner) = (cards.own.party(), cards.theirs.party());
    let there = format!(
        "run `tributary agent --party {partner}`, or `tributary peer ping {own} --party {partner}` at the same time"
    );
    let trust = format!(
        "see that `tributary site list` has party {own} with {}; else `tributary site trust {own}.card --replace`",
        cards.own.fingerprint()
    );
    let here = format!(
        "see that the operator of party {partner} reads {} as its own; else get its card, and \
         `tributary site trust {partner}.card --party {own} --replace`",
        cards.theirs.fingerprint()
    );
    failed(Shown::message(&error.chain()).to_string(), [(partner, there), (partner, trust), (own, here)])
}

fn versions(cards: &Cards, own: &Build, pong: &Pong) -> State {
    let (build, kernels) = (&pong.product, &pong.kernels);
    if own.kernels == *kernels {
        return good(format!("{} here, {build} there, with the same kernels", own.product));
    }
    let found = format!(
        "{} with kernels {} here, {build} with kernels {kernels} there: no job of both would begin",
        own.product, own.kernels
    );
    let upgrade = || "run the same build at both sites".to_owned();
    failed(found, [(cards.own.party(), upgrade()), (cards.theirs.party(), upgrade())])
}

/// `here`: this site's clock in the middle of the way there and back.
fn clocks(cards: &Cards, here: Duration, there: Duration, trip: Duration) -> State {
    let (apart, which) = match here >= there {
        true => (here - there, "behind"),
        false => (there - here, "ahead"),
    };
    // What the way itself may hide.
    let sure = apart.saturating_sub(trip / 2);
    let partner = cards.theirs.party();
    let found = format!(
        "that of party {partner} is {:.1} s {which}, give or take {:.1} s",
        apart.as_secs_f64(),
        (trip / 2).as_secs_f64()
    );
    let set = || "set the clock; `timedatectl` says whether it is kept in time".to_owned();
    let changes = [(cards.own.party(), set()), (partner, set())];
    match sure {
        sure if sure > WRONG_CLOCK => failed(found, changes),
        sure if sure > SLOW_CLOCK => doubtful(found, changes),
        _ => good(found),
    }
}

fn lost(cards: &Cards, error: &Error) -> State {
    let partner = cards.theirs.party();
    let text = "see what the site's process says, and whether something between both sites cuts connections";
    failed(Shown::message(&error.chain()).to_string(), [(partner, text.to_owned())])
}

/// The median, and both clocks at the same moment, this site's first.
async fn round_trip(far: &dyn Far) -> Result<(Duration, (Duration, Duration))> {
    let mut trips = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let (sent, start) = (since_1970(), Instant::now());
        let pong = far.ping(0, 0).await?;
        let trip = start.elapsed();
        trips.push((trip, (sent + trip / 2, pong.clock)));
    }
    trips.sort_unstable();
    Ok(trips[ROUND_TRIPS / 2])
}

async fn bandwidth(far: &dyn Far, trip: Duration) -> Result<State> {
    let there = rate(far, trip, |bytes| (bytes, 0)).await?;
    let back = rate(far, trip, |bytes| (0, bytes)).await?;
    Ok(good(format!("{} MB/s there, {} MB/s back", megabytes(there), megabytes(back))))
}

fn megabytes(rate: f64) -> String {
    if rate < 10e6 { format!("{:.1}", rate / 1e6) } else { format!("{:.0}", rate / 1e6) }
}

/// Bytes in a second. What one letter does not hold goes in several at once.
async fn rate(far: &dyn Far, trip: Duration, ask: impl Fn(usize) -> (usize, usize)) -> Result<f64> {
    let mut bytes = FIRST_BYTES;
    loop {
        let start = Instant::now();
        let letters = (0..bytes.div_ceil(MOST_PING_BYTES)).map(|_| {
            let (there, back) = ask(bytes.min(MOST_PING_BYTES));
            async move {
                let pong = far.ping(there, back).await?;
                let text = || format!("asked for {back} bytes, got {}", pong.bytes);
                if pong.bytes == back { Ok(()) } else { Err(Error::new(ErrorKind::Corrupt, text())) }
            }
        });
        futures::stream::iter(letters).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        // The way itself is no part of the rate, however short the rest is.
        let took = start.elapsed().saturating_sub(trip).max(Duration::from_micros(1));
        if took >= LONG_ENOUGH || bytes >= MOST_BYTES {
            return Ok(bytes as f64 / took.as_secs_f64());
        }
        bytes *= 2;
    }
}

#[cfg(test)]
mod tests {
    use tributary_core::PartyId;
    use tributary_trust::{Card, Existing, SiteFolder};

    use super::*;

    const TRIP: Duration = Duration::from_millis(100);

    /// A partner that answers at once, as told.
    struct Partner {
        pong: Option<Pong>,
        /// How many bytes fewer than asked for.
        short: usize,
    }

    #[async_trait]
    impl Far for Partner {
        async fn ping(&self, _: usize, back: usize) -> Result<Pong> {
            let silent = || Error::new(ErrorKind::Timeout, "party 10000 was not heard of\u{1b}[2J");
            let pong = self.pong.clone().ok_or_else(silent)?;
            let clock = since_1970() + pong.clock;
            Ok(Pong { bytes: back.saturating_sub(self.short), clock, ..pong })
        }
    }

    fn cards() -> Cards {
        let home = tempfile::tempdir().unwrap();
        let card = |party: &str| -> Card {
            let party: PartyId = party.parse().unwrap();
            let site = SiteFolder::of(&home.path().join(party.as_str()), &party);
            site.create(&[], since_1970(), Existing::Keep).unwrap().card().clone()
        };
        Cards { own: card("9999"), theirs: card("10000") }
    }

    fn ask(change: impl FnOnce(&mut Partner)) -> Report {
        let pong = Pong { bytes: 0, product: "0.1.0".into(), kernels: "aa".into(), clock: Duration::ZERO };
        let mut partner = Partner { pong: Some(pong), short: 0 };
        change(&mut partner);
        let mut report = Report { partner: "10000".parse().unwrap(), steps: Vec::new() };
        let build = Build { product: "0.1.0".into(), kernels: "aa".into() };
        futures::executor::block_on(converse(&mut report, &cards(), &build, &partner));
        report
    }

    fn state(report: &Report, what: What) -> &State {
        &report.steps.iter().find(|step| step.what == what).unwrap().state
    }

    #[test]
    fn a_partner_that_answers_is_good_in_everything() {
        let report = ask(|_| ());
        assert!(report.steps.iter().all(|step| matches!(step.state, State::Good { .. })), "{report:?}");
        assert_eq!(report.steps.iter().map(|step| step.what).collect::<Vec<_>>(), STEPS[1..]);
    }

    #[test]
    fn a_partner_that_does_not_answer_is_away_or_has_another_card() {
        let report = ask(|partner| partner.pong = None);
        let State::Failed { found, changes } = state(&report, What::Answer) else { panic!("{report:?}") };
        assert!(!found.contains('\u{1b}'));
        assert_eq!(
            changes.iter().map(|change| change.at.as_str()).collect::<Vec<_>>(),
            ["10000", "10000", "9999"]
        );
        assert!(changes[0].change.contains("tributary peer ping 9999 --party 10000"), "{changes:?}");
        assert!(matches!(state(&report, What::Bandwidth), State::Skipped { .. }));
    }

    #[test]
    fn other_kernels_and_answers_that_are_too_short_fail() {
        let report = ask(|partner| partner.pong.as_mut().unwrap().kernels = "bb".into());
        let State::Failed { found, changes } = state(&report, What::Versions) else { panic!("{report:?}") };
        assert!(
            found.contains("kernels aa here") && found.contains("kernels bb there") && changes.len() == 2
        );
        let report = ask(|partner| partner.short = 1);
        assert!(matches!(state(&report, What::Bandwidth), State::Failed { .. }), "{report:?}");
    }

    #[test]
    fn a_clock_that_is_a_day_off_fails() {
        let report = ask(|partner| partner.pong.as_mut().unwrap().clock = Duration::from_secs(24 * 3600));
        assert!(
            matches!(state(&report, What::Clocks), State::Failed { found, .. } if found.contains("ahead"))
        );
    }

    #[test]
    fn clocks_are_wrong_only_by_more_than_the_way_takes() {
        let cards = cards();
        let at = |there: Duration, trip: Duration| clocks(&cards, Duration::from_secs(1000), there, trip);
        let is_good =
            |state: State, text: &str| matches!(state, State::Good { found } if found.contains(text));
        assert!(is_good(at(Duration::from_secs(1001), TRIP), "1.0 s ahead"));
        assert!(is_good(
            at(Duration::from_secs(990), Duration::from_secs(60)),
            "10.0 s behind, give or take 30.0 s"
        ));
        assert!(matches!(at(Duration::from_secs(990), TRIP), State::Doubtful { .. }));
        assert!(matches!(at(Duration::ZERO, TRIP), State::Failed { changes, .. } if changes.len() == 2));
    }
}
