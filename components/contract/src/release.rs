//! What leaves a party about its rows: the one place where a component asks before it releases anything to a partner.
//!
//! Twice. Before a job runs, [`Component::asks`](crate::Component::asks) says what the parameters alone ask of a party, and job
//! control compares it with the limits of that party's site. And while a task runs, [`Task::release`](crate::Task::release) gives
//! a [`Release`], which compares the actual numbers and books them in the party's [`Ledger`] *before* they leave. What is booked
//! stays booked, whatever happens to the task: otherwise a partner that makes tasks fail would get numbers that are not counted.
//!
//! Limits belong to each party and are never sent. Partners see a refusal as a failed task.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tributary_core::limits::JobCuts;
use tributary_core::{Error, ErrorKind, Limits, Party, PartyId, Result, Table};

/// Where ids are counted, a table of fewer rows counts as one of this many: otherwise it could be matched only once or twice.
const LEAST_ROWS: u64 = 1_000;

/// What parameters ask a party to release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Numbers about this many bins of a column.
    Bins(u64),
    /// Numbers about bins that the job cuts: of those of these columns that are its own.
    Cuts(Vec<String>),
    /// This many sums of gradients about a column.
    Sums(u64),
}

/// What a parameter asks a party to release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What.
    pub ask: Ask,
    /// The parameter that asks, where messages about it point.
    pub parameter: &'static str,
}

/// Why a party does not release something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Who refuses what.
    pub message: String,
    /// What its operator would change.
    pub help: String,
}

/// A table of a party that others ask about. It is known again by its name and by what it holds, so that a renamed table and one
/// that is stored again under its name keep what was booked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// Its name.
    pub table: String,
    /// Digest of its rows as they are stored.
    pub content: String,
}

/// What of a table is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// Ids that were looked up in it.
    Ids,
    /// Numbers about a column.
    Column(String),
    /// Sums of gradients about a column.
    Sums(String),
}

/// Something to be booked.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    /// What it is about.
    pub item: Item,
    /// How much.
    pub amount: u64,
    /// The most that may be booked, this charge included.
    pub limit: u64,
    /// Of a column: where it is cut in this release.
    pub cuts: Vec<f64>,
    /// Of a column: [`Ledger::cuts`] as it was when this release was prepared.
    pub after: Vec<f64>,
}

/// A charge that does not fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Over {
    /// The table.
    pub table: String,
    /// What of it.
    pub item: Item,
    /// What was booked before.
    pub used: u64,
    /// What was to be booked.
    pub amount: u64,
    /// The most that may be booked.
    pub limit: u64,
}

/// What each partner of a party got so far about each of its tables. Only the party's operator takes anything back.
pub trait Ledger: fmt::Debug + Send + Sync + 'static {
    /// Books all charges against all tables, durably, or none of them and says which does not fit. `Conflict` if cuts were booked
    /// since they were read. Jobs and processes that book at the same time see each other's charges.
    fn book(&self, tables: &[Source], partner: &PartyId, charges: &[Charge]) -> Result<Option<Over>>;

    /// Where columns have been cut in releases to a partner, ascending, by column.
    fn cuts(&self, tables: &[Source], partner: &PartyId, columns: &[&str]) -> Result<Vec<Vec<f64>>>;
}

/// What a task may release: its party's limits and ledger, and which tables its inputs come from.
#[derive(Debug, Clone)]
pub struct Releases {
    /// The party's limits.
    pub limits: Limits,
    /// The party's ledger.
    pub ledger: Arc<dyn Ledger>,
    /// By input key: the party's tables that the input was made of.
    pub sources: BTreeMap<String, Vec<Source>>,
    /// By input key: columns that no longer have the values of those tables ([`Outputs::recoded`](crate::Outputs::recoded)).
    pub recoded: BTreeMap<String, BTreeSet<String>>,
}

/// What one partner is to get about one input.
#[derive(Debug)]
pub struct Release<'a> {
    own: &'a Party,
    to: &'a Party,
    limits: Limits,
    ledger: &'a Arc<dyn Ledger>,
    sources: &'a [Source],
    recoded: Option<&'a BTreeSet<String>>,
}

