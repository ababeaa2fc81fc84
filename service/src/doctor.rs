//! Everything that a party's configuration names, looked at: engines examine themselves, and the ways to partners are those of `peer ping`, as far as
//! this site sees them alone. Nothing here knows an engine by name.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tributary_core::check::Finding;
use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt};
use tributary_runtime::{Examined, Home};
use tributary_system::{clock, disk};

use crate::peer::{Change, Ping, State};

/// The longest that one engine is examined.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was found about one thing that the configuration names.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// Which: `storage.s3`, `partner 10000`.
    pub part: String,
    /// In the order in which they depend on each other.
    pub findings: Vec<Found>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// Which.
    pub what: String,
    /// How it is.
    #[serde(flatten)]
    pub state: State,
}

/// A party, looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// Which.
    pub party: PartyId,
    /// All that its configuration names.
    pub parts: Vec<Part>,
}

impl Diagnosis {
    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        let mut all = self.parts.iter().flat_map(|part| &part.findings);
        !all.any(|found| matches!(found.state, State::Failed { .. }))
    }
}

/// Looks at everything. `each` is called with every part as soon as it is known. Must be called within a tokio runtime with I/O and time.
pub async fn examine(home: &Home, party: &PartyId, mut each: impl FnMut(&Part)) -> Diagnosis {
    let mut diagnosis = Diagnosis { party: party.clone(), parts: Vec::new() };
    let mut add = |part: String, findings: Vec<Finding>| {
        let findings = findings.into_iter().map(|finding| at(party, finding)).collect();
        let part = Part { part, findings };
        each(&part);
        diagnosis.parts.push(part);
    };
    add("home".into(), vec![writes(&home.party(party)), room(home.folder())]);
    let examined = match home.examined(party) {
        Ok(examined) => {
            let found =
                home.party_settings(party).map_or(String::new(), |settings| settings.notes().join("; "));
            let found = if found.is_empty() { "every key is known".to_owned() } else { found };
            add("configuration".into(), vec![Finding::good("service_conf.yaml", found)]);
            examined
        }
        Err(error) => {
            let change = "correct it as said; `tributary config show` shows what is read";
            let finding = Finding::failed("service_conf.yaml", error.chain(), change);
            add("configuration".into(), vec![finding]);
            Vec::new()
        }
    };
    for engine in examined {
        let findings = examine_one(&engine).await;
        add(engine.section, findings);
    }
    add("federation".into(), transport(home, party).await);
    for part in partners(home, party) {
        each(&part);
        diagnosis.parts.push(part);
    }
    diagnosis
}

fn at(party: &PartyId, finding: Finding) -> Found {
    use tributary_core::check::State as Of;
    let changes = |changes: Vec<String>| {
        changes.into_iter().map(|change| Change { at: party.clone(), change }).collect()
    };
    let state = match finding.state {
        Of::Good { found } => State::Good { found },
        Of::Doubtful { found, changes: all } => State::Doubtful { found, changes: changes(all) },
        Of::Failed { found, changes: all } => State::Failed { found, changes: changes(all) },
        Of::Skipped { why } => State::Skipped { why },
    };
    Found { what: finding.what, state }
}

async fn examine_one(examined: &Examined) -> Vec<Finding> {
    let engine = match &examined.engine {
        Ok(engine) => engine,
        Err(error) => return vec![Finding::of_error("opens", error)],
    };
    match tokio::time::timeout(PATIENCE, engine.examine()).await {
        Ok(findings) => findings,
        Err(_) => {
            let text = format!("nothing came back within {} s", PATIENCE.as_secs());
            vec![Finding::of_error("answers", &Error::new(ErrorKind::Timeout, text))]
        }
    }
}

fn writes(folder: &Path) -> Finding {
    const WHAT: &str = "writes";
    let probe = folder.join(format!(".unfinished-doctor-{}", std::process::id()));
    let written = || -> Result<()> {
        fs::create_dir_all(folder)?;
        fs::File::create(&probe)?.write_all(b"a probe of tributary doctor\n")?;
        Ok(fs::remove_file(&probe)?)
    };
    match written().at(|| format!("write to {}", folder.display())) {
        Ok(()) => Finding::good(WHAT, folder.display().to_string()),
        Err(error) => Finding::of_error(WHAT, &error),
    }
}

/// Less room than this is worth a word.
const LITTLE_ROOM: u64 = 1 << 30;

fn room(folder: &Path) -> Finding {
    const WHAT: &str = "free space";
    match disk::free_bytes(folder) {
        Err(error) => Finding::of_error(WHAT, &error),
        Ok(bytes) => {
            let found = format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
            match bytes < LITTLE_ROOM {
                true => {
                    Finding::doubtful(WHAT, found, format!("free space on the disk of {}", folder.display()))
                }
                false => Finding::good(WHAT, found),
            }
        }
    }
}

/// The party's keys, and its broker if its transport has one.
async fn transport(home: &Home, party: &PartyId) -> Vec<Finding> {
    let mut findings = Vec::new();
    match home.site_folder(party).and_then(|folder| folder.identity()) {
        Ok(identity) => {
            let card = identity.card();
            let left = card.certificate().valid_until() - clock::since_1970().as_secs() as i64;
            let found =
                format!("{}, certificate valid until {}", card.fingerprint(), card.certificate().last_day());
            let rotate = format!(
                "tributary site rotate --party {party}; then partners trust the new card with --replace"
            );
            findings.push(match left {
                ..0 => Finding::failed("keys", found, rotate),
                0..2_592_000 => Finding::doubtful("keys", found, rotate),
                _ => Finding::good("keys", found),
            });
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let why = format!(
                "the party has none, and needs them for partners at other sites: tributary site init --party {party}"
            );
            findings.push(Finding::skipped("keys", why));
        }
        Err(error) => findings.push(Finding::of_error("keys", &error)),
    }
    match home.broker(party) {
        Ok(Err(name)) => findings.push(Finding::good("transport", format!("{name}, without a broker"))),
        Ok(Ok(broker)) => match broker.look().await {
            Ok(found) => findings.push(Finding::good("broker", found)),
            Err(error) => findings.push(Finding::of_error("broker", &error)),
        },
        Err(error) => findings.push(Finding::of_error("transport", &error)),
    }
    findings
}

/// The ways to partners, as far as this site sees them without asking; `peer ping` asks.
fn partners(home: &Home, party: &PartyId) -> Vec<Part> {
    let partners = home.site_folder(party).and_then(|folder| folder.partners()).unwrap_or_default();
    let look = |partner: &PartyId| {
        let findings = match Ping::look_for(home, party, partner, Duration::ZERO) {
            Ok(ping) => {
                let found = ping.report().steps.iter();
                found
                    .map(|step| Found { what: step.what.name().to_owned(), state: step.state.clone() })
                    .collect()
            }
            Err(error) => vec![at(party, Finding::of_error("configuration", &error))],
        };
        Part { part: format!("partner {partner}"), findings }
    };
    partners.iter().map(|card| look(card.party())).collect()
}
