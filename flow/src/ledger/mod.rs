//! What each partner of a party got so far, about each of its tables: kept in the party's home, in one file.
//!
//! One entry for each table and partner, in `releases/ledger.jsonl`, written under a lock on the folder that other processes
//! respect. A table is found by its name and by its content, and the entry of its name takes over what its content was booked for,
//! so that no name has less booked than its rows. Whatever gives rows another name, or a name other rows, reports it here.

mod entry;
mod file;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use tributary_component::release::{Charge, Item, Ledger, Over, Source};
use tributary_core::meta::TableRecord;
use tributary_core::storage::StoredTable;
use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt, TableName};

pub use entry::{OfColumn, Released};

use crate::claim::Claim;
use crate::record::private_folder;
use crate::sources;

/// The releases of one party.
#[derive(Debug, Clone)]
pub struct Releases {
    folder: PathBuf,
    known: Arc<Mutex<file::Ledger>>,
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
        let folder = home.join("releases");
        let known = shared(&folder);
        Self { folder, known }
    }

    /// All of them, by table and partner.
    pub fn list(&self) -> Result<Vec<Released>> {
        Ok(self.known()?.entries().cloned().collect())
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
                self.lock().replace(&self.folder, Vec::new()).map(|()| Vec::new())
            }
            (listed, _) => listed,
        }?;
        let (gone, stays): (Vec<Released>, Vec<Released>) =
            listed.into_iter().partition(|released| which.is_meant(released));
        if gone.is_empty() {
            return Ok(0);
        }
        self.lock().replace(&self.folder, stays)?;
        Ok(gone.len() as u64)
    }

    /// A table gets another name: what was booked about it counts there too. Call it before the new name can be read, so that a
    /// process that ends in between leaves too much booked and not too little.
    pub fn renamed(&self, from: &TableName, to: &TableName, stored: &StoredTable) -> Result<()> {
        let (from, to) = (from.to_string(), to.to_string());
        let content = sources::content(stored);
        let from = Source { table: from, content };
        self.note(|known| under(known, known.entries(), &from, &to))
    }

    /// A table of another party of this site is copied to this one: what that party released about its rows counts here, too. Call it before
    /// the copy can be read. `record`: of the table that is copied.
    pub fn copied(
        &self,
        from: &Self,
        record: &TableRecord,
        to: &TableName,
        stored: &StoredTable,
    ) -> Result<()> {
        let itself = (sources::itself(record, stored), to.to_string());
        let made_of = sources::made_of(record)?.into_iter().map(|source| (source.clone(), source.table));
        let all: Vec<(Source, String)> = std::iter::once(itself).chain(made_of).collect();
        let booked = from.list()?;
        if !booked.iter().any(|entry| all.iter().any(|(source, _)| is_about(entry, source))) {
            return Ok(());
        }
        private_folder(&self.folder).at(|| format!("create {}", self.folder.display()))?;
        let _turn = Claim::take(&self.folder)?;
        let mut known = self.known()?;
        let more = all.iter().flat_map(|(source, to)| under(&known, booked.iter(), source, to)).collect();
        known.append(&self.folder, more)
    }

    /// What the record of a copy within one party says of its origin: what is released about it is booked against what it was copied
    /// from.
    pub fn origin_of_copy(record: &TableRecord, stored: &StoredTable) -> Result<(&'static str, String)> {
        let mut made_of = sources::made_of(record)?;
        if made_of.is_empty() {
            made_of.push(sources::itself(record, stored));
        }
        let all = sources::Sources::from([(String::new(), made_of)]);
        Ok((sources::SOURCES, sources::text(&all)))
    }

    /// A name got other rows: they are known by their content from now on.
    pub fn stored(&self, table: &TableName, stored: &StoredTable) -> Result<()> {
        let (table, content) = (table.to_string(), sources::content(stored));
        self.note(|known| {
            let of_name = known.entries().filter(|entry| entry.table == table);
            let unknown = of_name.filter(|entry| !entry.contents.contains(&content));
            let new = |entry: &Released| Released {
                contents: vec![content.clone()],
                ..Released::new(&table, &entry.partner)
            };
            unknown.map(new).collect()
        })
    }

    /// Adds to entries, if there is anything to add.
    fn note(&self, more: impl Fn(&file::Ledger) -> Vec<Released>) -> Result<()> {
        if !self.folder.is_dir() || self.list()?.is_empty() {
            return Ok(());
        }
        let _turn = Claim::take(&self.folder)?;
        let mut known = self.known()?;
        let more = more(&known);
        if more.is_empty() {
            return Ok(());
        }
        known.append(&self.folder, more)
    }

    fn lock(&self) -> MutexGuard<'_, file::Ledger> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// As it is now.
    fn known(&self) -> Result<MutexGuard<'_, file::Ledger>> {
        let mut known = self.lock();
        known.refresh(&self.folder)?;
        Ok(known)
    }
}

