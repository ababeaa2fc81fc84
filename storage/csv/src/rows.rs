//! The rows of a part, parsed while they are read: memory holds one block of a file and one batch, whatever the size of the
//! files.
//!
//! The file's size and time are checked after every block: rows of a file that changed during the reading are not passed on.
//! A bad row is reported with file and line; since all rows were good when the file was bound, it means that the file
//! changed.

use std::sync::Arc;

use arrow_array::RecordBatch;
use tributary_core::media::{Media, Source, value_of};
use tributary_core::{Error, ErrorKind, Result, TableSchema};
use tributary_suggest::quoted;

use crate::NOT_TEXT;
use crate::batch::{BATCH_BYTES, BATCH_ROWS, BatchBuilder, Misfit};
use crate::block::{self, Block, CHUNK_BYTES, Chunks, Turns};
use crate::file::{self, as_bound};
use crate::part::{Part, Span};
use crate::records::Records;

/// Batches of a part, in order. Ends after an error.
#[derive(Debug)]
pub(crate) struct Rows {
    part: Part,
    schema: TableSchema,
    media: Arc<dyn Media>,
    chunk_bytes: u64,
    reading: Option<Reading>,
    /// Number of the span to read next.
    next: usize,
    records: Records,
    batch: BatchBuilder,
    over: bool,
}

/// A span that is being read.
#[derive(Debug)]
struct Reading {
    file: Arc<dyn Source>,
    span: Span,
    chunks: Chunks,
    turns: Turns,
    /// The next chunk.
    index: usize,
    /// Remaining rows.
    left: u64,
}

impl Rows {
    /// Opens the first file.
    pub(crate) fn open(part: Part, schema: &TableSchema, media: Arc<dyn Media>) -> Result<Self> {
        Self::with_chunks(part, schema, media, CHUNK_BYTES)
    }

    fn with_chunks(
        part: Part,
        schema: &TableSchema,
        media: Arc<dyn Media>,
        chunk_bytes: u64,
    ) -> Result<Self> {
        let (records, batch) = (Records::new(part.dialect), BatchBuilder::new(&part.columns, schema)?);
        let schema = schema.clone();
        let mut rows =
            Self { part, schema, media, chunk_bytes, reading: None, next: 0, records, batch, over: false };
        rows.open_next()?;
        Ok(rows)
    }

    fn open_next(&mut self) -> Result<()> {
        let Some(span) = self.part.spans.get(self.next).cloned() else { return Ok(()) };
        let file = file::open(&*self.media, &span.path, &span.stamp)?;
        file.expect(std::slice::from_ref(&(span.bytes.0..span.bytes.1)), 1);
        let value = |key: &String| value_of(&span.path, key).flatten().unwrap_or_default();
        self.records.append(self.part.width, self.part.keys.iter().map(value).collect());
        // the span ends with a row, so its end can be treated as the end of the file
        let chunks = Chunks::new([span.bytes].into_iter(), self.chunk_bytes);
        let turns = Turns::new(self.part.dialect.quoting());
        self.next += 1;
        self.reading = Some(Reading { file, chunks, turns, index: 0, left: span.rows, span });
        Ok(())
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let (mut rows, mut bytes) = (0, 0);
        while rows < BATCH_ROWS && bytes < BATCH_BYTES && self.advance()? {
            self.check()?;
            self.batch.push(&self.records).map_err(|misfit| self.misfit(misfit))?;
            let span = self.records.span();
            (rows, bytes) = (rows + 1, bytes + (span.end - span.start));
        }
        match rows {
            0 => Ok(None),
            _ => self.batch.finish().map(Some),
        }
    }

    /// Goes to the next row; false at the end of the part.
    #[inline]
    fn advance(&mut self) -> Result<bool> {
        loop {
            match self.records.advance() {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(fault) => return Err(self.fault(fault.line, fault.field, &fault.reason)),
            }
            if !self.next_block()? {
                return Ok(false);
            }
        }
    }

