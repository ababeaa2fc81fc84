//! A block of bytes to records, as RFC 4180 writes them.
//!
//! Why not the `csv` crate: it reads to the end of the file when a quote is not closed, accepts text after a closing quote,
//! and does not know a record's line after a blank line. Here each of the first two is an error with its place. A test reads
//! what that crate writes.
//!
//! A block is one text, so that UTF-8 is checked once and not for each cell, and cells are slices of it.

use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr3_iter};
use serde::{Deserialize, Serialize};
use tributary_core::{Error, TableSchema};

use crate::block::{Block, MAX_RECORD_BYTES};

/// What `"` means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quoting {
    /// As in RFC 4180: `"` around a value, `""` for a quote within it; anything else is an error.
    #[default]
    Rfc4180,
    /// An ordinary character.
    None,
}

/// How files write records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    delimiter: u8,
    quoting: Quoting,
}

impl Dialect {
    /// `delimiter` separates the values of a record. `InvalidInput` unless it is ASCII and has no other meaning.
    pub fn new(delimiter: u8, quoting: Quoting) -> Result<Self, Error> {
        let quote = quoting == Quoting::Rfc4180 && delimiter == b'"';
        if quote || matches!(delimiter, b'\n' | b'\r') || !delimiter.is_ascii() {
            let shown = (delimiter as char).escape_default();
            return Err(Error::invalid(format!(
                "delimiter '{shown}', expected one ASCII character that is neither a quote nor the end of a line"
            )));
        }
        Ok(Self { delimiter, quoting })
    }

    /// The character between the values of a record.
    pub fn delimiter(self) -> u8 {
        self.delimiter
    }

    /// What `"` means.
    pub fn quoting(self) -> Quoting {
        self.quoting
    }
}

/// Why the records after this place cannot be separated.
#[derive(Debug)]
pub struct Fault {
    /// Line of the file, if the block's line was known.
    pub line: u64,
    /// Position of the value within the record, from 0.
    pub field: Option<usize>,
    /// What is wrong, and how to fix it.
    pub reason: String,
}

/// The records of one block, one at a time; blank lines are no records.
#[derive(Debug)]
pub struct Records {
    dialect: Dialect,
    /// The block, followed by the unescaped values of the current record.
    text: String,
    /// Bytes of the block.
    block: usize,
    /// Where the block begins in its file.
    byte: u64,
    whole: bool,
    /// Positions of bytes that are not UTF-8 and were replaced, in ascending order.
    strange: Vec<usize>,
    /// Where the next record begins: in the block, and its line.
    at: usize,
    next_line: u64,
    /// Where the current record begins.
    begin: usize,
    line: u64,
    /// Its values, in `text`; within u32 because blocks are bounded.
    fields: Vec<Range<u32>>,
    /// Values that every record has after its own, and how many it has of its own.
    appended: (usize, Vec<String>),
}