/// What this process knows of the ledger in a folder. Every attempt at a task opens it, and would read all of it again.
fn shared(folder: &Path) -> Arc<Mutex<file::Ledger>> {
    static KNOWN: Mutex<BTreeMap<PathBuf, Arc<Mutex<file::Ledger>>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    known.entry(folder.to_owned()).or_default().clone()
}

fn is_about(entry: &Released, source: &Source) -> bool {
    entry.table == source.table || entry.contents.contains(&source.content)
}

/// What the entries of a name lack beside those that were booked about some rows.
fn under<'a>(
    known: &file::Ledger,
    booked: impl Iterator<Item = &'a Released>,
    rows: &Source,
    to: &str,
) -> Vec<Released> {
    let mut added: BTreeMap<&PartyId, Released> = BTreeMap::new();
    for entry in booked.filter(|entry| is_about(entry, rows)) {
        let own = known.entry(to, &entry.partner);
        let new = || Released { contents: vec![rows.content.clone()], ..Released::new(to, &entry.partner) };
        added.entry(&entry.partner).or_insert_with(new).make_up(own, entry);
    }
    added.into_values().collect()
}

/// What the entry of a table's name lacks beside those of its content, and that its content is known.
fn lacking(known: &file::Ledger, source: &Source, partner: &PartyId) -> Released {
    let own = known.entry(&source.table, partner);
    let mut lacking = Released::new(&source.table, partner);
    for other in known.entries().filter(|entry| is_copy(entry, source, partner)) {
        lacking.make_up(own, other);
    }
    if own.is_none_or(|own| !own.contents.contains(&source.content)) {
        lacking.contents.push(source.content.clone());
    }
    lacking
}

/// Whether it is about the same rows under another name.
fn is_copy(entry: &Released, source: &Source, partner: &PartyId) -> bool {
    entry.partner == *partner && entry.table != source.table && entry.contents.contains(&source.content)
}

/// Where columns of some tables were cut for a partner, under any of the tables' names.
struct Cut<'a>(Vec<&'a Released>);

impl<'a> Cut<'a> {
    fn of(known: &'a file::Ledger, tables: &[Source], partner: &PartyId) -> Self {
        let of_table = |source: &Source| {
            let copies = known.entries().filter(|entry| is_copy(entry, source, partner));
            known.entry(&source.table, partner).into_iter().chain(copies).collect::<Vec<_>>()
        };
        Self(tables.iter().flat_map(of_table).collect())
    }

    fn column(&self, name: &str) -> Cow<'a, [f64]> {
        let mut columns = self.0.iter().filter_map(|entry| entry.columns.get(name));
        let first = columns.next().map_or(&[][..], |column| &column.cuts);
        columns.fold(Cow::Borrowed(first), |mut cuts, column| {
            entry::add_cuts(cuts.to_mut(), &column.cuts);
            cuts
        })
    }
}

/// `Conflict` if a column was cut since its charge was prepared.
fn expect_cuts(known: &file::Ledger, tables: &[Source], partner: &PartyId, charges: &[Charge]) -> Result<()> {
    let cut = Cut::of(known, tables, partner);
    for charge in charges {
        let Item::Column(name) = &charge.item else { continue };
        if *cut.column(name) != *charge.after {
            let text = format!("column {name:?} was cut for partner {partner} by another task in between");
            return Err(Error::new(ErrorKind::Conflict, text));
        }
    }
    Ok(())
}

impl Ledger for Releases {
    fn book(&self, tables: &[Source], partner: &PartyId, charges: &[Charge]) -> Result<Option<Over>> {
        private_folder(&self.folder).at(|| format!("create {}", self.folder.display()))?;
        let _turn = Claim::take(&self.folder)?;
        let mut known = self.known()?;
        expect_cuts(&known, tables, partner, charges)?;
        let mut added: BTreeMap<&str, Released> = BTreeMap::new();
        for source in tables {
            let own = known.entry(&source.table, partner);
            let lacking = lacking(&known, source, partner);
            let new = added.entry(&source.table).or_insert_with(|| Released::new(&source.table, partner));
            new.make_up(None, &lacking);
            new.contents.extend(lacking.contents);
            for charge in charges {
                let Charge { item, amount, limit, .. } = charge;
                let used = own.map_or(0, |own| own.used(item)).saturating_add(new.used(item));
                if used.checked_add(*amount).is_none_or(|sum| sum > *limit) {
                    let (table, item) = (source.table.clone(), item.clone());
                    return Ok(Some(Over { table, item, used, amount: *amount, limit: *limit }));
                }
                new.charge(charge);
            }
        }
        let added = added.into_values().filter(|added| !added.is_nothing()).collect();
        known.append(&self.folder, added).map(|()| None)
    }

