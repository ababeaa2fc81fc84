//! What each partner of a party got so far, and its limits: kept in the party's home, in one file that is whole or absent.
//!
//! `releases/ledger.json`, written beside its place, flushed and renamed, under a lock on the folder that other processes
//! respect. One entry for each table and partner. A table is found by its name and by its content, and the entry of its name
//! takes over what its content was booked for, so that no name has less booked than its rows. A file that cannot be read is an
//! error and never an empty ledger.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tributary_component::release::{Charge, Item, Ledger, Over, Source};
use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt};

use crate::claim::Claim;
use crate::record::private_folder;

/// The releases of one party.
#[derive(Debug, Clone)]
pub struct Releases {
    folder: PathBuf,
}

/// What one partner got about one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Released {
    /// The table.
    pub table: String,
    /// The partner's id.
    pub partner: PartyId,
    /// Ids that were looked up in it.
    #[serde(default)]
    pub ids: u64,
    /// Numbers about its columns.
    #[serde(default)]
    pub columns: BTreeMap<String, OfColumn>,
    /// Digests of what was stored under this name.
    #[serde(default)]
    contents: Vec<String>,
}

/// What one partner got about one column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OfColumn {
    /// How many numbers.
    pub numbers: u64,
    /// Where the column was cut for them, ascending.
    #[serde(default)]
    pub cuts: Vec<f64>,
}

/// Whose releases to forget.
#[derive(Debug, Clone, Default)]
pub struct Forget {
    /// Only about this table.
    pub table: Option<String>,
    /// Only to this partner.
    pub partner: Option<PartyId>,
}

impl Forget {
    /// Whether it is to be forgotten.
    pub fn is_meant(&self, released: &Released) -> bool {
        self.table.as_ref().is_none_or(|table| *table == released.table)
            && self.partner.as_ref().is_none_or(|partner| *partner == released.partner)
    }
}

impl Releases {
    /// The releases of the party with this home folder.
    pub fn new(home: &Path) -> Self {
        Self { folder: home.join("releases") }
    }

    /// All of them, by table and partner.
    pub fn list(&self) -> Result<Vec<Released>> {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::from(e).at(format!("read {}", path.display()))),
        };
        serde_json::from_slice(&bytes).map_err(|e| {
            let text = format!(
                "{} is damaged; restore it from a backup, or forget all releases with `tributary limits reset`",
                path.display()
            );
            Error::new(ErrorKind::Corrupt, text).because(e)
        })
    }

    /// Forgets releases, and returns their number: for the party's operator only. Forgetting all of them also replaces a
    /// damaged file.
    pub fn forget(&self, which: &Forget) -> Result<u64> {
        if !self.folder.is_dir() {
            return Ok(0);
        }
        let _turn = Claim::take(&self.folder)?;
        let listed = match (self.list(), which) {
            (Err(error), Forget { table: None, partner: None }) if error.kind() == ErrorKind::Corrupt => {
                self.write(&[]).map(|()| Vec::new())
            }
            (listed, _) => listed,
        }?;
        let (gone, stays): (Vec<Released>, Vec<Released>) =
            listed.into_iter().partition(|released| which.is_meant(released));
        if gone.is_empty() {
            return Ok(0);
        }
        self.write(&stays)?;
        Ok(gone.len() as u64)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("ledger.json")
    }

    /// Durable when it returns.
    fn write(&self, all: &[Released]) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(all).map_err(|e| Error::bug("encode releases").because(e))?;
        let (path, beside) = (self.path(), self.folder.join("ledger.json.new"));
        let write = || -> std::io::Result<()> {
            let mut file =
                File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().at(|| format!("write {}", path.display()))
    }
}

impl Released {
    fn new(table: &str, partner: &PartyId) -> Self {
        let (table, partner) = (table.to_owned(), partner.clone());
        Self { table, partner, ids: 0, columns: BTreeMap::new(), contents: Vec::new() }
    }

    fn is_about(&self, source: &Source, partner: &PartyId) -> bool {
        self.partner == *partner && (self.table == source.table || self.contents.contains(&source.content))
    }

    fn used(&self, item: &Item) -> u64 {
        match item {
            Item::Ids => self.ids,
            Item::Column(name) => self.columns.get(name).map_or(0, |column| column.numbers),
        }
    }

    /// At least what another entry of the same rows has.
    fn take_over(&mut self, other: &Self) {
        self.ids = self.ids.max(other.ids);
        for (name, theirs) in &other.columns {
            let own = self.columns.entry(name.clone()).or_default();
            own.numbers = own.numbers.max(theirs.numbers);
            add_cuts(&mut own.cuts, &theirs.cuts);
        }
    }

