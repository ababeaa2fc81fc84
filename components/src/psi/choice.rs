//! Which protocol is taken. Each host tells its number of rows, the guest decides for all.
//!
//! `ecdh_psi` is what FATE's files say, and then nothing is exchanged about it: such a job sends what it always sent.

use serde::{Deserialize, Serialize};
use tributary_component::Assignment;
use tributary_component::task::Task;
use tributary_core::federation::{FederationExt, Message, Slot};
use tributary_core::limits::Intersections;
use tributary_core::{Error, ErrorKind, Party, Result, Role, Table, TableSchema};
use tributary_psi::rr22::{self, MAX_IDS, Salt};

use super::rr22::Kept;

/// Rows of two parties together from which `rr22` is quicker: it takes 25 ms to begin with, on one core, and curves 50 µs an id.
const LEAST_ROWS: u64 = 2_000;

/// Most buckets that are worked on together: their seeds are in one message.
const MOST_AT_ONCE: u32 = 32;

/// Most hosts of a task.
const MAX_HOSTS: usize = 512;

/// A protocol, as jobs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Protocol {
    /// Vector oblivious linear evaluation.
    #[serde(rename = "rr22")]
    Rr22,
    /// Elliptic curves.
    #[serde(rename = "ecdh_psi")]
    Ecdh,
}

impl Protocol {
    /// As the summary has it.
    pub(super) fn method(self) -> &'static str {
        match self {
            Self::Rr22 => "rr22",
            Self::Ecdh => "curve25519",
        }
    }
}

