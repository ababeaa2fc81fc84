//! Parts that lie elsewhere: row groups of Parquet files of other programs.
//!
//! Such a part says in its `file` where it is, as `bound:` and a JSON list of (path, first row group, end), and in its
//! `digest` by what each of those files is known again. So it is complete in itself, like a part of ours, and travels to
//! executors, into manifests and into copies of a table without anybody knowing the difference.

use std::path::Path;

use futures::{StreamExt, stream};

use tributary_core::computing::{PartSize, RowStream};
use tributary_core::storage::Part;
use tributary_core::{Error, Layout, Result, TableSchema};
use tributary_parquet::{Files, Span};

const PREFIX: &str = "bound:";

/// Whether a part lies elsewhere.
pub(crate) fn is_bound(part: &Part) -> bool {
    part.file.starts_with(PREFIX)
}

/// The row groups of some files as parts of about equal numbers of rows, at most `partitions`.
pub(crate) fn parts(files: &Files, partitions: u32) -> Result<Vec<Part>> {
    Layout::Loose(partitions).check()?;
    let rows = files.rows();
    if rows == 0 {
        return Err(Error::invalid("the files have no rows"));
    }
    let groups: Vec<_> = files.all_groups().map(|(_, _, group)| group).collect();
    let (mut parts, mut start, mut done) = (Vec::new(), 0, 0u64);
    for (i, group) in groups.iter().enumerate() {
        done += group.rows;
        // a part ends with the row group that brings its share of all rows, so that the last row ends the last part
        let due = (u128::from(done) * u128::from(partitions) / u128::from(rows)) as usize;
        if due > parts.len() && start <= i {
            let size = PartSize {
                rows: groups[start..=i].iter().map(|group| group.rows).sum(),
                bytes: groups[start..=i].iter().map(|group| group.bytes).sum(),
            };
            if size.rows > 0 {
                parts.push(part(&files.spans(start..i + 1), size)?);
                start = i + 1;
            }
        }
    }
    Ok(parts)
}

fn part(spans: &[Span], size: PartSize) -> Result<Part> {
    let place = |span: &Span| {
        let path = span.path.to_str().ok_or_else(|| {
            Error::invalid(format!("file {}: its name is not UTF-8; rename it", span.path.display()))
        })?;
        Ok((path.to_owned(), span.groups.start, span.groups.end))
    };
    let places = spans.iter().map(place).collect::<Result<Vec<_>>>()?;
    let stamps: Vec<String> = spans.iter().map(|span| span.stamp.to_string()).collect();
    Ok(Part { file: format!("{PREFIX}{}", json(&places)?), size, digest: json(&stamps)? })
}

/// Where a bound part is. `InvalidInput` for one that [`parts`] did not make.
pub(crate) fn spans(part: &Part) -> Result<Vec<Span>> {
    let wrong = || Error::invalid("a bound part does not say where it is");
    let places = part.file.strip_prefix(PREFIX).ok_or_else(wrong)?;
    let places: Vec<(String, usize, usize)> = serde_json::from_str(places).map_err(|e| wrong().because(e))?;
    let stamps: Vec<String> = serde_json::from_str(&part.digest).map_err(|e| wrong().because(e))?;
    if places.len() != stamps.len() {
        return Err(wrong());
    }
    let span = |((path, start, end), stamp): ((String, usize, usize), String)| {
        let fits = Path::new(&path).is_absolute() && start <= end;
        let span = Span { path: path.into(), stamp: stamp.parse()?, groups: start..end };
        if fits { Ok(span) } else { Err(wrong()) }
    };
    places.into_iter().zip(stamps).map(span).collect()
}

/// The rows of a bound part.
pub(crate) fn rows(part: &Part, schema: &TableSchema) -> Result<RowStream> {
    let mut spans = spans(part)?.into_iter();
    let schema = schema.clone();
    // The first is opened now, so that a file that is gone or changed is told before any row; others when they are reached.
    let mut open = spans.next().map(|span| span.rows(&schema)).transpose()?;
    let rows = std::iter::from_fn(move || {
        loop {
            if let Some(batch) = open.as_mut()?.next() {
                return Some(batch);
            }
            match spans.next().map(|span| span.rows(&schema)).transpose() {
                Ok(next) => open = next,
                Err(error) => {
                    open = None;
                    return Some(Err(error));
                }
            }
        }
    });
    Ok(stream::iter(rows).boxed())
}

/// Reads it all: what the files are known by, and whether every value is as the schema has it.
pub(crate) async fn verify(part: &Part, schema: &TableSchema) -> Result<()> {
    let (mut rows, mut found) = (rows(part, schema)?, 0);
    while let Some(batch) = rows.next().await {
        found += batch?.num_rows() as u64;
    }
    if found != part.size.rows {
        return Err(Error::invalid(format!("{found} rows, expected {}", part.size.rows)));
    }
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::bug("a bound part cannot be written as JSON").because(e))
}