impl Records {
    /// Without records until a block is loaded.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            text: String::new(),
            block: 0,
            byte: 0,
            whole: true,
            strange: Vec::new(),
            at: 0,
            next_line: 0,
            begin: 0,
            line: 0,
            fields: Vec::new(),
            appended: (0, Vec::new()),
        }
    }

    /// Every record has these values after the `width` of its own, until others are appended: those of the folders that the file is in.
    pub fn append(&mut self, width: usize, values: Vec<String>) {
        self.appended = (width, values);
    }

    /// Returns the memory of the last block for reuse.
    pub fn unload(&mut self) -> Vec<u8> {
        (self.block, self.at) = (0, 0);
        self.fields.clear();
        std::mem::take(&mut self.text).into_bytes()
    }

    /// Loads the next block.
    pub fn load(&mut self, block: Block) {
        (self.text, self.strange) = text_of(block.bytes, self.dialect);
        (self.block, self.byte, self.whole) = (self.text.len(), block.byte, block.whole);
        (self.at, self.begin) = (0, 0);
        (self.next_line, self.line) = (block.line, block.line);
        self.fields.clear();
    }

    /// Goes to the next record; false at the end of the block.
    #[inline]
    pub fn advance(&mut self) -> Result<bool, Fault> {
        self.text.truncate(self.block);
        while self.at < self.block {
            (self.begin, self.line) = (self.at, self.next_line);
            self.read()?;
            if !self.fields.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Number of values in the current record; all values beyond the widest table count as one.
    #[inline]
    pub fn width(&self) -> usize {
        self.fields.len()
    }

    /// A value of the current record, without quotes; after its own those that were appended; empty if the record has no such value.
    #[inline]
    pub fn get(&self, field: usize) -> &str {
        let Some(span) = self.fields.get(field) else { return self.appended(field) };
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    #[cold]
    fn appended(&self, field: usize) -> &str {
        let (width, values) = &self.appended;
        field.checked_sub(*width).and_then(|i| values.get(i)).map_or("", String::as_str)
    }

    /// Line on which the current record begins.
    #[inline]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Line on which the next one begins.
    pub fn next_line(&self) -> u64 {
        self.next_line
    }

    /// Bytes of the file that the current record takes, with the end of its line.
    #[inline]
    pub fn span(&self) -> Range<u64> {
        self.byte + self.begin as u64..self.byte + self.at as u64
    }

    /// The first value of the current record with bytes that are not UTF-8, if any.
    #[inline]
    pub fn not_text(&self) -> Option<usize> {
        let first = *self.strange.get(self.strange.partition_point(|byte| *byte < self.begin))?;
        if first >= self.at {
            return None;
        }
        let in_block = |field: &Range<u32>| field.end as usize > first && field.end as usize <= self.block;
        Some(match self.fields.iter().position(in_block) {
            // within the value before it, which is a copy because of its quotes
            Some(i) if self.fields[i].start as usize > first => i.saturating_sub(1),
            Some(i) => i,
            None => self.fields.len().saturating_sub(1),
        })
    }

    /// Reads the record at `at`; one without fields is a blank line.
    fn read(&mut self) -> Result<(), Fault> {
        self.fields.clear();
        let delimiter = self.dialect.delimiter;
        let quote = if self.dialect.quoting == Quoting::Rfc4180 { b'"' } else { delimiter };
        let rest = &self.text.as_bytes()[self.at..self.block];
        let mut begin = 0;
        let mut end = None;
        for i in memchr3_iter(delimiter, b'\n', quote, rest) {
            let byte = rest[i];
            if byte == delimiter {
                if self.fields.len() < TableSchema::MAX_FIELDS {
                    self.fields.push((self.at + begin) as u32..(self.at + i) as u32);
                }
                begin = i + 1;
            } else if byte == b'\n' {
                end = Some(i);
                break;
            } else {
                return self.read_quoted();
            }
        }
        let bytes = end.map_or(rest.len(), |end| end + 1);
        let end = end.unwrap_or(rest.len());
        let carriage = end > begin && rest[end - 1] == b'\r';
        let end = end - usize::from(carriage);
        if end > begin || !self.fields.is_empty() {
            self.fields.push((self.at + begin) as u32..(self.at + end) as u32);
        }
        self.done(bytes, 1)
    }

    fn done(&mut self, bytes: usize, lines: u64) -> Result<(), Fault> {
        self.at += bytes;
        self.next_line += lines;
        if self.at == self.block && !self.whole {
            return Err(self.too_long());
        }
        Ok(())
    }

    fn too_long(&self) -> Fault {
        let reason = format!(
            "the row that begins here is longer than {MAX_RECORD_BYTES} bytes; if a quote is not closed, close it or \
             turn quoting off (--no-quotes)"
        );
        Fault { line: self.line, field: None, reason }
    }

    /// The same where a quote occurs: value by value, and perhaps over several lines.
    fn read_quoted(&mut self) -> Result<(), Fault> {
        self.fields.clear();
        let (mut at, mut lines) = (self.at, 1);
        loop {
            let quoted = (self.text.as_bytes().get(at) == Some(&b'"') && at < self.block)
                .then(|| self.quoted_value(at + 1, &mut lines))
                .transpose()?;
            let rest_at = quoted.as_ref().map_or(at, |(_, end)| *end);
            let rest = &self.text.as_bytes()[rest_at..self.block];
            let found = memchr::memchr2(self.dialect.delimiter, b'\n', rest);
            let n = found.unwrap_or(rest.len());
            let last = rest.get(n) != Some(&self.dialect.delimiter);
            let value = &rest[..n];
            let value = if last { value.strip_suffix(b"\r").unwrap_or(value) } else { value };
            if quoted.is_some() && !value.is_empty() {
                return self.fault(lines, "text after the closing quote; a quote within a value is doubled");
            }
            if memchr(b'"', value).is_some() {
                return self.fault(lines, "a quote within a value that does not begin with one");
            }
            let value = quoted.map_or(rest_at as u32..(rest_at + value.len()) as u32, |(value, _)| value);
            if self.fields.len() <= TableSchema::MAX_FIELDS {
                self.fields.push(value);
            }
            at = rest_at + n + usize::from(found.is_some());
            if last {
                return self.done(at - self.at, lines);
            }
        }
    }

    /// The value after an opening quote, and where the text after its closing quote begins.
    fn quoted_value(&mut self, begin: usize, lines: &mut u64) -> Result<(Range<u32>, usize), Fault> {
        let opened = *lines;
        // a value with doubled quotes differs from the text of the block
        let mut copied = None;
        let mut at = begin;
        loop {
            let block = &self.text.as_bytes()[..self.block];
            let Some(quote) = memchr(b'"', &block[at..]).map(|n| at + n) else {
                return if self.whole {
                    self.fault(opened, "a quote that is never closed")
                } else {
                    Err(self.too_long())
                };
            };
            *lines += memchr_iter(b'\n', &block[at..quote]).count() as u64;
            if block.get(quote + 1) == Some(&b'"') {
                copied.get_or_insert(self.text.len());
                self.text.extend_from_within(at..=quote);
                at = quote + 2;
                continue;
            }
            let value = match copied {
                None => begin..quote,
                Some(copy) => {
                    self.text.extend_from_within(at..quote);
                    copy..self.text.len()
                }
            };
            return Ok((value.start as u32..value.end as u32, quote + 1));
        }
    }

    fn fault<T>(&self, lines: u64, reason: &str) -> Result<T, Fault> {
        Err(Fault {
            line: self.line + lines - 1,
            field: Some(self.fields.len()),
            reason: format!(
                "{reason}; if quotes have no meaning in this file, turn quoting off (--no-quotes)"
            ),
        })
    }
}

/// The bytes as text, and where they are not UTF-8: such bytes are replaced by a character that is no separator.
fn text_of(bytes: Vec<u8>, dialect: Dialect) -> (String, Vec<usize>) {
    let (mut bytes, mut strange) = match String::from_utf8(bytes) {
        Ok(text) => return (text, Vec::new()),
        Err(error) => (error.into_bytes(), Vec::new()),
    };
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        at += chunk.valid().len();
        strange.extend(at..at + chunk.invalid().len());
        at += chunk.invalid().len();
    }
    let letter = if dialect.delimiter == b'?' { b'!' } else { b'?' };
    for byte in &strange {
        bytes[*byte] = letter;
    }
    (String::from_utf8(bytes).unwrap_or_default(), strange)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(text: &[u8]) -> Block {
        Block { bytes: text.to_vec(), byte: 0, line: 1, whole: true }
    }

    fn read(text: &[u8], quoting: Quoting) -> Result<Vec<(u64, Vec<String>)>, String> {
        let mut records = Records::new(Dialect::new(b',', quoting).unwrap());
        records.load(block(text));
        let mut found = Vec::new();
        let mut next = || {
            let more = records.advance()?;
            if more {
                if let Some(field) = records.not_text() {
                    return Err(Fault {
                        line: records.line(),
                        field: Some(field),
                        reason: "not text".into(),
                    });
                }
                let fields = (0..records.width()).map(|i| records.get(i).to_owned()).collect();
                found.push((records.line(), fields));
            }
            Ok(more)
        };
        loop {
            match next() {
                Ok(true) => {}
                Ok(false) => return Ok(found),
                Err(Fault { line, field, reason }) => return Err(format!("{line}/{field:?}: {reason}")),
            }
        }
    }

    fn check(text: &str, expected: &[(u64, &[&str])]) {
        let expected: Vec<(u64, Vec<String>)> = expected
            .iter()
            .map(|(line, fields)| (*line, fields.iter().map(|f| f.to_string()).collect()))
            .collect();
        assert_eq!(read(text.as_bytes(), Quoting::Rfc4180), Ok(expected), "{text:?}");
    }

    #[test]
    fn records_are_read_with_their_lines() {
        check("a,b\n1,2\n", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("a,b\r\n1,2", &[(1, &["a", "b"]), (2, &["1", "2"])]);
        check("\n\r\na,\n\n,\n\n", &[(3, &["a", ""]), (5, &["", ""])]);
        check("\"a\",\"b,\"\"c\"\"\"\r\nd\n", &[(1, &["a", "b,\"c\""]), (2, &["d"])]);
        check(
            "\"a\nb\",\"\"\nc,d\n\"e\r\n\",f",
            &[(1, &["a\nb", ""]), (3, &["c", "d"]), (4, &["e\r\n", "f"])],
        );
        check("", &[]);
        check("\"\"", &[(1, &[""])]);
    }

    #[test]
    fn without_quoting_a_quote_is_an_ordinary_character() {
        let found = read(b"5\" pipe,\"x\n", Quoting::None).unwrap();
        assert_eq!(found, [(1, vec!["5\" pipe".to_owned(), "\"x".to_owned()])]);
    }

    #[test]
    fn a_misplaced_quote_is_an_error_with_its_place() {
        for (text, place) in [
            ("a,b\n1,\"2\n3,4\n", "2/Some(1): a quote that is never closed"),
            ("a,b\n\"1\n2\",\"3\n", "3/Some(1): a quote that is never closed"),
            ("a\n\"1\"2\n", "2/Some(0): text after the closing quote"),
            ("a\n\"1\n\" \n", "3/Some(0): text after the closing quote"),
            ("a,b\n1,5\" pipe\n", "2/Some(1): a quote within a value"),
            ("a,b\n1, \"x\"\n", "2/Some(1): a quote within a value"),
        ] {
            let error = read(text.as_bytes(), Quoting::Rfc4180).unwrap_err();
            assert!(error.starts_with(place), "{text:?}: {error}");
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_an_error_with_its_place() {
        for text in
            [&b"a,b\nx,\xFF\n"[..], b"a,b\n\"x\",\"\xFF\"\n", b"a,b\nx,\"\"\"\xFF\"\n", b"a,b\nx,\xE2\x82"]
        {
            assert_eq!(read(text, Quoting::Rfc4180).unwrap_err(), "2/Some(1): not text", "{text:?}");
        }
        // other rows of the block are not affected
        assert_eq!(read(b"a,\xC3\xA9\n\xFF", Quoting::Rfc4180).unwrap_err(), "2/Some(0): not text");
    }

    #[test]
    fn a_record_too_long_or_too_wide_is_not_taken_for_another() {
        for text in ["id\nxxx", "id\n\"xxx", "id\n\"x\"\"", "id\n\"x\",y"] {
            let mut records = Records::new(Dialect::new(b',', Quoting::Rfc4180).unwrap());
            records.load(Block { whole: false, ..block(text.as_bytes()) });
            assert!(records.advance().unwrap());
            let Err(Fault { line: 2, reason, .. }) = records.advance() else { panic!("it was read") };
            assert!(reason.contains("longer than"), "{reason}");
        }
        for wide in [",".repeat(TableSchema::MAX_FIELDS + 10), "\"\",".repeat(TableSchema::MAX_FIELDS + 10)] {
            let found = read(wide.as_bytes(), Quoting::Rfc4180).unwrap();
            assert_eq!(found[0].1.len(), TableSchema::MAX_FIELDS + 1);
        }
    }

    #[test]
    fn a_record_knows_its_bytes() {
        let mut records = Records::new(Dialect::new(b',', Quoting::Rfc4180).unwrap());
        records.load(Block { byte: 100, ..block(b"a,b\r\n\n\"c\"\"\",d\ne") });
        let mut spans = Vec::new();
        while records.advance().unwrap() {
            spans.push(records.span());
        }
        assert_eq!(spans, [100..105, 106..114, 114..115]);
    }

    proptest! {
        #[test]
        fn what_another_writer_wrote_is_read_back(
            rows in proptest::collection::vec(proptest::collection::vec("[a\",\n\r é]{0,6}", 3), 0..8),
            crlf in any::<bool>(),
        ) {
            let end = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
            let mut writer = csv::WriterBuilder::new().terminator(end).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = writer.into_inner().unwrap();
            let found = read(&text, Quoting::Rfc4180).unwrap();
            let lines: Vec<u64> = found.iter().map(|(line, _)| *line).collect();
            let found: Vec<Vec<String>> = found.into_iter().map(|(_, fields)| fields).collect();
            prop_assert_eq!(&found, &rows);
            let mut line = 1;
            for (row, found) in rows.iter().zip(lines) {
                prop_assert_eq!(found, line);
                line += 1 + row.concat().matches('\n').count() as u64;
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(
            proptest::sample::select(b"a,\"\n\r\xFF ".to_vec()), 0..40)) {
            let strict = read(&text, Quoting::Rfc4180);
            let loose = read(&text, Quoting::None);
            if !text.contains(&b'"') {
                prop_assert_eq!(strict, loose);
            }
        }
    }
}
