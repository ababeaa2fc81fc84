//! What a party lets go to its partners: numbers that its operator sets, and no job can change.
//!
//! Plain values, part of a [`Site`](crate::Site). Who compares them with what a job asks is the component contract; where they
//! come from is the composition root, which reads the section `limits` of a site's configuration.

use crate::error::{Error, Result};
use crate::settings::{Key, Kind, Section};

const ROWS: Kind = Kind::Int { least: 1, most: 1 << 40 };
const BUDGET: Kind = Kind::Int { least: 0, most: 1 << 40 };

/// The keys of the section.
pub const KEYS: &[Key] = &[
    Key::new(
        "max_bins",
        Kind::Int { least: 1, most: 65_535 },
        "100",
        "Most bins of one of this party's columns that others get numbers about, the bin of missing values aside. A job that asks for \
         more is refused before it runs.",
    ),
    Key::new(
        "min_rows",
        ROWS,
        "5",
        "Least rows of this party behind every number that others get, also behind the difference of two releases that cut a column in \
         different places. A bin without any row is released; a column that ends as one bin says only what is known of all rows.",
    ),
    Key::new(
        "small_bins",
        Kind::OneOf(&["merge", "refuse"]),
        "merge",
        "What becomes of a bin with fewer rows: it is merged with its neighbours, or the task fails and names the column.",
    ),
    Key::new(
        "cuts_from_job",
        Kind::OneOf(&["replace", "refuse", "use"]),
        "replace",
        "What becomes of cut points that a job gives for this party's columns, where others get numbers about the bins. `replace`: the \
         party makes as many bins of equal numbers of rows itself, and says so in the task's log. `refuse`: the job is refused. `use`: \
         they are used, and the job's author chooses which values a bin holds.",
    ),
    Key::new(
        "min_common_rows",
        ROWS,
        "2",
        "Least ids of a partner in an intersection, or it gets no answer; and least common rows, or the task fails before anything else \
         is computed with them.",
    ),
    Key::new(
        "numbers",
        BUDGET,
        "200",
        "Most numbers (one for each bin) about one column of one table that one partner ever gets, over all jobs. Counted in the party's \
         home; see `tributary limits`.",
    ),
    Key::new(
        "gradient_sums",
        BUDGET,
        "500000",
        "Most sums of encrypted gradients (one for each bin in each node of a tree) about one column of one table that one partner ever \
         gets, over all jobs. They say more than counts do: see \"What boosting shows\" in SECURITY.md. 0: the party trains no trees with others.",
    ),
    Key::new(
        "ids_per_row",
        BUDGET,
        "1000",
        "Most ids that one partner may ever look up in one table, for each of the table's rows, over all jobs. A table of fewer than \
         1,000 rows counts as one of 1,000.",
    ),
    Key::new(
        "intersection",
        Kind::OneOf(&["any", "ecdh_psi"]),
        "any",
        "Which protocols of an intersection the party takes part in. `any`: also `rr22`, which is quick, and in which a partner that does not \
         follow the protocol can learn enough to test ids without being counted. `ecdh_psi`: elliptic curves alone, where it can not.",
    ),
];

/// The limits of one party. [`Limits::default`] is what holds where the operator says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most bins of a column, the one of missing values aside.
    pub max_bins: u64,
    /// Least rows behind every number that is released. A bin without any row may be released.
    pub min_rows: u64,
    /// What becomes of a bin of fewer rows.
    pub small_bins: SmallBins,
    /// What becomes of cut points that a job gives for this party's columns.
    pub cuts_from_job: JobCuts,
    /// Least rows of an intersection, and least ids of a partner who asks for one.
    pub min_common_rows: u64,
    /// Which grant of the party set this minimum for the job, if not the section of its configuration.
    pub common_rows_by: Option<String>,
    /// Most numbers about one column that one partner ever gets.
    pub numbers: u64,
    /// Most sums of gradients about one column that one partner ever gets.
    pub gradient_sums: u64,
    /// Most ids that one partner may ever ask for, for each row of the table that they are looked up in.
    pub ids_per_row: u64,
    /// Which protocols of an intersection the party takes part in.
    pub intersection: Intersections,
}

/// Protocols of an intersection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intersections {
    /// All that there are.
    Any,
    /// Elliptic curves alone.
    Curves,
}

/// What becomes of a bin that has rows, but too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmallBins {
    /// It is merged with its neighbours.
    Merge,
    /// The task fails and names the column.
    Refuse,
}

/// What becomes of cut points that a job gives for a party's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobCuts {
    /// The party cuts by itself, into as many bins of equal numbers of rows.
    Replace,
    /// The job is refused.
    Refuse,
    /// They are used: the job's author chooses which values a bin holds.
    Use,
}

impl Limits {
    /// Reads the section.
    pub fn from_section(section: &Section) -> Result<Self> {
        let word =
            |key: &str| Error::bug(format!("key {} was read as one of its words", section.full_name(key)));
        Ok(Self {
            max_bins: section.get("max_bins")?,
            min_rows: section.get("min_rows")?,
            small_bins: match section.get::<&str>("small_bins")? {
                "merge" => SmallBins::Merge,
                "refuse" => SmallBins::Refuse,
                _ => return Err(word("small_bins")),
            },
            cuts_from_job: match section.get::<&str>("cuts_from_job")? {
                "replace" => JobCuts::Replace,
                "refuse" => JobCuts::Refuse,
                "use" => JobCuts::Use,
                _ => return Err(word("cuts_from_job")),
            },
            min_common_rows: section.get("min_common_rows")?,
            common_rows_by: None,
            numbers: section.get("numbers")?,
            gradient_sums: section.get("gradient_sums")?,
            ids_per_row: section.get("ids_per_row")?,
            intersection: match section.get::<&str>("intersection")? {
                "any" => Intersections::Any,
                "ecdh_psi" => Intersections::Curves,
                _ => return Err(word("intersection")),
            },
        })
    }

    /// Everything may go: what a party owes itself.
    pub const NONE: Self = Self {
        max_bins: u64::MAX,
        min_rows: 0,
        small_bins: SmallBins::Merge,
        cuts_from_job: JobCuts::Use,
        min_common_rows: 0,
        common_rows_by: None,
        numbers: u64::MAX,
        gradient_sums: u64::MAX,
        ids_per_row: u64::MAX,
        intersection: Intersections::Any,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bins: 100,
            min_rows: 5,
            small_bins: SmallBins::Merge,
            cuts_from_job: JobCuts::Replace,
            min_common_rows: 2,
            common_rows_by: None,
            numbers: 200,
            gradient_sums: 500_000,
            ids_per_row: 1_000,
            intersection: Intersections::Any,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Value};

    #[test]
    fn the_section_is_read_and_its_defaults_are_those_of_the_type() {
        let mut section = Section::new("limits", KEYS).unwrap();
        assert_eq!(Limits::from_section(&section).unwrap(), Limits::default());
        for (key, value) in [("small_bins", "refuse"), ("cuts_from_job", "use"), ("intersection", "ecdh_psi")]
        {
            section.set(key, Value::Text(value.into()), Origin::Default);
        }
        section.set("numbers", Value::Int(0), Origin::Default);
        let (small_bins, cuts_from_job) = (SmallBins::Refuse, JobCuts::Use);
        let intersection = Intersections::Curves;
        let given = Limits { small_bins, cuts_from_job, numbers: 0, intersection, ..Limits::default() };
        assert_eq!(Limits::from_section(&section).unwrap(), given);
    }
}
