//! The log of all offers: who asked for what, whether it was accepted, and who consented.
//!
//! `audit.log` in the party's home, one JSON object a line, only ever added to. Writers take turns by a lock on the file and flush
//! before they return, so a job is accepted only once it is written down. What a killed writer left is a line of its own, which
//! readers show as damaged: nothing that was written is ever changed or removed here.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tributary_core::{Error, JobHash, JobId, PartyId, Result, ResultExt, Shown};

/// Most reasons of an entry; more are counted.
const MOST_REASONS: usize = 30;
/// Longest line that is read. An entry of as many reasons as there may be is shorter.
const MOST_BYTES: u64 = 256 << 10;

/// The log of one party.
#[derive(Debug, Clone)]
pub struct Audit {
    path: PathBuf,
}

/// One offer. Text of others in it is escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// RFC 3339, UTC, to the millisecond.
    pub time: String,
    /// Who offered the job.
    pub partner: PartyId,
    /// Fingerprint of its trusted card; absent where no card is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The job's id.
    pub job: JobId,
    /// 128 bits of its hash, hexadecimal.
    pub hash: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Who consented; absent if it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Consent>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// What became of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// This party takes part.
    Accepted,
    /// It does not.
    Refused,
}

/// Who consented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// A grant of the party's file, by its number from 1 at that time.
    Grant(usize),
    /// The operator, who started the party's part by hand.
    Operator,
}

/// A line as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// An offer.
    Entry(Box<Entry>),
    /// Something else, at this line from 1: a writer was killed, or a person changed the file.
    Damaged(u64),
}

impl Entry {
    /// An accepted offer. `at`: time since 1970. `key`: fingerprint of the partner's trusted card.
    pub fn accepted(at: Duration, offer: &Offer<'_>, by: Consent) -> Self {
        Self { outcome: Outcome::Accepted, by: Some(by), ..Self::of(at, offer) }
    }

    /// A refused offer, and why: for the party's own operator.
    pub fn refused<'a>(at: Duration, offer: &Offer<'_>, reasons: impl IntoIterator<Item = &'a str>) -> Self {
        let all: Vec<&str> = reasons.into_iter().collect();
        let mut reasons: Vec<String> =
            all.iter().take(MOST_REASONS).map(|reason| Shown::new(reason).to_string()).collect();
        if all.len() > MOST_REASONS {
            reasons.push(format!("and {} more", all.len() - MOST_REASONS));
        }
        Self { reasons, ..Self::of(at, offer) }
    }

    fn of(at: Duration, offer: &Offer<'_>) -> Self {
        Self {
            time: tributary_system::clock::rfc3339(at),
            partner: offer.partner.clone(),
            key: offer.key.map(|key| Shown::new(key).to_string()),
            job: offer.job.clone(),
            hash: offer.hash.to_string(),
            outcome: Outcome::Refused,
            by: None,
            reasons: Vec::new(),
        }
    }
}

/// Which job, and who offers it.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// Who offers it.
    pub partner: &'a PartyId,
    /// Fingerprint of its trusted card, if one is trusted.
    pub key: Option<&'a str>,
    /// The job's id.
    pub job: &'a JobId,
    /// What all parties agree on.
    pub hash: JobHash,
}

impl Audit {
    /// The log of the party with this home folder, which must exist once something is added.
    pub fn of(home: &Path) -> Self {
        Self { path: home.join("audit.log") }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an entry, durable when it returns. A job whose entry cannot be added must not be accepted.
    pub fn add(&self, entry: &Entry) -> Result<()> {
        let mut line =
            serde_json::to_vec(entry).map_err(|e| Error::bug("encode an audit entry").because(e))?;
        line.push(b'\n');
        self.append(line).at(|| format!("add to {}", self.path.display()))
    }

    fn append(&self, mut line: Vec<u8>) -> io::Result<()> {
        let mut file = File::options().create(true).read(true).append(true).mode(0o600).open(&self.path)?;
        file.lock()?;
        let is_new = file.metadata()?.len() == 0;
        if !is_new && last_byte(&mut file)? != b'\n' {
            line.insert(0, b'\n');
        }
        // One call, so that a reader who takes no turn sees a whole line on every usual file system.
        file.write_all(&line)?;
        file.sync_data()?;
        match self.path.parent() {
            Some(folder) if is_new => File::open(folder)?.sync_all(),
            _ => Ok(()),
        }
    }

    /// Every line that was whole when this was called, oldest first; none if there is no file.
    pub fn read(&self) -> Result<impl Iterator<Item = Result<Line>> + use<>> {
        let path = self.path.clone();
        let open = || -> io::Result<Option<io::Take<File>>> {
            let file = match File::open(&path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => file?,
            };
            // No writer is in the middle of a line now.
            file.lock_shared()?;
            let whole = file.metadata()?.len();
            file.unlock()?;
            Ok(Some(file.take(whole)))
        };
        let file = open().at(|| format!("read {}", path.display()))?;
        let mut lines = file.map(|file| (1.., BufReader::new(file)));
        Ok(std::iter::from_fn(move || {
            let (numbers, from) = lines.as_mut()?;
            let line = next(from, numbers.next()?).at(|| format!("read {}", path.display())).transpose();
            if !matches!(line, Some(Ok(_))) {
                lines = None;
            }
            line
        }))
    }
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last[0])
}