    /// Loads the next block; false at the end of the part.
    fn next_block(&mut self) -> Result<bool> {
        let mut line = (self.reading.as_ref()).map(|reading| self.records.next_line().max(reading.span.line));
        loop {
            let Some(reading) = &mut self.reading else { return Ok(false) };
            if reading.index == reading.chunks.count() {
                if reading.left > 0 {
                    let (file, left) = (reading.file.name(), reading.left);
                    return Err(changed(format!("{file}: {left} rows fewer than when it was bound")));
                }
                self.reading = None;
                self.open_next()?;
                // lines count from the beginning of each file
                line = None;
                continue;
            }
            let chunk = reading.chunks.get(reading.index);
            let memory = self.records.unload();
            let block = block::block(&*reading.file, &chunk, reading.index, &reading.turns, memory);
            let changed = |error| as_bound(&*reading.file, error);
            reading.file.check().map_err(changed)?;
            reading.index += 1;
            if let Some(block) = block.map_err(changed)? {
                self.records.load(Block { line: line.unwrap_or(reading.span.line), ..block });
                return Ok(true);
            }
        }
    }

    /// Checks that the current record is a row.
    #[inline]
    fn check(&mut self) -> Result<()> {
        let (got, expected) = (self.records.width(), self.part.width);
        if got != expected {
            return Err(self.fault(self.records.line(), None, &format!("{got} values, expected {expected}")));
        }
        if let Some(position) = self.records.not_text() {
            return Err(self.fault(self.records.line(), Some(position), NOT_TEXT));
        }
        match self.reading.as_mut().map(|reading| (reading.left > 0, &mut reading.left)) {
            Some((true, left)) => *left -= 1,
            _ => return Err(self.fault(self.records.line(), None, "one row more than when it was bound")),
        }
        Ok(())
    }

    #[cold]
    fn misfit(&self, misfit: Misfit) -> Error {
        let Some(column) = self.part.columns.get(misfit.column) else {
            return Error::bug("a misfit of an unknown column");
        };
        let reason = match misfit.found {
            None => "the value is missing, but this column needs one".to_owned(),
            Some(kind) => format!("{}, expected {}", kind.described(), column.value_type.form()),
        };
        self.fault(self.records.line(), Some(column.position), &reason)
    }

    /// The error of a row, without showing its values.
    #[cold]
    fn fault(&self, line: u64, position: Option<usize>, reason: &str) -> Error {
        let file = self.reading.as_ref().map_or("", |reading| reading.file.name());
        let column = position.map_or(String::new(), |position| {
            let known = self.part.columns.iter().position(|column| column.position == position);
            let name =
                known.and_then(|i| self.schema.arrow().fields().get(i)).map(|field| quoted(field.name()));
            format!("column {}{}: ", position + 1, name.map_or(String::new(), |name| format!(" ({name})")))
        });
        changed(format!("{file}:{line}: {column}{reason}"))
    }
}