/// Numbers about one column that are to leave.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// The column, by the name that it has at home.
    pub column: String,
    /// How many.
    pub count: u64,
    /// Where it is cut.
    pub cuts: Vec<f64>,
    /// As [`Release::cuts`] gave them.
    pub after: Vec<f64>,
}

impl Releases {
    pub(crate) fn of<'a>(&'a self, own: &'a Party, input: &str, to: &'a Party) -> Release<'a> {
        // A site that has two roles in a job keeps no secrets from itself.
        let limits = if own.id == to.id { Limits::NONE } else { self.limits.clone() };
        let sources = self.sources.get(input).map_or(&[][..], Vec::as_slice);
        Release { own, to, limits, ledger: &self.ledger, sources, recoded: self.recoded.get(input) }
    }
}

impl Release<'_> {
    /// The limits that hold between the two.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// `Denied` if a column has more bins than may be released.
    pub fn expect_bins(&self, column: &str, bins: u64) -> Result<()> {
        match refused(&self.limits, self.own, &Ask::Bins(bins)) {
            None => Ok(()),
            Some(refusal) => Err(denied(&refusal).at(format!("column {column:?}"))),
        }
    }

    /// `Denied` if the party refuses cut points of a job, and there are some for these of its columns.
    pub fn expect_no_cuts(&self, columns: &[String]) -> Result<()> {
        let refusal = refused(&self.limits, self.own, &Ask::Cuts(columns.to_vec()));
        refusal.map_or(Ok(()), |refusal| Err(denied(&refusal)))
    }

    /// `Denied` if the party takes no cut points of a job, and a model has some.
    pub fn expect_own_cuts(&self, model: &str) -> Result<()> {
        if self.limits.cuts_from_job == JobCuts::Use {
            return Ok(());
        }
        let message = format!(
            "{} takes no cut points for its columns from a job, and those of {model} are from one",
            self.own
        );
        Err(denied(&Refusal { message, help: operator(self.own, "set limits.cuts_from_job to use") }))
    }

    /// `Denied` if the cuts of a model were found in bins of fewer rows than a number needs: then they show where few rows are.
    pub fn expect_rows_behind_cuts(&self, model: &str, rows: u64) -> Result<()> {
        let least = self.limits.min_rows;
        if self.is_own() || rows >= least {
            return Ok(());
        }
        let message = format!(
            "{} releases no number about bins that had fewer than {least} rows when they were cut, and those of {model} may have had {rows}",
            self.own
        );
        let help = format!("train the model again, or {}", operator(self.own, "lower limits.min_rows"));
        Err(denied(&Refusal { message, help }))
    }

    /// `Denied` for a column that a task has changed: cuts of its new values cannot be compared with cuts of its own.
    fn expect_own_values(&self, column: &str) -> Result<()> {
        if self.is_own() || !self.recoded.is_some_and(|columns| columns.contains(column)) {
            return Ok(());
        }
        let message = format!(
            "{} releases no numbers about a column once a task has put others in place of its values, since what they show \
             together with earlier ones is not known",
            self.own
        );
        let help = "measure the column before it is transformed".to_string();
        Err(denied(&Refusal { message, help }).with_private(format!("column {column:?}")))
    }

    /// `Denied` if the rows of an intersection, or the ids of the partner who asks for it, are too few.
    pub fn expect_common_rows(&self, what: &str, rows: u64) -> Result<()> {
        let least = self.limits.min_common_rows;
        if rows >= least {
            return Ok(());
        }
        let message = format!("{} needs at least {least} {what}, and there are fewer", self.own);
        // Partners need not learn how many grants there are.
        let (lower, private) = match &self.limits.common_rows_by {
            Some(grant) => {
                ("lower least_common_rows of the grant", format!("{rows}, by {grant} in grants.yaml"))
            }
            None => ("lower limits.min_common_rows", rows.to_string()),
        };
        Err(denied(&Refusal { message, help: operator(self.own, lower) }).with_private(private))
    }

    /// The refusal of a column with a bin of too few rows.
    pub fn small_bin(&self, column: &str, rows: u64) -> Error {
        let least = self.limits.min_rows;
        let message = format!(
            "{} releases no number with fewer than {least} rows behind it, and a bin of a column has fewer",
            self.own
        );
        let refusal = Refusal { message, help: operator(self.own, "set limits.small_bins to merge") };
        denied(&refusal).with_private(format!("column {column:?} has a bin of {rows}"))
    }

    /// Where columns were cut in earlier releases to this partner, ascending, by column.
    pub fn cuts(&self, columns: &[&str]) -> Result<Vec<Vec<f64>>> {
        columns.iter().try_for_each(|column| self.expect_own_values(column))?;
        match self.is_own() {
            true => Ok(vec![Vec::new(); columns.len()]),
            false => self.ledger.cuts(self.sources, &self.to.id, columns),
        }
    }

    /// Books numbers about columns, all or none. Call it before they leave. `Denied` names the column that the partner may get no
    /// more numbers about.
    pub fn book_numbers(&self, numbers: impl IntoIterator<Item = Numbers>) -> Result<()> {
        let charge = |numbers: Numbers| Charge {
            item: Item::Column(numbers.column),
            amount: numbers.count,
            limit: self.limits.numbers,
            cuts: numbers.cuts,
            after: numbers.after,
        };
        let numbers: Vec<Numbers> = numbers.into_iter().collect();
        numbers.iter().try_for_each(|numbers| self.expect_own_values(&numbers.column))?;
        self.book(&numbers.into_iter().map(charge).collect::<Vec<_>>())
    }

    /// Books sums of gradients, the same number about each of these columns, all or none; and where the columns are cut for them, as
    /// [`Release::cuts`] gave the earlier cuts. Call it before the first one leaves. `Denied`, `Conflict` as for
    /// [`Release::book_numbers`].
    pub fn book_sums(&self, cuts: impl IntoIterator<Item = Numbers>) -> Result<()> {
        let cuts: Vec<Numbers> = cuts.into_iter().collect();
        cuts.iter().try_for_each(|of| self.expect_own_values(&of.column))?;
        let charges = |of: Numbers| {
            let (amount, limit) = (of.count, self.limits.gradient_sums);
            let (cuts, after) = (Vec::new(), Vec::new());
            let sums = Charge { item: Item::Sums(of.column.clone()), amount, limit, cuts, after };
            let (cuts, after, limit) = (of.cuts, of.after, u64::MAX);
            [sums, Charge { item: Item::Column(of.column), amount: 0, limit, cuts, after }]
        };
        self.book(&cuts.into_iter().flat_map(charges).collect::<Vec<_>>())
    }

    /// Books ids that the partner looks up in a table with this many rows. Call it before any answer leaves.
    pub fn book_ids(&self, ids: u64, rows: u64) -> Result<()> {
        let limit = self.limits.ids_per_row.saturating_mul(rows.max(LEAST_ROWS));
        let (cuts, after) = (Vec::new(), Vec::new());
        self.book(&[Charge { item: Item::Ids, amount: ids, limit, cuts, after }])
    }

    fn book(&self, charges: &[Charge]) -> Result<()> {
        if self.is_own() {
            return Ok(());
        }
        if self.sources.is_empty() {
            return Err(Error::bug("a release about an input that no table was given for"));
        }
        let over = self.ledger.book(self.sources, &self.to.id, charges);
        let Some(over) = over.map_err(|e| e.at(format!("book a release of {}", self.own)))? else {
            return Ok(());
        };
        let Over { table, item, used, amount, limit } = over;
        let (what, about, key) = match item {
            Item::Ids => {
                (format!("answers for {limit} ids in a table"), format!("table {table}"), "ids_per_row")
            }
            Item::Column(name) => (
                format!("{limit} numbers about a column of a table"),
                format!("column {name:?} of table {table}"),
                "numbers",
            ),
            Item::Sums(name) => (
                format!("{limit} sums of gradients about a column of a table"),
                format!("column {name:?} of table {table}"),
                "gradient_sums",
            ),
        };
        let message = format!(
            "{} gives partner {} no more than {what}: {used} are given, {amount} more were asked for",
            self.own, self.to.id
        );
        let help = operator(
            self.own,
            &format!(
                "raise limits.{key}, or forget what was given with `tributary limits reset --party {} --yes`",
                self.own.id
            ),
        );
        Err(denied(&Refusal { message, help }).with_private(about))
    }

    fn is_own(&self) -> bool {
        self.own.id == self.to.id
    }
}

