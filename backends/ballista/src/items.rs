//! What a session holds: where kept rows are, and blobs. With the last handle on them the files go as well, in the
//! background: dropping must not wait for a store.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tributary_core::computing::PartSize;

use crate::fragment::Segment;

/// A file of the session's store, removed with its last clone.
pub(crate) struct File {
    path: String,
    leftovers: UnboundedSender<String>,
}

impl File {
    pub(crate) fn new(path: String, leftovers: &UnboundedSender<String>) -> Arc<Self> {
        Arc::new(Self { path, leftovers: leftovers.clone() })
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // Fails once the session is closed, which removes everything anyway.
        drop(self.leftovers.send(std::mem::take(&mut self.path)));
    }
}

/// Some rows of a file.
#[derive(Clone)]
pub(crate) struct Stretch {
    pub(crate) file: Arc<File>,
    pub(crate) rows: Range<u64>,
    /// Of the whole file.
    pub(crate) bytes: u64,
    /// Of the whole file.
    pub(crate) file_rows: u64,
}

impl Stretch {
    pub(crate) fn count(&self) -> u64 {
        self.rows.end - self.rows.start
    }

    pub(crate) fn segment(&self) -> Segment {
        Segment { file: self.file.path.clone(), rows: self.rows.clone() }
    }
}

/// Where the rows of a table are, by partition.
#[derive(Clone, Default)]
pub(crate) struct Kept(pub(crate) Vec<Vec<Stretch>>);

impl Kept {
    /// The same rows in the same order, cut into partitions of so many rows. Nothing moves.
    pub(crate) fn cut(&self, counts: impl IntoIterator<Item = u64>) -> Self {
        let mut rest = self.0.iter().flatten().filter(|stretch| stretch.count() > 0).cloned().peekable();
        let mut take = |mut wanted: u64| {
            let mut part = Vec::new();
            while wanted > 0
                && let Some(stretch) = rest.peek_mut()
            {
                let middle = stretch.rows.end.min(stretch.rows.start + wanted);
                part.push(Stretch { rows: stretch.rows.start..middle, ..stretch.clone() });
                wanted -= middle - stretch.rows.start;
                stretch.rows.start = middle;
                rest.next_if(|stretch| stretch.count() == 0);
            }
            part
        };
        Self(counts.into_iter().map(&mut take).collect())
    }

    /// Rows `wanted` of one partition.
    pub(crate) fn stretches(&self, partition: u32, wanted: &Range<u64>) -> Vec<Stretch> {
        let mut first = 0;
        let mut found = Vec::new();
        for stretch in self.0.get(partition as usize).into_iter().flatten() {
            let end = first + stretch.count();
            let (from, to) = (wanted.start.max(first), wanted.end.min(end));
            if from < to {
                let start = stretch.rows.start;
                found.push(Stretch { rows: start + (from - first)..start + (to - first), ..stretch.clone() });
            }
            first = end;
        }
        found
    }

    pub(crate) fn rows(&self, partition: u32) -> u64 {
        self.0.get(partition as usize).into_iter().flatten().map(Stretch::count).sum()
    }

    pub(crate) fn sizes(&self) -> Vec<PartSize> {
        let size = |part: &Vec<Stretch>| PartSize {
            rows: part.iter().map(Stretch::count).sum(),
            bytes: part.iter().map(|s| s.bytes * s.count() / s.file_rows.max(1)).sum(),
        };
        self.0.iter().map(size).collect()
    }
}

/// What a session holds.
pub(crate) type Items = tributary_partition::items::Items<Kept, File>;

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(counts: &[&[u64]]) -> (Kept, tokio::sync::mpsc::UnboundedReceiver<String>) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut name = 0;
        let mut stretch = |rows: &u64| {
            name += 1;
            let file = File::new(format!("f{name}"), &sender);
            Stretch { file, rows: 0..*rows, bytes: rows * 8, file_rows: *rows }
        };
        (Kept(counts.iter().map(|part| part.iter().map(&mut stretch).collect()).collect()), receiver)
    }

    fn shown(kept: &Kept, partition: u32) -> String {
        let all = kept.stretches(partition, &(0..u64::MAX));
        all.iter().map(|s| format!("{} {:?}", s.file.path, s.rows)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn rows_are_cut_anew_without_moving() {
        let (kept, _) = kept(&[&[3], &[], &[4, 0, 5]]);
        let cut = kept.cut([2, 6, 0, 4]);
        assert_eq!(
            [0, 1, 2, 3].map(|p| shown(&cut, p)),
            ["f1 0..2", "f1 2..3, f2 0..4, f4 0..1", "", "f4 1..5"]
        );
        assert_eq!(
            cut.sizes().iter().map(|s| (s.rows, s.bytes)).collect::<Vec<_>>(),
            [(2, 16), (6, 48), (0, 0), (4, 32)]
        );
        let part = cut.stretches(1, &(1..3));
        assert_eq!((part.len(), part[0].segment()), (1, Segment { file: "f2".into(), rows: 0..2 }));
    }

    #[test]
    fn a_file_goes_with_the_last_that_shows_it() {
        let (kept, mut gone) = kept(&[&[3], &[2]]);
        let cut = kept.cut([4]);
        drop(kept);
        assert!(gone.try_recv().is_err());
        drop(cut);
        let mut files = [gone.try_recv().unwrap(), gone.try_recv().unwrap()];
        files.sort();
        assert_eq!(files, ["f1", "f2"]);
    }
}