fn changed(what: String) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{what}; the file has changed, bind or upload it again"))
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let batch = self.batch().transpose();
        self.over = !matches!(batch, Some(Ok(_)));
        batch
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_schema::DataType;
    use proptest::prelude::*;
    use tributary_core::{Field, KeyType};
    use tributary_system::{LocalFile, LocalMedia};

    use super::*;
    use crate::batch::Column;
    use crate::records::{Dialect, Quoting};

    fn schema() -> TableSchema {
        let fields = vec![Field::new("b", DataType::Utf8).nullable()];
        TableSchema::keyed("a", KeyType::Utf8, fields).unwrap()
    }

    fn columns() -> Vec<Column> {
        let column = |position, value_type: &str| Column {
            position,
            value_type: value_type.parse().unwrap(),
            nulls: vec![String::new()],
        };
        vec![column(0, "text"), column(1, "text")]
    }

    /// Rows of a file as one span.
    fn span(path: &Path, bytes: (u64, u64), line: u64, rows: u64) -> Span {
        let stamp = file::stamp(&LocalFile::open(path).unwrap()).unwrap();
        Span { path: path.to_owned(), stamp, bytes, line, rows }
    }

    fn part(spans: Vec<Span>) -> Part {
        Part::new(Dialect::new(b',', Quoting::Rfc4180).unwrap(), 2, vec![], columns(), spans).unwrap()
    }

    fn read(spans: Vec<Span>, chunk_bytes: u64) -> Result<Vec<(String, Option<String>)>> {
        let mut found = Vec::new();
        for batch in Rows::with_chunks(part(spans), &schema(), Arc::new(LocalMedia), chunk_bytes)? {
            let batch = batch?;
            let (a, b) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
            found.extend(
                (0..batch.num_rows())
                    .map(|i| (a.value(i).to_owned(), b.is_valid(i).then(|| b.value(i).to_owned()))),
            );
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn parts_cut_at_any_rows_have_the_rows_of_the_files(
            rows in proptest::collection::vec(("[a\",\n]{1,9}", "[b\",\n\r]{0,9}"), 1..12),
            blank in any::<bool>(),
            cut in any::<prop::sample::Index>(),
            chunk_bytes in 1u64..40,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("rows.csv");
            let (mut text, mut starts) = (b"a,b\n".to_vec(), Vec::new());
            for (a, b) in &rows {
                starts.push((text.len() as u64, 1 + text.iter().filter(|byte| **byte == b'\n').count() as u64));
                let mut writer = csv::Writer::from_writer(Vec::new());
                writer.write_record([a, b]).unwrap();
                text.extend(writer.into_inner().unwrap());
                text.extend(if blank { &b"\n\r\n"[..] } else { b"" });
            }
            std::fs::write(&path, &text).unwrap();
            let expected: Vec<_> =
                rows.iter().map(|(a, b)| (a.clone(), (!b.is_empty()).then(|| b.clone()))).collect();
            let (first, cut, end) = (starts[0], cut.index(rows.len()), text.len() as u64);
            let (byte, line) = starts[cut];
            let before = span(&path, (first.0, byte), first.1, cut as u64);
            let after = span(&path, (byte, end), line, (rows.len() - cut) as u64);
            prop_assert_eq!(&read(vec![before.clone()], chunk_bytes).unwrap()[..], &expected[..cut]);
            prop_assert_eq!(&read(vec![after.clone()], chunk_bytes).unwrap()[..], &expected[cut..]);
            // as if of two files
            prop_assert_eq!(read(vec![before, after.clone()], chunk_bytes).unwrap(), expected);
            // every row knows its line
            let wrong = Span { rows: after.rows - 1, ..after };
            let error = read(vec![wrong], chunk_bytes).unwrap_err().to_string();
            let last = starts.last().unwrap().1;
            prop_assert!(error.contains(&format!("rows.csv:{last}: one row more than when it was bound")), "{}", error);
        }
    }

    #[test]
    fn a_change_since_the_bind_is_reported_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        let check = |text: &[u8], expected: &str| {
            std::fs::write(&path, text).unwrap();
            for chunk_bytes in [3, 1000] {
                let error = read(vec![span(&path, (4, text.len() as u64), 2, 2)], chunk_bytes).unwrap_err();
                assert!(
                    error.kind() == ErrorKind::Corrupt && error.to_string().contains(expected),
                    "{error}"
                );
            }
        };
        check(b"a,b\nx,1\n\ny\n", "rows.csv:4: 1 values, expected 2");
        check(b"a,b\n\"x\n\",1\ny,\xFF\n", "rows.csv:4: column 2 (\"b\"): text that is not UTF-8");
        check(b"a,b\nx,1\n,1\n", "rows.csv:3: column 1 (\"a\"): the value is missing");
        check(b"a,b\nx,1\ny,\"1\n", "rows.csv:3: column 2 (\"b\"): a quote that is never closed");
        check(b"a,b\nx,1\n", "rows.csv: 1 rows fewer than when it was bound");
        check(b"a,b\nx,1\ny,2\nz,3\n", "rows.csv:4: one row more than when it was bound");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_gives_no_more_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        let text: String = (0..200_000).map(|i| format!("row {i},the value of row {i}\n")).collect();
        std::fs::write(&path, &text).unwrap();
        let span = span(&path, (0, text.len() as u64), 1, 200_000);
        let mut rows = Rows::open(part(vec![span]), &schema(), Arc::new(LocalMedia)).unwrap();
        assert!(rows.next().unwrap().is_ok());
        std::os::unix::fs::FileExt::write_all_at(
            &std::fs::File::options().write(true).open(&path).unwrap(),
            b"x",
            text.len() as u64 - 100,
        )
        .unwrap();
        let error = rows.find_map(Result::err).unwrap();
        assert!(error.to_string().contains("rows.csv: the file has changed"), "{error}");
        assert!(rows.next().is_none());
    }
}
