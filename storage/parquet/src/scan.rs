//! A scan of a part: rows of one row group are decoded while the bytes of the next are on their way.
//!
//! A distant store answers late, and decoding a row group takes about as long as fetching one. The fetch is asked for once when a
//! group begins, which is enough for a store with threads of its own; one that reads where it is polled has then read, and
//! loses nothing.

use std::collections::VecDeque;
use std::future::ready;
use std::ops::Range;
use std::task::Poll;

use arrow_array::RecordBatch;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, poll, stream};
use parquet::DecodeResult;
use parquet::arrow::push_decoder::ParquetPushDecoder;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use tributary_core::Result;
use tributary_core::computing::RowStream;

use crate::part::{PartFile, slices};

/// The row groups of a scan.
pub(crate) struct Groups {
    /// Their numbers in the file.
    pub(crate) numbers: Vec<usize>,
    /// Rows of the groups before them.
    pub(crate) skipped: u64,
    /// Where the wanted columns of each are.
    ranges: VecDeque<Vec<Range<u64>>>,
}

impl Groups {
    /// Those that have some of these rows. The footer was checked.
    pub(crate) fn of(footer: &ParquetMetaData, rows: &Range<u64>, columns: Option<&[usize]>) -> Self {
        let (mut numbers, mut ranges, mut skipped, mut begin) = (Vec::new(), VecDeque::new(), 0, 0u64);
        for (number, group) in footer.row_groups().iter().enumerate() {
            let end = begin + group.num_rows().unsigned_abs();
            if end <= rows.start {
                skipped = end;
            } else if begin < rows.end {
                numbers.push(number);
                ranges.push_back(ranges_of(group, columns));
            }
            begin = end;
        }
        Self { numbers, skipped, ranges }
    }
}

/// Where the columns at these roots are, all of them if none are named.
pub(crate) fn ranges_of(group: &RowGroupMetaData, columns: Option<&[usize]>) -> Vec<Range<u64>> {
    let schema = group.schema_descr();
    let is_wanted =
        |leaf: usize| columns.is_none_or(|roots| roots.contains(&schema.get_column_root_idx(leaf)));
    let leaves = group.columns().iter().enumerate().filter(|(leaf, _)| is_wanted(*leaf));
    let range = |(start, length): (u64, u64)| start..start + length;
    leaves.map(|(_, column)| range(column.byte_range())).collect()
}

type Fetch = BoxFuture<'static, Result<Vec<(Range<u64>, Bytes)>>>;

/// See the module.
pub(crate) struct Scan {
    file: PartFile,
    decoder: ParquetPushDecoder,
    groups: VecDeque<Vec<Range<u64>>>,
    ahead: Option<Fetch>,
    /// Whether the first group was asked for.
    began: bool,
    left: u64,
}

impl Scan {
    pub(crate) fn new(file: PartFile, decoder: ParquetPushDecoder, groups: Groups, left: u64) -> Self {
        Self { file, decoder, groups: groups.ranges, ahead: None, began: false, left }
    }

    pub(crate) fn rows(self) -> RowStream {
        let next = |mut scan: Self| async move { Ok(scan.next().await?.map(|rows| (rows, scan))) };
        stream::try_unfold(self, next).boxed()
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            match self.file.guard(|| self.decoder.try_decode())? {
                DecodeResult::NeedsData(ranges) => {
                    let fetched = self.fetch(&ranges).await?;
                    self.file.guard(|| self.decoder.push_ranges(ranges, fetched))?;
                }
                DecodeResult::Data(rows) => {
                    let left = self.left.checked_sub(rows.num_rows() as u64);
                    self.left = left.ok_or_else(|| self.file.corrupt("more rows than its footer says"))?;
                    return Ok(Some(rows));
                }
                DecodeResult::Finished if self.left > 0 => {
                    return Err(self.file.corrupt(format!("{} rows fewer than its footer says", self.left)));
                }
                DecodeResult::Finished => return Ok(None),
            }
        }
    }

    /// What the decoder needs, which came ahead if it is of the group that was expected next.
    async fn fetch(&mut self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let came = match self.enter_group_of(ranges) {
            true => match self.ahead.take() {
                Some(ahead) => slices(&ahead.await?, ranges),
                None => None,
            },
            false => None,
        };
        let fetched = match came {
            Some(fetched) => fetched,
            None => self.file.fetch(ranges).await?,
        };
        if self.ahead.is_none()
            && let Some(next) = self.groups.get(1).cloned()
        {
            self.send_for(next).await;
        }
        Ok(fetched)
    }

    /// Forgets the groups before the one that has these bytes. Whether that is another one than before.
    fn enter_group_of(&mut self, ranges: &[Range<u64>]) -> bool {
        let Some(first) = ranges.first() else { return false };
        let has = |group: &Vec<Range<u64>>| {
            group.iter().any(|range| range.start <= first.start && first.start < range.end)
        };
        let passed = self.groups.iter().position(has).unwrap_or(self.groups.len());
        self.groups.drain(..passed);
        !std::mem::replace(&mut self.began, true) || passed > 0
    }

    async fn send_for(&mut self, group: Vec<Range<u64>>) {
        let file = self.file.clone();
        let mut ahead = async move { file.fetch_spans(&group).await }.boxed();
        // Answered at once, it must not be asked again.
        self.ahead = Some(match poll!(&mut ahead) {
            Poll::Ready(done) => ready(done).boxed(),
            Poll::Pending => ahead,
        });
    }
}