    fn charge(&mut self, charge: &Charge) {
        match &charge.item {
            Item::Ids => self.ids = self.ids.saturating_add(charge.amount),
            Item::Column(name) => {
                let column = self.columns.entry(name.clone()).or_default();
                column.numbers = column.numbers.saturating_add(charge.amount);
                add_cuts(&mut column.cuts, &charge.cuts);
            }
        }
    }
}

fn add_cuts(to: &mut Vec<f64>, more: &[f64]) {
    to.extend_from_slice(more);
    to.sort_by(f64::total_cmp);
    to.dedup();
}

/// Everything about a table and a partner, as one entry under the table's name.
fn entry_of(all: &[Released], source: &Source, partner: &PartyId) -> Released {
    let mut entry = Released::new(&source.table, partner);
    for other in all.iter().filter(|released| released.is_about(source, partner)) {
        entry.take_over(other);
        if other.table == source.table {
            entry.contents.clone_from(&other.contents);
        }
    }
    if !entry.contents.contains(&source.content) {
        entry.contents.push(source.content.clone());
    }
    entry
}

/// By column. The entries are looked up once, since tables may have thousands of columns.
fn cuts_of<'a>(
    all: &[Released],
    tables: &[Source],
    partner: &PartyId,
    columns: impl IntoIterator<Item = &'a str>,
) -> Vec<Vec<f64>> {
    let entries: Vec<Released> = tables.iter().map(|source| entry_of(all, source, partner)).collect();
    let of_column = |name: &str| {
        let mut cuts = Vec::new();
        for column in entries.iter().filter_map(|entry| entry.columns.get(name)) {
            add_cuts(&mut cuts, &column.cuts);
        }
        cuts
    };
    columns.into_iter().map(of_column).collect()
}

impl Ledger for Releases {
    fn book(&self, tables: &[Source], partner: &PartyId, charges: &[Charge]) -> Result<Option<Over>> {
        private_folder(&self.folder).at(|| format!("create {}", self.folder.display()))?;
        let _turn = Claim::take(&self.folder)?;
        let mut all = self.list()?;
        let columns: Vec<(&str, &Vec<f64>)> = charges
            .iter()
            .filter_map(|charge| match &charge.item {
                Item::Column(name) => Some((name.as_str(), &charge.after)),
                Item::Ids => None,
            })
            .collect();
        let cuts = cuts_of(&all, tables, partner, columns.iter().map(|(name, _)| *name));
        for ((name, after), cuts) in columns.into_iter().zip(cuts) {
            if cuts != *after {
                let text =
                    format!("column {name:?} was cut for partner {partner} by another task in between");
                return Err(Error::new(ErrorKind::Conflict, text));
            }
        }
        for source in tables {
            let mut entry = entry_of(&all, source, partner);
            for charge in charges {
                let (used, Charge { item, amount, limit, .. }) = (entry.used(&charge.item), charge);
                if used.checked_add(*amount).is_none_or(|sum| sum > *limit) {
                    let (table, item) = (source.table.clone(), item.clone());
                    return Ok(Some(Over { table, item, used, amount: *amount, limit: *limit }));
                }
                entry.charge(charge);
            }
            all.retain(|other| !(other.table == entry.table && other.partner == entry.partner));
            all.push(entry);
        }
        all.sort_by(|a, b| (&a.table, &a.partner).cmp(&(&b.table, &b.partner)));
        self.write(&all).map(|()| None)
    }

