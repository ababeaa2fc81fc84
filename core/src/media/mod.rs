//! Files of others, wherever they lie: on this machine or in any byte store that the site has.
//!
//! Formats read a [`Source`] by position and know no medium; a site's [`Media`] open one for an address. **Reading blocks**: a format decodes on
//! threads that have nothing else to do, and a local file is read where it is asked for, without a hop to another thread. What lies far away is
//! fetched in larger pieces and ahead of the reader ([`Distant`]), and decoded on a thread of its own ([`on_a_thread`]), so that no poll waits for
//! a network.
//!
//! An address is a local path, or `scheme://place/path`. It travels as a [`Path`], because names of local files need not be UTF-8.

mod distant;
mod folders;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

use arrow_array::RecordBatch;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt, stream};

use crate::bytestore::{FileState, Upload};
use crate::error::{Error, Result};
use crate::rows::RowStream;

pub use distant::Distant;
pub use folders::{keys_below, value_of};

/// Batches that a thread of its own may be ahead of their reader.
const AHEAD: usize = 2;

/// A file in one state, for reading. Reads of several threads are independent.
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// What messages call it.
    fn name(&self) -> &str;
    /// Its state when it was opened.
    fn state(&self) -> &FileState;
    /// Its size then.
    fn bytes(&self) -> u64 {
        self.state().bytes
    }
    /// Fills `to` from an offset on. Blocks. `Conflict` if the file ends before, or is known to have changed.
    fn read_at(&self, from: u64, to: &mut [u8]) -> Result<()>;
    /// What will be read next, `streams` ranges at a time. A local file does nothing; a distant one fetches pieces of it ahead.
    fn expect(&self, _ranges: &[Range<u64>], _streams: usize) {}
    /// `Conflict` if it is known to be in another state. Cheap enough to be asked again and again while a file is read.
    fn check(&self) -> Result<()>;
}

/// The media of a site.
pub trait Media: fmt::Debug + Send + Sync + 'static {
    /// Opens a file. `NotFound`; `InvalidInput` for an address of a store that the site does not have. Blocks.
    fn open(&self, address: &Path) -> Result<Arc<dyn Source>>;
    /// The addresses of all files below a folder, at any depth, in order; none if there is no such folder. Blocks.
    fn list(&self, folder: &Path) -> Result<Vec<PathBuf>>;
    /// Begins a new file, which takes the place of what had its name. Blocks.
    fn create(&self, address: &Path) -> Result<Box<dyn Upload>>;
}

/// The scheme of an address; none for a local path.
pub fn scheme_of(address: &Path) -> Option<&str> {
    let (scheme, rest) = address.to_str()?.split_once("://")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (!scheme.is_empty() && scheme.chars().all(is_name) && !rest.is_empty()).then_some(scheme)
}

/// Whether an address can be found again by another process, wherever that is: with a scheme, or absolute, and UTF-8.
pub fn is_lasting(address: &Path) -> bool {
    address.to_str().is_some() && (scheme_of(address).is_some() || address.is_absolute())
}

/// The parts of an address with a scheme: scheme, place (a bucket, a host), path.
pub fn parts_of(address: &Path) -> Result<(&str, &str, &str)> {
    let parts = || {
        let scheme = scheme_of(address)?;
        let rest = address.to_str()?.get(scheme.len() + 3..)?;
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        let is_plain = |name: &str| !matches!(name, "" | "." | "..");
        (!place.is_empty() && (path.is_empty() || path.split('/').all(is_plain)))
            .then_some((scheme, place, path))
    };
    parts().ok_or_else(|| {
        Error::invalid(format!(
            "address {:?}, expected scheme://place/path without empty names, . or ..",
            address.display().to_string()
        ))
    })
}