#[derive(Deserialize)]
struct Parameters {
    protocol: Wish,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wish {
    Auto,
    Rr22,
    EcdhPsi,
}

/// What a host tells.
#[derive(Serialize, Deserialize)]
pub(crate) struct Told {
    rows: u64,
    /// That it wants for its own rows.
    buckets: u32,
    /// That it would work on at once.
    at_once: u32,
    nonce: Salt,
    /// Whether its limits allow `rr22`.
    any: bool,
    /// The salt of an attempt that it could go on with.
    kept: Option<Salt>,
}

impl Message for Told {
    const NAME: &'static str = "psi.told";
}

/// What the guest decides.
#[derive(Serialize, Deserialize)]
pub(crate) struct Decided {
    protocol: Protocol,
    buckets: u32,
    at_once: u32,
    /// Rows of the largest party, rounded up to a power of two: what the number of buckets follows from.
    largest: u64,
    /// Of all parties, the guest first, then the hosts in order.
    nonces: Vec<Salt>,
    /// Buckets that an earlier attempt has compared, whose salt is taken then.
    done: Option<u32>,
}

impl Message for Decided {
    const NAME: &'static str = "psi.decided";
}

/// What `rr22` begins with.
pub(super) struct Agreed {
    /// Common to all parties.
    pub salt: Salt,
    /// Of all parties' rows.
    pub buckets: u32,
    /// That are worked on together.
    pub at_once: u32,
    /// What each host told, in order; at a host, its own alone.
    pub held: Vec<u64>,
    /// Place of this host among the hosts; 0 at the guest.
    pub pair: u32,
    /// What an earlier attempt left, if all parties have it.
    pub kept: Option<Kept>,
}

/// How the protocol will be chosen.
pub(super) fn foretold(assignment: &Assignment<'_>) -> Option<String> {
    Some(match Wish::deserialize(assignment.parameters.get("protocol")?).ok()? {
        Wish::Auto => format!(
            "protocol: rr22 if guest and largest host have {LEAST_ROWS} rows or more together and the limits of all allow it, else ecdh_psi"
        ),
        Wish::Rr22 => "protocol: rr22, as the job says".to_owned(),
        Wish::EcdhPsi => "protocol: ecdh_psi, as the job says".to_owned(),
    })
}

/// What the parties begin with if they take `rr22`, nothing for curves.
pub(super) async fn agreed(task: &Task, input: &Table) -> Result<Option<Agreed>> {
    let Parameters { protocol } = task.parameters()?;
    if protocol == Wish::EcdhPsi {
        return Ok(None);
    }
    let rows = input.count().await?;
    match task.is_guest() {
        true => decide(task, protocol, input.schema(), rows).await,
        false => be_told(task, protocol, input.schema(), rows).await,
    }
}

async fn decide(task: &Task, wish: Wish, schema: &TableSchema, rows: u64) -> Result<Option<Agreed>> {
    let (hosts, mut told) = (task.others(&Role::host()), Vec::new());
    for host in &hosts {
        let one: Told = task.federation.pull_message(&Slot::new("told"), host).await?;
        one.check(host)?;
        told.push(one);
    }
    let held: Vec<u64> = told.iter().map(|told| told.rows).collect();
    let largest = held.iter().copied().fold(rows, u64::max);
    let kept = Kept::of(task, rows)
        .filter(|kept| kept.held == held && told.iter().all(|told| told.kept == Some(kept.salt) && told.any));
    let mut nonces = vec![rr22::nonce()?];
    nonces.extend(told.iter().map(|told| told.nonce));
    let (protocol, salt) = match &kept {
        Some(kept) => {
            task.note(format!("protocol rr22: goes on after {} of {} buckets", kept.done, kept.buckets));
            (Protocol::Rr22, kept.salt)
        }
        None => (choose(task, wish, rows, &hosts, &told)?, rr22::salt(&nonces)),
    };
    let of_sizes =
        told.iter().map(|told| told.buckets.max(wanted(task, schema, rows, rows, told.rows))).max();
    let buckets = kept.as_ref().map_or(of_sizes.unwrap_or(1), |kept| kept.buckets);
    // What is held for a bucket is held by all.
    let at_once =
        told.iter().map(|told| told.at_once).fold(task.partitions(), u32::min).clamp(1, MOST_AT_ONCE);
    let (largest, done) = (rounded(largest), kept.as_ref().map(|kept| kept.done));
    let decided = Decided { protocol, buckets, at_once, largest, nonces, done };
    task.federation.push_message(&Slot::new("decided"), &hosts, &decided).await?;
    Ok((protocol == Protocol::Rr22).then_some(Agreed { salt, buckets, at_once, held, pair: 0, kept }))
}

fn rounded(rows: u64) -> u64 {
    rows.checked_next_power_of_two().unwrap_or(u64::MAX)
}

impl Told {
    /// `Corrupt` for what no honest host tells.
    pub(crate) fn check(&self, host: &Party) -> Result<()> {
        let wrong = |what: String| Err(Error::new(ErrorKind::Corrupt, format!("{host} tells {what}")));
        if self.rows > MAX_IDS {
            return wrong(format!("{} rows, at most {MAX_IDS}", self.rows));
        }
        // More would have room for more ids than it tells, and cost memory.
        if self.buckets > rr22::most_buckets(self.rows) {
            return wrong(format!("{} buckets for {} rows", self.buckets, self.rows));
        }
        Ok(())
    }
}

/// Says why. `Denied` if the job asks for what a party's limits exclude.
fn choose(task: &Task, wish: Wish, rows: u64, hosts: &[Party], told: &[Told]) -> Result<Protocol> {
    let largest = told.iter().map(|told| told.rows).max().unwrap_or(0);
    let own = hosts.iter().any(|host| !allows_any(task, host)).then(|| task.own.clone());
    let other = hosts.iter().zip(told).find(|(_, told)| !told.any).map(|(host, _)| host.clone());
    let (protocol, why) = match (wish, own.or(other)) {
        (Wish::Rr22, Some(party)) => return Err(excluded(&party)),
        (Wish::Rr22, None) => (Protocol::Rr22, "as the job says".to_string()),
        (_, Some(party)) => (Protocol::Ecdh, format!("the limits of {party} allow no other")),
        _ if rows.saturating_add(largest) < LEAST_ROWS => {
            (Protocol::Ecdh, format!("quicker for {rows} and {largest} rows, which are few"))
        }
        _ => (Protocol::Rr22, format!("quicker for {rows} and {largest} rows")),
    };
    let name = if protocol == Protocol::Rr22 { "rr22" } else { "ecdh_psi" };
    task.note(format!("protocol {name}: {why}"));
    Ok(protocol)
}

/// Whether this party's limits allow every protocol with another.
fn allows_any(task: &Task, with: &Party) -> bool {
    task.release("input_data", with).limits().intersection == Intersections::Any
}

fn excluded(party: &Party) -> Error {
    let text = format!(
        "{party} takes part in intersections by ecdh_psi alone (leave the protocol to auto, or the operator of party {} may set \
         limits.intersection to any)",
        party.id
    );
    Error::new(ErrorKind::Denied, text)
}

async fn be_told(task: &Task, wish: Wish, schema: &TableSchema, rows: u64) -> Result<Option<Agreed>> {
    let (guest, nonce, at_once) = (task.guest()?, rr22::nonce()?, task.partitions());
    let kept = Kept::of(task, rows);
    // Of its own rows alone: the guest knows how many it has.
    let (buckets, any) = (wanted(task, schema, rows, 0, rows), allows_any(task, &guest));
    let told = Told { rows, buckets, at_once, nonce, any, kept: kept.as_ref().map(|kept| kept.salt) };
    task.federation.push_message(&Slot::new("told"), std::slice::from_ref(&guest), &told).await?;
    let decided: Decided = task.federation.pull_message(&Slot::new("decided"), &guest).await?;
    let pair = own_place(task)?;
    decided.check(&guest, rows)?;
    expect_own_part(&decided, pair, &nonce, &guest)?;
    match (decided.protocol, wish) {
        (Protocol::Ecdh, Wish::Rr22) => return Err(wrong(&guest, "on ecdh_psi, and the job says rr22")),
        (Protocol::Ecdh, _) => {
            task.note("protocol ecdh_psi, as the guest decided");
            return Ok(None);
        }
        (Protocol::Rr22, _) if !any => return Err(excluded(&task.own)),
        (Protocol::Rr22, _) => task.note("protocol rr22, as the guest decided"),
    }
    let Decided { buckets, at_once, .. } = decided;
    let kept = match (decided.done, kept) {
        (None, _) => None,
        (Some(done), Some(kept)) if kept.buckets == buckets && done <= buckets => Some(kept.after(done)),
        _ => return Err(wrong(&guest, "to go on with an attempt that this party knows nothing of")),
    };
    let salt = kept.as_ref().map_or_else(|| rr22::salt(&decided.nonces), |kept| kept.salt);
    Ok(Some(Agreed { salt, buckets, at_once, held: vec![rows], pair: pair as u32, kept }))
}

fn wrong(guest: &Party, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{guest} decided {what}"))
}

impl Decided {
    /// `Corrupt` for what no honest guest decides. `rows`: of the host.
    pub(crate) fn check(&self, guest: &Party, rows: u64) -> Result<()> {
        if self.largest > rounded(MAX_IDS) || self.largest < rows {
            return Err(wrong(guest, "for an impossible number of rows"));
        }
        if self.buckets == 0 || self.buckets > rr22::most_buckets(self.largest) {
            return Err(wrong(guest, "on more buckets than rows need"));
        }
        if self.at_once == 0 || self.at_once > MOST_AT_ONCE {
            return Err(wrong(guest, "on an impossible number of buckets at once"));
        }
        match self.nonces.len() > MAX_HOSTS + 1 {
            true => Err(wrong(guest, "for too many hosts")),
            false => Ok(()),
        }
    }
}

/// A salt must have this host's part in it: else the guest could choose it.
fn expect_own_part(decided: &Decided, pair: usize, nonce: &Salt, guest: &Party) -> Result<()> {
    match decided.nonces.get(pair + 1) == Some(nonce) {
        true => Ok(()),
        false => Err(wrong(guest, "without this party's random number")),
    }
}

/// Of this host among all hosts.
fn own_place(task: &Task) -> Result<usize> {
    let mut hosts = task.parties.iter().filter(|party| party.role == Role::host());
    hosts.position(|party| *party == task.own).ok_or_else(|| Error::bug("this party is no host of the task"))
}

fn wanted(task: &Task, schema: &TableSchema, rows: u64, asked: u64, held: u64) -> u32 {
    let columns = schema.fields().len() as u64 + 1;
    // Numbers take eight bytes, short texts not much more.
    rr22::buckets(asked, held, rows.saturating_mul(columns).saturating_mul(12), task.partitions())
}

/// A message of each kind, for the fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn samples() -> (Told, Decided) {
    let (nonce, kept) = ([1; 32], Some([2; 32]));
    let told = Told { rows: 1_000, buckets: 1, at_once: 2, nonce, any: true, kept };
    let nonces = vec![nonce; 2];
    let protocol = Protocol::Rr22;
    (told, Decided { protocol, buckets: 1, at_once: 2, largest: 1_024, nonces, done: Some(1) })
}