/// The next line; one that is too long is passed over.
fn next(from: &mut impl BufRead, number: u64) -> io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    if from.by_ref().take(MOST_BYTES).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if bytes.last() != Some(&b'\n') {
        from.skip_until(b'\n')?;
        return Ok(Some(Line::Damaged(number)));
    }
    Ok(Some(parse(&bytes).map_or(Line::Damaged(number), |entry| Line::Entry(Box::new(entry)))))
}

/// One line of the log, with or without its end.
pub fn parse(line: &[u8]) -> Option<Entry> {
    serde_json::from_slice(line).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: Duration = Duration::from_millis(1_795_348_800_123);

    fn entry(job: &str, reasons: &[&str]) -> Entry {
        let (partner, job) = ("9999".parse().unwrap(), job.parse().unwrap());
        let offer =
            Offer { partner: &partner, key: Some("3f0c-91d2"), job: &job, hash: JobHash::new([0xab; 32]) };
        match reasons {
            [] => Entry::accepted(NOW, &offer, Consent::Grant(2)),
            reasons => Entry::refused(NOW, &offer, reasons.iter().copied()),
        }
    }

    fn lines(audit: &Audit) -> Vec<Line> {
        audit.read().unwrap().map(Result::unwrap).collect()
    }

    fn is(entry: &Entry) -> Line {
        Line::Entry(Box::new(entry.clone()))
    }

    #[test]
    fn entries_are_lines_of_json_that_only_their_owner_reads() {
        let home = tempfile::tempdir().unwrap();
        let audit = Audit::of(home.path());
        assert!(lines(&audit).is_empty());
        let by_hand = Entry { by: Some(Consent::Operator), ..entry("b", &[]) };
        let entries = [entry("a", &[]), by_hand, entry("c", &["no grant", "at all"])];
        entries.iter().for_each(|entry| audit.add(entry).unwrap());
        assert_eq!(lines(&audit), entries.iter().map(is).collect::<Vec<_>>());
        let text = std::fs::read_to_string(audit.path()).unwrap();
        let hash = "ab".repeat(16);
        let expected = [
            format!(
                r#"{{"time":"2026-11-22T12:00:00.123Z","partner":"9999","key":"3f0c-91d2","job":"a","hash":"{hash}","outcome":"accepted","by":{{"grant":2}}}}"#
            ),
            format!(
                r#"{{"time":"2026-11-22T12:00:00.123Z","partner":"9999","key":"3f0c-91d2","job":"b","hash":"{hash}","outcome":"accepted","by":"operator"}}"#
            ),
            format!(
                r#"{{"time":"2026-11-22T12:00:00.123Z","partner":"9999","key":"3f0c-91d2","job":"c","hash":"{hash}","outcome":"refused","reasons":["no grant","at all"]}}"#
            ),
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert_eq!(std::fs::metadata(audit.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn concurrent_writers_lose_nothing_and_mix_no_lines() {
        let home = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let audit = Audit::of(home.path());
                scope.spawn(move || {
                    (0..20).for_each(|n| {
                        audit.add(&entry(&format!("{writer}-{n}"), &[&"x".repeat(n * 9)])).unwrap()
                    });
                });
            }
        });
        let jobs = lines(&Audit::of(home.path())).into_iter().map(|line| match line {
            Line::Entry(entry) => entry.job,
            damaged => panic!("{damaged:?}"),
        });
        assert_eq!(jobs.collect::<std::collections::BTreeSet<_>>().len(), 160);
    }

    #[test]
    fn what_a_killed_writer_left_stays_and_spoils_no_other_entry() {
        let home = tempfile::tempdir().unwrap();
        let audit = Audit::of(home.path());
        audit.add(&entry("a", &[])).unwrap();
        let whole = std::fs::read(audit.path()).unwrap();
        std::fs::write(audit.path(), [&whole[..], &whole[..40]].concat()).unwrap();
        assert_eq!(lines(&audit), [is(&entry("a", &[])), Line::Damaged(2)]);
        audit.add(&entry("b", &[])).unwrap();
        assert_eq!(lines(&audit), [is(&entry("a", &[])), Line::Damaged(2), is(&entry("b", &[]))]);
        let kept = std::fs::read(audit.path()).unwrap();
        assert!(kept.starts_with(&[&whole[..], &whole[..40]].concat()), "nothing is changed");
    }

    #[test]
    fn a_line_without_end_is_passed_over_in_little_memory() {
        let home = tempfile::tempdir().unwrap();
        let audit = Audit::of(home.path());
        std::fs::write(audit.path(), [vec![b'x'; 3 * MOST_BYTES as usize], vec![b'\n']].concat()).unwrap();
        audit.add(&entry("a", &[])).unwrap();
        assert_eq!(lines(&audit), [Line::Damaged(1), is(&entry("a", &[]))]);
    }

    #[test]
    fn text_of_others_is_escaped_and_bounded() {
        let hostile = "\u{1b}[2J\u{202e}\n".repeat(1000);
        let entry = entry("a", &vec![hostile.as_str(); 5000]);
        assert_eq!(entry.reasons.len(), MOST_REASONS + 1);
        assert_eq!(entry.reasons[MOST_REASONS], "and 4970 more");
        let line = serde_json::to_string(&entry).unwrap();
        assert!(!line.contains(['\u{1b}', '\u{202e}', '\n']), "{line}");
        assert!((line.len() as u64) < MOST_BYTES);
        assert_eq!(parse(line.as_bytes()).unwrap(), entry);
    }
}
