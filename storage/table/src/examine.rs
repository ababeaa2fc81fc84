//! What an operator asks of a store: whether tables can live there. A probe is written beside all tables, under a name that clean-up takes, read,
//! compared and removed; and conditions that do not hold are tried, because a server may accept a condition and ignore it.

use bytes::Bytes;

use tributary_core::bytestore::{ByteStore, Revision};
use tributary_core::check::{self, Finding, Steps, milliseconds, rate, timed};
use tributary_core::{Error, ErrorKind, Result};

use crate::place::fresh_passing;

/// Bytes by which the rate is measured: two pieces of an upload.
const MEASURED_BYTES: usize = 16 << 20;
/// Bytes that an upload is given at once.
const PIECE_BYTES: usize = 8 << 20;

/// Probes a store.
pub(crate) async fn probe(store: &dyn ByteStore) -> Vec<Finding> {
    let mut steps = Steps::default();
    let names = [fresh_passing("doctor"), fresh_passing("doctor")].into_iter().collect::<Result<Vec<_>>>();
    let [small, large] = match names.as_deref() {
        Ok([small, large]) => [small, large],
        Ok(_) => return Vec::new(),
        Err(error) => return vec![Finding::of_error("writes", error)],
    };
    look(store, small, large, &mut steps).await;
    let removed = async {
        store.delete(&[small.clone(), large.clone()]).await?;
        match store.get(small, 0..1).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::new(ErrorKind::Corrupt, "what was removed is still there")),
        }
    };
    match removed.await {
        Ok(()) => steps.add(Finding::good("removes", "nothing is left")),
        Err(error) => steps.add(Finding::of_error("removes", &error)),
    }
    steps.findings()
}

async fn look(store: &dyn ByteStore, small: &str, large: &str, steps: &mut Steps) {
    let first = Bytes::from_static(b"a probe of tributary doctor\n");
    let written = async {
        let ((), took) = timed(store.put_if_absent(small, first.clone())).await?;
        Ok((took, format!("{}, in {}", store.base(), milliseconds(took))))
    };
    let took = steps.step("writes", written).await;
    let read = async {
        let (read, took) = timed(store.get(small, 0..1 << 10)).await?;
        same(&read, &first)?;
        Ok(((), format!("the same bytes, in {}", milliseconds(took))))
    };
    steps.step("reads", read).await;
    let listed = async {
        let state = store.stat(small).await?;
        same_size(state.bytes, first.len())?;
        let tag = if state.tag.is_some() { ", with an entity tag" } else { "" };
        Ok((state.modified, format!("{} bytes{tag}", state.bytes)))
    };
    let shows = steps.step("looks at files", listed).await;
    if let (Some(shows), Some(took)) = (shows, took) {
        steps.add(check::clock(shows, took));
    }
    steps.step("conditions", conditions(store, small)).await;
    steps.step("throughput", throughput(store, large)).await;
}

fn same(read: &Bytes, written: &Bytes) -> Result<()> {
    (read == written)
        .then_some(())
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, "what was read is not what was written"))
}

fn same_size(found: u64, written: usize) -> Result<()> {
    let text = || format!("{found} bytes, expected {written}");
    (found == written as u64).then_some(()).ok_or_else(|| Error::new(ErrorKind::Corrupt, text()))
}

/// Whether puts on conditions that do not hold are refused.
async fn conditions(store: &dyn ByteStore, there: &str) -> Result<((), String)> {
    let other = Bytes::from_static(b"another probe\n");
    refused(store.put_if_absent(there, other.clone()).await, ErrorKind::AlreadyExists)?;
    if !store.info().replaces_snapshots {
        return Ok((
            (),
            "\"if absent\" is kept; \"if unchanged\" is not offered, so that no rows are added to a table"
                .into(),
        ));
    }
    let (_, first): (_, Revision) = store.get_with_revision(there, 1 << 10).await?;
    store.put_if_unchanged(there, &first, other.clone()).await?;
    refused(store.put_if_unchanged(there, &first, Bytes::from_static(b"late\n")).await, ErrorKind::Conflict)?;
    let (read, _) = store.get_with_revision(there, 1 << 10).await?;
    same(&read, &other)?;
    Ok(((), "puts on a condition are refused where it does not hold".into()))
}

fn refused(put: Result<()>, expected: ErrorKind) -> Result<()> {
    match put {
        Err(error) if error.kind() == expected => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Err(Error::new(
            ErrorKind::Unsupported,
            "a put on a condition that does not hold was done: of two writers, both would win and one table be lost; use a store that keeps conditions",
        )),
    }
}

async fn throughput(store: &dyn ByteStore, large: &str) -> Result<((), String)> {
    let bytes = Bytes::from((0..MEASURED_BYTES).map(|i| (i * 31 % 251) as u8).collect::<Vec<_>>());
    let written = async {
        let mut upload = store.put(large).await?;
        for at in (0..MEASURED_BYTES).step_by(PIECE_BYTES) {
            upload.write(bytes.slice(at..at + PIECE_BYTES)).await?;
        }
        upload.finish().await
    };
    let ((), there) = timed(written).await?;
    let (read, back) = timed(store.get(large, 0..MEASURED_BYTES as u64)).await?;
    same(&read, &bytes)?;
    let all = MEASURED_BYTES as u64;
    Ok(((), format!("{} there, {} back", rate(all, there), rate(all, back))))
}