/// The fewest ranges that cover these, across gaps of at most `gap` bytes.
pub fn coalesce(ranges: &[Range<u64>], gap: u64) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap) => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Waits on this thread, also within a future that is polled: `futures::executor::block_on` refuses that. Only for what makes progress on threads
/// of its own.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The batches of an iterator that blocks, made and run on a thread of its own, a few batches ahead of whoever polls. Dropped, it stops within a
/// batch.
pub fn on_a_thread<I>(make: impl FnOnce() -> Result<I> + Send + 'static) -> RowStream
where
    I: Iterator<Item = Result<RecordBatch>>,
{
    let (mut send, receive) = mpsc::channel(AHEAD);
    let work = move || {
        let mut tell = |item| wait(send.send(item)).is_ok();
        match make() {
            Err(error) => drop(tell(Some(Err(error)))),
            Ok(mut batches) => {
                // `None` is the end: a channel that only closes is that of a thread that panicked
                if batches.all(|batch| tell(Some(batch))) {
                    tell(None);
                }
            }
        }
    };
    if let Err(reason) = thread::Builder::new().name("read files".into()).spawn(work) {
        return stream::iter([Err(Error::from(reason).at("start a thread that reads files"))]).boxed();
    }
    let next = |receive: Option<mpsc::Receiver<Option<Result<RecordBatch>>>>| async move {
        let mut receive = receive?;
        match receive.next().await {
            Some(Some(Ok(batch))) => Some((Ok(batch), Some(receive))),
            Some(Some(Err(error))) => Some((Err(error), None)),
            Some(None) => None,
            None => Some((Err(Error::bug("a thread that reads files panicked")), None)),
        }
    };
    stream::unfold(Some(receive), next).boxed()
}

/// The batches of files: read where they are polled if all files are local, else on a thread of their own.
pub fn rows_of<'a, I>(
    files: impl IntoIterator<Item = &'a Path>,
    open: impl FnOnce() -> Result<I> + Send + 'static,
) -> Result<RowStream>
where
    I: Iterator<Item = Result<RecordBatch>> + Send + 'static,
{
    match files.into_iter().any(|file| scheme_of(file).is_some()) {
        true => Ok(on_a_thread(open)),
        false => Ok(stream::iter(open()?).boxed()),
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn an_address_has_a_scheme_or_is_a_local_path() {
        let scheme = |text: &str| scheme_of(Path::new(text)).map(str::to_owned);
        assert_eq!(scheme("s3://bucket/a"), Some("s3".into()));
        for local in ["a.csv", "/a/b", "./s3:/x", "://x", "s3://", "a b://c", "C:/x"] {
            assert_eq!(scheme(local), None, "{local}");
        }
        let lasting = |text: &str| is_lasting(Path::new(text));
        assert!(lasting("s3://b/k") && lasting("/a") && !lasting("a"));
        let parts = |text: &'static str| parts_of(Path::new(text)).ok();
        assert_eq!(parts("s3://b/k/l/"), Some(("s3", "b", "k/l")));
        assert_eq!(parts("s3://b"), Some(("s3", "b", "")));
        for wrong in ["/a", "s3:///k", "s3://b/a//c", "s3://b/../c", "s3://b/./c"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn neighbouring_ranges_are_one_and_far_ones_apart() {
        assert_eq!(coalesce(&[100..200, 0..100, 150..180], 10), vec![0..200]);
        assert_eq!(coalesce(&[0..10, 21..25, 19..20], 10), vec![0..25]);
        assert_eq!(coalesce(&[0..10, 21..25], 10), vec![0..10, 21..25]);
        assert_eq!(coalesce(&[], 10), Vec::<Range<u64>>::new());
    }

    #[test]
    fn waiting_is_possible_within_a_future_that_is_waited_for() {
        let (send, receive) = futures::channel::oneshot::channel();
        let sender = thread::spawn(move || send.send(7));
        assert_eq!(block_on(async { wait(receive) }), Ok(7));
        sender.join().unwrap().unwrap();
    }

    #[test]
    fn rows_of_a_thread_come_in_order_and_its_panic_is_an_error_and_no_end() {
        let schema = crate::TableSchema::new(None, vec![]).unwrap();
        let batch = move || Ok(RecordBatch::new_empty(schema.arrow().clone()));
        let rows = on_a_thread(move || Ok(std::iter::repeat_with(batch).take(10)));
        assert_eq!(block_on(rows.collect::<Vec<_>>()).len(), 10);
        let refused =
            on_a_thread(|| Err::<std::iter::Empty<_>, _>(Error::new(ErrorKind::Corrupt, "changed")));
        let refused = block_on(refused.collect::<Vec<_>>());
        assert!(matches!(&refused[..], [Err(error)] if error.kind() == ErrorKind::Corrupt));
        let broken = on_a_thread(|| Ok(std::iter::from_fn(|| panic!("as it must"))));
        let broken = block_on(broken.collect::<Vec<_>>());
        assert!(matches!(&broken[..], [Err(error)] if error.kind() == ErrorKind::Bug));
    }
}