/// What a party's limits say about a request; nothing if it may be released.
pub fn refused(limits: &Limits, own: &Party, ask: &Ask) -> Option<Refusal> {
    match ask {
        Ask::Bins(bins) if *bins > limits.max_bins => Some(Refusal {
            message: format!("{own} releases at most {} bins of a column, got {bins}", limits.max_bins),
            help: format!("ask for fewer, or {}", operator(own, "raise limits.max_bins")),
        }),
        Ask::Sums(sums) if *sums > limits.gradient_sums => Some(Refusal {
            message: format!(
                "{own} gives a partner at most {} sums of gradients about a column, this job asks for {sums}",
                limits.gradient_sums
            ),
            help: format!(
                "ask for fewer trees, levels or bins, or {}",
                operator(own, "raise limits.gradient_sums")
            ),
        }),
        Ask::Cuts(columns) if !columns.is_empty() && limits.cuts_from_job == JobCuts::Refuse => {
            Some(Refusal {
                message: format!(
                    "{own} takes no cut points for its columns from a job ({})",
                    columns.join(", ")
                ),
                help: format!("leave them to it, or {}", operator(own, "set limits.cuts_from_job to use")),
            })
        }
        _ => None,
    }
}

fn operator(own: &Party, does: &str) -> String {
    format!("the operator of party {} may {does}", own.id)
}