    fn cuts(&self, tables: &[Source], partner: &PartyId, columns: &[&str]) -> Result<Vec<Vec<f64>>> {
        let known = self.known()?;
        let cut = Cut::of(&known, tables, partner);
        Ok(columns.iter().map(|name| cut.column(name).into_owned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As another process sees it.
    fn elsewhere(home: &Path) -> Releases {
        Releases { folder: home.join("releases"), known: Arc::default() }
    }

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
        assert_eq!(elsewhere(home.path()).list().unwrap()[0].columns["b"].numbers, 3, "all or none");
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
                    let (releases, table, guest) = (elsewhere(home.path()), source("n/t", "c"), party("9"));
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
        std::fs::write(file::path_in(&releases.folder), "[{\n").unwrap();
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

    fn stored(content: &str) -> StoredTable {
        use tributary_core::rows::PartSize;
        use tributary_core::storage::{Part, TableUri};
        use tributary_core::{Layout, TableSchema};
        StoredTable {
            uri: TableUri::new("file:///t").unwrap(),
            snapshot: "s".into(),
            schema: TableSchema::new(None, Vec::new()).unwrap(),
            layout: Layout::Loose(1),
            parts: vec![Part { file: "p".into(), size: PartSize::default(), digest: content.into() }],
        }
    }

    #[test]
    fn rows_that_were_added_or_replaced_take_their_bookings_to_another_name() {
        let home = tempfile::tempdir().unwrap();
        let (releases, guest) = (Releases::new(home.path()), party("9"));
        let name = |name: &str| TableName::new("n", name).unwrap();
        let content = |table: &str| sources::content(&stored(table));
        let book = |table: &str, of: &str, amount: u64| {
            let charges = [numbers("a", amount, 10)];
            releases.book(&[source(table, &content(of))], &guest, &charges).unwrap().is_none()
        };
        releases.stored(&name("t"), &stored("1")).unwrap();
        assert!(!home.path().join("releases").exists(), "nothing was booked");
        assert!(book("n/t", "1", 8));
        // Rows are added, and the table is renamed before anything is booked again.
        releases.renamed(&name("t"), &name("u"), &stored("2")).unwrap();
        assert!(!book("n/u", "2", 3));
        assert!(book("n/u", "2", 1));
        // Rows are added, then all are stored under a name of their own.
        releases.stored(&name("t"), &stored("3")).unwrap();
        assert!(!book("n/else", "3", 3));
        // A name that has bookings of its own keeps the larger number.
        assert!(book("n/v", "4", 9));
        releases.renamed(&name("t"), &name("v"), &stored("5")).unwrap();
        assert!(!book("n/v", "5", 2) && book("n/v", "5", 1));
    }

    fn record(table: &str) -> TableRecord {
        let (namespace, name) = table.split_once('/').unwrap();
        let stored = stored("");
        TableRecord {
            table: TableName::new(namespace, name).unwrap(),
            engine: "file".into(),
            uri: stored.uri,
            schema: stored.schema,
            layout: stored.layout,
            rows: 1,
            bytes: 1,
            preview: Vec::new(),
            origin: BTreeMap::new(),
            created_ms: 0,
            updated_ms: 0,
        }
    }

    #[test]
    fn a_copy_to_another_party_takes_the_bookings_of_its_rows_along() {
        let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [from, into] = homes.each_ref().map(|home| Releases::new(home.path()));
        let (guest, name) = (party("9"), TableName::new("n", "copy").unwrap());
        let content = sources::content(&stored("1"));
        let book = |of: &Releases, table: &str, amount: u64| {
            of.book(&[source(table, &content)], &guest, &[numbers("a", amount, 10)]).unwrap().is_none()
        };
        let mut record = record("n/t");
        into.copied(&from, &record, &name, &stored("1")).unwrap();
        assert!(!homes[1].path().join("releases").exists(), "nothing was booked");
        assert!(book(&from, "n/t", 8));
        into.copied(&from, &record, &name, &stored("1")).unwrap();
        assert!(!book(&into, "n/copy", 3) && book(&into, "n/copy", 2));
        // The output of a job is booked against what it was made of, also there.
        record.origin.insert(sources::SOURCES.to_owned(), format!("n/t@{content}"));
        into.copied(&from, &record, &name, &stored("2")).unwrap();
        assert!(!book(&into, "n/t", 3));
        let (key, made_of) = Releases::origin_of_copy(&record, &stored("2")).unwrap();
        assert_eq!((key, made_of), (sources::SOURCES, format!("n/t@{content}")));
    }

    #[test]
    fn a_booking_costs_what_it_books() {
        let home = tempfile::tempdir().unwrap();
        let (releases, table, guest) = (Releases::new(home.path()), [source("n/t", "c")], party("9"));
        let path = file::path_in(&releases.folder);
        let names: Vec<String> = (0..100).map(|i| format!("column_{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut sizes = Vec::new();
        for round in 0..200u32 {
            // Another process from time to time.
            let releases = if round % 7 == 0 { elsewhere(home.path()) } else { releases.clone() };
            let after = releases.cuts(&table, &guest, &names).unwrap();
            let charge = |(name, after): (&&str, Vec<f64>)| {
                let cuts = vec![f64::from(round) + 0.1, 1e6 + f64::from(round)];
                Charge { cuts, after, ..numbers(name, 2, 400) }
            };
            let charges: Vec<Charge> = names.iter().zip(after).map(charge).collect();
            assert_eq!(releases.book(&table, &guest, &charges).unwrap(), None);
            sizes.push(std::fs::metadata(&path).unwrap().len());
        }
        assert!(
            releases
                .book(
                    &table,
                    &guest,
                    &[Charge {
                        after: releases.cuts(&table, &guest, &["column_0"]).unwrap().remove(0),
                        ..numbers("column_0", 1, 400)
                    }]
                )
                .unwrap()
                .is_some()
        );
        let grown: Vec<i64> = sizes.windows(2).map(|pair| pair[1] as i64 - pair[0] as i64).collect();
        let most = sizes[0] as i64;
        assert!(grown.iter().all(|grown| *grown <= most), "{grown:?}");
        assert!(grown.iter().filter(|grown| **grown < 0).count() >= 2, "it is written anew: {grown:?}");
        let listed = releases.list().unwrap();
        let column = &listed[0].columns["column_99"];
        assert_eq!((listed.len(), column.numbers, column.cuts.len()), (1, 400, 400));
        assert_eq!(column.cuts[1], 1.1);
        assert_eq!(elsewhere(home.path()).list().unwrap(), listed);
    }

    #[test]
    fn the_rest_of_a_booking_that_did_not_end_counts_nothing_and_is_cut_off() {
        let home = tempfile::tempdir().unwrap();
        let (releases, table, guest) = (Releases::new(home.path()), [source("n/t", "c")], party("9"));
        let book = |amount| releases.book(&table, &guest, &[numbers("a", amount, 10)]).unwrap();
        assert_eq!(book(1), None);
        assert_eq!(book(2), None);
        let path = file::path_in(&releases.folder);
        let whole = std::fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for end in first..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            let again = elsewhere(home.path());
            assert_eq!(again.list().unwrap()[0].columns["a"].numbers, 1, "{end} bytes");
            assert_eq!(again.book(&table, &guest, &[numbers("a", 9, 10)]).unwrap(), None);
            assert_eq!(elsewhere(home.path()).list().unwrap()[0].columns["a"].numbers, 10);
        }
    }

    #[test]
    fn a_file_of_an_earlier_version_is_taken_over() {
        let home = tempfile::tempdir().unwrap();
        let (releases, guest) = (Releases::new(home.path()), party("9"));
        std::fs::create_dir(&releases.folder).unwrap();
        let earlier = releases.folder.join("ledger.json");
        let text = r#"[{"table":"n/t","partner":"9","ids":3,"columns":{"a":{"numbers":8,"cuts":[0.1,2.0]}},"contents":["c"]}]"#;
        std::fs::write(&earlier, text).unwrap();
        assert_eq!(releases.cuts(&[source("n/x", "c")], &guest, &["a"]).unwrap(), [[0.1, 2.0]]);
        let charge = Charge { after: vec![0.1, 2.0], ..numbers("a", 2, 10) };
        assert_eq!(releases.book(&[source("n/t", "d")], &guest, &[charge]).unwrap(), None);
        assert!(!earlier.exists());
        let listed = elsewhere(home.path()).list().unwrap();
        assert_eq!((listed[0].ids, listed[0].columns["a"].numbers), (3, 10));
    }
}
