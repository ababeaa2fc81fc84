//! Sample ids that stand twice: which rows go, or why the upload is refused.
//!
//! Equal hashes only make candidates; their ids are then read again and compared, so that no collision ever drops a row. In
//! memory: 16 bytes a row, and the ids of candidates. (Sorting the hashes on disk instead is a later step.)

use std::sync::Arc;

use tributary_core::Result;

use crate::csv::{Place, Source};
use crate::options::Duplicates;
use crate::progress::Meter;

/// Numbers of rows to leave out, rising.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dropped(Arc<[u64]>);

impl Dropped {
    /// How many.
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether none goes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The row that is number `kept` of those that stay.
    pub fn row_of(&self, kept: u64) -> u64 {
        let (mut low, mut high) = (0, self.0.len());
        while low < high {
            let middle = (low + high) / 2;
            // so many rows stay before this dropped one
            if self.0[middle] - middle as u64 <= kept {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        kept + low as u64
    }

    /// Whether a row goes.
    pub fn contains(&self, row: u64) -> bool {
        self.0.binary_search(&row).is_ok()
    }
}

/// A candidate, read again.
#[derive(Debug)]
struct Candidate {
    id: String,
    row: u64,
    place: Place,
}

/// Decides over ids that stand twice. `ids` are (hash, row) pairs; `position` is the column of the id.
pub(crate) fn find(
    mut ids: Vec<(u64, u64)>,
    rule: Duplicates,
    source: &Arc<Source>,
    position: usize,
    meter: &Meter,
) -> Result<Dropped> {
    ids.sort_unstable();
    let mut suspects: Vec<u64> =
        ids.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() > 1).flatten().map(|(_, row)| *row).collect();
    drop(ids);
    if suspects.is_empty() {
        return Ok(Dropped::default());
    }
    suspects.sort_unstable();
    let mut candidates = read_again(&suspects, source, position, meter)?;
    candidates.sort_unstable_by(|a, b| (&a.id, a.row).cmp(&(&b.id, b.row)));
    let groups = candidates.chunk_by(|a, b| a.id == b.id).filter(|group| group.len() > 1);
    let mut dropped: Vec<u64> = match rule {
        Duplicates::First => groups.flat_map(|group| &group[1..]).map(|candidate| candidate.row).collect(),
        Duplicates::Last => {
            groups.flat_map(|group| &group[..group.len() - 1]).map(|candidate| candidate.row).collect()
        }
        Duplicates::Fail => return refuse(groups, source, position).map(|()| Dropped::default()),
    };
    dropped.sort_unstable();
    Ok(Dropped(dropped.into()))
}

fn read_again(
    suspects: &[u64],
    source: &Arc<Source>,
    position: usize,
    meter: &Meter,
) -> Result<Vec<Candidate>> {
    let mut rows = source.rows(None)?;
    let mut found = Vec::with_capacity(suspects.len());
    for (i, row) in suspects.iter().enumerate() {
        if i % 1024 == 0 {
            meter.check()?;
        }
        loop {
            if !rows.advance()? {
                return Err(rows.changed());
            }
            if rows.number() == *row {
                break;
            }
        }
        found.push(Candidate { id: rows.get(position).to_owned(), row: *row, place: rows.place() });
    }
    Ok(found)
}

/// The error for the first repetition in the files, if there is any.
fn refuse<'a>(groups: impl Iterator<Item = &'a [Candidate]>, source: &Source, position: usize) -> Result<()> {
    let (mut repeated, mut first) = (0, None::<(&Candidate, &Candidate)>);
    for group in groups {
        repeated += group.len() - 1;
        if first.is_none_or(|(_, again)| group[1].row < again.row) {
            first = Some((&group[0], &group[1]));
        }
    }
    let Some((original, again)) = first else { return Ok(()) };
    let reason = format!(
        "the sample id stands already at {} ({repeated} such rows in all); keep the first or the last of each, or \
         have ids made",
        source.locate(original.place)
    );
    Err(source.fault(again.place, Some(position), &reason))
}

#[cfg(test)]
mod tests {
    use tributary_core::TableName;

    use super::*;
    use crate::options::UploadOptions;

    #[test]
    fn equal_hashes_of_different_ids_drop_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "id\na\nb\nc\nb\n").unwrap();
        let table = TableName::new("experiment", "table").unwrap();
        let source = Arc::new(Source::open(&UploadOptions::new(table, [file.path()])).unwrap());
        let colliding = vec![(7, 0), (7, 1), (7, 2), (7, 3)];
        let check = |rule| find(colliding.clone(), rule, &source, 0, &Meter::new(|_| {}));
        assert_eq!(check(Duplicates::First).unwrap().0[..], [3]);
        assert_eq!(check(Duplicates::Last).unwrap().0[..], [1]);
        assert!(check(Duplicates::Fail).unwrap_err().to_string().contains("(1 such rows in all)"));
        let different = vec![(7, 0), (7, 1), (7, 2), (8, 3)];
        assert_eq!(
            find(different, Duplicates::Fail, &source, 0, &Meter::new(|_| {})).unwrap(),
            Dropped::default()
        );
    }

    #[test]
    fn rows_that_stay_are_counted_past_those_that_go() {
        for dropped in [vec![], vec![0], vec![9], vec![0, 1, 2], vec![1, 4, 5, 8], vec![3]] {
            let stay: Vec<u64> = (0..10).filter(|row| !dropped.contains(row)).collect();
            let dropped = Dropped(dropped.into());
            for (kept, row) in stay.iter().enumerate() {
                assert_eq!(dropped.row_of(kept as u64), *row, "{dropped:?}");
                assert!(!dropped.contains(*row));
            }
        }
    }
}