fn denied(refusal: &Refusal) -> Error {
    Error::new(ErrorKind::Denied, format!("{} ({})", refusal.message, refusal.help))
}

/// A ledger that remembers nothing: for tasks that run alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLedger;

impl Ledger for NoLedger {
    fn book(&self, _: &[Source], _: &PartyId, _: &[Charge]) -> Result<Option<Over>> {
        Ok(None)
    }

    fn cuts(&self, _: &[Source], _: &PartyId, columns: &[&str]) -> Result<Vec<Vec<f64>>> {
        Ok(vec![Vec::new(); columns.len()])
    }
}

impl Releases {
    /// For a task without partners.
    pub fn alone() -> Self {
        let (sources, recoded) = (BTreeMap::new(), BTreeMap::new());
        Self { limits: Limits::default(), ledger: Arc::new(NoLedger), sources, recoded }
    }
}

/// How many different ids a table's rows have. What limits count is rows behind a number by their ids: a partner may repeat rows.
pub async fn different_ids(table: &Table) -> Result<u64> {
    table.select::<&str>([])?.first_by_key()?.count().await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Refuses beyond limits, and remembers what it was asked.
    #[derive(Debug, Default)]
    struct Memory(Mutex<Vec<(Item, u64)>>);

    impl Ledger for Memory {
        fn book(&self, tables: &[Source], _: &PartyId, charges: &[Charge]) -> Result<Option<Over>> {
            let mut booked = self.0.lock().unwrap();
            for Charge { item, amount, limit, .. } in charges {
                let used: u64 = booked.iter().filter(|(of, _)| of == item).map(|(_, amount)| amount).sum();
                if used + amount > *limit {
                    let (table, item) = (tables[0].table.clone(), item.clone());
                    return Ok(Some(Over { table, item, used, amount: *amount, limit: *limit }));
                }
            }
            booked.extend(charges.iter().map(|charge| (charge.item.clone(), charge.amount)));
            Ok(None)
        }

        fn cuts(&self, _: &[Source], _: &PartyId, columns: &[&str]) -> Result<Vec<Vec<f64>>> {
            Ok(vec![vec![1.0]; columns.len()])
        }
    }

    fn releases(limits: Limits) -> Releases {
        let source = Source { table: "n/t".into(), content: "c".into() };
        Releases {
            limits,
            ledger: Arc::<Memory>::default(),
            sources: BTreeMap::from([("data".to_string(), vec![source])]),
            recoded: BTreeMap::from([("data".to_string(), BTreeSet::from(["woe".to_string()]))]),
        }
    }

    fn numbers(column: &str, count: u64) -> Numbers {
        Numbers { column: column.into(), count, cuts: Vec::new(), after: Vec::new() }
    }

    #[test]
    fn a_refusal_names_the_party_the_limit_the_value_and_the_key() {
        let (host, guest) = (Party::new("host", "7").unwrap(), Party::new("guest", "9").unwrap());
        let releases = releases(Limits { numbers: 12, ..Limits::default() });
        let release = releases.of(&host, "data", &guest);
        release.book_numbers([numbers("a", 10), numbers("b", 12)]).unwrap();
        let error = release.book_numbers([numbers("c", 1), numbers("a", 3)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        let (told, known) = (error.told().chain(), error.chain());
        for expected in ["host_7", "partner 9", "12 numbers", "10 are given", "3 more", "limits.numbers"] {
            assert!(told.contains(expected), "{expected} in {told}");
        }
        for private in ["\"a\"", "n/t"] {
            assert!(known.contains(private) && !told.contains(private), "{known}");
        }
        release.book_numbers([numbers("c", 12)]).unwrap();
        assert!(
            release
                .expect_bins("a", 101)
                .unwrap_err()
                .to_string()
                .contains("at most 100 bins of a column, got 101")
        );
        assert!(
            release.expect_common_rows("common rows", 1).is_err()
                && release.expect_common_rows("x", 2).is_ok()
        );
        let cut = |column: &str, count| Numbers { cuts: vec![1.0], ..numbers(column, count) };
        release.book_sums([cut("a", 400_000), cut("c", 500_000)]).unwrap();
        let error = release.book_sums([cut("a", 200_000)]).unwrap_err().to_string();
        assert!(error.contains("limits.gradient_sums") && error.contains("400000 are given"), "{error}");
        release.book_ids(1_000_000, 3).unwrap();
        assert!(release.book_ids(1, 3).unwrap_err().to_string().contains("limits.ids_per_row"));
    }

    #[test]
    fn changed_values_and_cuts_of_a_job_in_a_model_are_refused() {
        let (host, guest) = (Party::new("host", "7").unwrap(), Party::new("guest", "9").unwrap());
        for cuts_from_job in [JobCuts::Replace, JobCuts::Refuse] {
            let releases = releases(Limits { cuts_from_job, ..Limits::default() });
            let release = releases.of(&host, "data", &guest);
            for error in [
                release.cuts(&["a", "woe"]).unwrap_err(),
                release.book_numbers([numbers("a", 1), numbers("woe", 1)]).unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Denied);
                let (told, known) = (error.to_string(), error.chain());
                assert!(
                    known.contains("\"woe\"") && !told.contains("woe") && told.contains("before"),
                    "{known}"
                );
            }
            assert!(release.expect_own_cuts("m").unwrap_err().to_string().contains("limits.cuts_from_job"));
        }
        let releases = releases(Limits { cuts_from_job: JobCuts::Use, ..Limits::default() });
        releases.of(&host, "data", &guest).expect_own_cuts("m").unwrap();
        releases.of(&host, "other", &guest).cuts(&["woe"]).unwrap();
        releases.of(&host, "data", &Party::new("guest", "7").unwrap()).cuts(&["woe"]).unwrap();
    }

    #[test]
    fn a_site_has_no_limits_towards_itself() {
        let (host, guest) = (Party::new("host", "7").unwrap(), Party::new("guest", "7").unwrap());
        let releases = releases(Limits { numbers: 0, ..Limits::default() });
        let release = releases.of(&host, "data", &guest);
        release.book_numbers([numbers("a", 1_000)]).unwrap();
        release.expect_bins("a", 1 << 40).unwrap();
        release.expect_common_rows("common rows", 0).unwrap();
        assert_eq!(release.cuts(&["a"]).unwrap(), [[0.0; 0]]);
    }
}