    fn cuts(&self, tables: &[Source], partner: &PartyId, columns: &[&str]) -> Result<Vec<Vec<f64>>> {
        Ok(cuts_of(&self.list()?, tables, partner, columns.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(table: &str, content: &str) -> Source {
        Source { table: table.into(), content: content.into() }
    }

    fn numbers(column: &str, amount: u64, limit: u64) -> Charge {
        let (cuts, after) = (Vec::new(), Vec::new());
        Charge { item: Item::Column(column.into()), amount, limit, cuts, after }
    }

    fn party(id: &str) -> PartyId {
        PartyId::new(id).unwrap()
    }

    #[test]
    fn what_is_booked_is_there_for_the_next_process_and_for_each_partner_alone() {
        let home = tempfile::tempdir().unwrap();
        let (table, guest) = (source("n/t", "c"), party("9"));
        let book = |partner: &PartyId, charges: &[Charge]| {
            Releases::new(home.path()).book(std::slice::from_ref(&table), partner, charges).unwrap()
        };
        assert_eq!(book(&guest, &[numbers("a", 7, 10), numbers("b", 3, 10)]), None);
        let over = book(&guest, &[numbers("b", 1, 10), numbers("a", 4, 10)]).unwrap();
        assert_eq!((over.item, over.used, over.amount), (Item::Column("a".into()), 7, 4));
        assert_eq!(Releases::new(home.path()).list().unwrap()[0].columns["b"].numbers, 3, "all or none");
        assert_eq!(book(&party("8"), &[numbers("a", 10, 10)]), None);
        assert_eq!(book(&guest, &[numbers("a", 3, 10)]), None);
        assert!(book(&guest, &[numbers("a", u64::MAX, u64::MAX)]).is_some(), "no overflow");
    }

    #[test]
    fn a_table_keeps_what_was_booked_through_another_name_and_through_other_rows() {
        let home = tempfile::tempdir().unwrap();
        let (releases, guest) = (Releases::new(home.path()), party("9"));
        let book = |table: &str, content: &str, amount: u64| {
            releases.book(&[source(table, content)], &guest, &[numbers("a", amount, 10)]).unwrap().is_none()
        };
        assert!(book("n/t", "c", 8));
        assert!(!book("n/renamed", "c", 3), "the same rows");
        assert!(!book("n/t", "other", 3), "the same name");
        assert!(book("n/renamed", "c", 2));
        assert!(!book("n/t", "c", 1), "booked under the other name");
        assert!(book("n/else", "d", 10));
    }

    #[test]
    fn all_tables_of_an_input_are_charged_or_none() {
        let home = tempfile::tempdir().unwrap();
        let (releases, guest) = (Releases::new(home.path()), party("9"));
        let (a, b) = (source("n/a", "1"), source("n/b", "2"));
        releases.book(std::slice::from_ref(&b), &guest, &[numbers("x", 10, 10)]).unwrap();
        let over = releases.book(&[a.clone(), b], &guest, &[numbers("x", 1, 10)]).unwrap().unwrap();
        assert_eq!(over.table, "n/b");
        assert_eq!(releases.book(&[a], &guest, &[numbers("x", 10, 10)]).unwrap(), None);
    }

    #[test]
    fn threads_and_handles_that_book_at_once_see_each_other() {
        let home = tempfile::tempdir().unwrap();
        let booked = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let (releases, table, guest) =
                        (Releases::new(home.path()), source("n/t", "c"), party("9"));
                    for _ in 0..10 {
                        let over =
                            releases.book(std::slice::from_ref(&table), &guest, &[numbers("a", 1, 50)]);
                        if over.unwrap().is_none() {
                            booked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(booked.into_inner(), 50);
        assert_eq!(Releases::new(home.path()).list().unwrap()[0].columns["a"].numbers, 50);
    }

    #[test]
    fn cuts_are_remembered_and_a_release_that_did_not_know_them_is_a_conflict() {
        let home = tempfile::tempdir().unwrap();
        let (releases, table, guest) = (Releases::new(home.path()), [source("n/t", "c")], party("9"));
        let charge = |cuts: &[f64], after: &[f64]| Charge {
            cuts: cuts.to_vec(),
            after: after.to_vec(),
            ..numbers("a", 1, 10)
        };
        releases.book(&table, &guest, &[charge(&[2.0, 1.0], &[])]).unwrap();
        assert_eq!(releases.cuts(&table, &guest, &["a", "b"]).unwrap(), [vec![1.0, 2.0], vec![]]);
        assert_eq!(releases.cuts(&table, &party("8"), &["a"]).unwrap(), [[0.0; 0]]);
        let error = releases.book(&table, &guest, &[charge(&[3.0], &[])]).unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Conflict, true));
        releases.book(&table, &guest, &[charge(&[3.0], &[1.0, 2.0])]).unwrap();
        assert_eq!(releases.cuts(&[source("n/new", "c")], &guest, &["a"]).unwrap(), [[1.0, 2.0, 3.0]]);
    }

    #[test]
    fn a_damaged_ledger_is_an_error_until_the_operator_forgets_it() {
        let home = tempfile::tempdir().unwrap();
        let (releases, table, guest) = (Releases::new(home.path()), [source("n/t", "c")], party("9"));
        releases.book(&table, &guest, &[numbers("a", 1, 10)]).unwrap();
        std::fs::write(releases.path(), "[{").unwrap();
        assert_eq!(
            releases.book(&table, &guest, &[numbers("a", 1, 10)]).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
        let only = Forget { table: Some("n/t".into()), partner: None };
        assert_eq!(releases.forget(&only).unwrap_err().kind(), ErrorKind::Corrupt);
        releases.forget(&Forget::default()).unwrap();
        assert_eq!(releases.book(&table, &guest, &[numbers("a", 10, 10)]).unwrap(), None);
        assert_eq!(releases.forget(&only).unwrap(), 1);
        assert!(releases.list().unwrap().is_empty());
    }
}
