//! Bytes to records, as RFC 4180 writes them.
//!
//! Why not the `csv` crate: it reads on to the end of the file when a quote is not closed, takes text after a closing
//! quote as if it were meant, and does not know a record's line after a blank one. Here each is an error with its place, and
//! no record holds more than [`MAX_RECORD_BYTES`], so that a wrong quote cannot fill memory. A test reads what that crate writes.

use std::io::{self, Read};
use std::ops::Range;

use memchr::{memchr, memchr_iter};
use tributary_core::TableSchema;

use crate::options::Quoting;

/// Longest record accepted.
const MAX_RECORD_BYTES: usize = 16 << 20;
/// Bytes first asked of the file at once; the buffer grows with the longest record.
const BUFFER_BYTES: usize = 256 << 10;

/// How files write records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    pub delimiter: u8,
    pub quoting: Quoting,
}

/// What is wrong with a record.
#[derive(Debug)]
pub(crate) enum Fault {
    Io(io::Error),
    Text {
        line: u64,
        /// Position of the value within the record, from 0.
        field: Option<usize>,
        reason: String,
    },
}

/// The records of one file, one at a time; blank lines are none.
#[derive(Debug)]
pub(crate) struct Records<R> {
    input: R,
    dialect: Dialect,
    max_bytes: usize,
    /// Bytes read; those before `start` are done with.
    buffer: Vec<u8>,
    start: usize,
    at_end: bool,
    /// Where the next record begins: byte of the file, line from 1.
    byte: u64,
    line: u64,
    record: Record,
}

/// The current record.
#[derive(Debug, Default)]
struct Record {
    line: u64,
    byte: u64,
    text: String,
    /// Of `text`; within u32 because records are bounded.
    fields: Vec<Range<u32>>,
    /// Values without their quotes, while a record with quotes is read.
    unquoted: Vec<u8>,
}

/// How far reading a record came.
enum Step {
    /// It takes this many bytes of the buffer, and so many lines.
    Done { bytes: usize, lines: u64 },
    /// The buffer ends before it.
    More,
}

impl<R: Read> Records<R> {
    /// Reads `input`, whose first byte is that `byte` of the file and stands on `line`.
    pub fn new(input: R, dialect: Dialect, byte: u64, line: u64) -> Self {
        Self {
            input,
            dialect,
            max_bytes: MAX_RECORD_BYTES,
            buffer: Vec::new(),
            start: 0,
            at_end: false,
            byte,
            line,
            record: Record::default(),
        }
    }

    /// Steps over the mark that some programs put before UTF-8 text. To be called first.
    pub fn skip_byte_order_mark(&mut self) -> Result<(), Fault> {
        while self.buffer.len() < 3 && !self.at_end {
            self.fill()?;
        }
        if self.buffer.starts_with(b"\xEF\xBB\xBF") {
            self.take(3, 0);
        }
        Ok(())
    }

    /// Goes to the next record; false at the end.
    pub fn advance(&mut self) -> Result<bool, Fault> {
        loop {
            let window = &self.buffer[self.start..];
            if window.is_empty() && self.at_end {
                return Ok(false);
            }
            self.record.line = self.line;
            self.record.byte = self.byte;
            match self.record.read(window, self.at_end, self.dialect)? {
                Step::Done { bytes, lines } => {
                    self.take(bytes, lines);
                    if !self.record.fields.is_empty() {
                        return Ok(true);
                    }
                }
                Step::More if window.len() >= self.max_bytes => return Err(self.too_long()),
                Step::More => self.fill()?,
            }
        }
    }

    /// Number of values in the current record.
    pub fn len(&self) -> usize {
        self.record.fields.len()
    }

    /// A value of the current record, without quotes; empty where there is none.
    #[inline]
    pub fn get(&self, field: usize) -> &str {
        let span = self.record.fields.get(field);
        span.and_then(|span| self.record.text.get(span.start as usize..span.end as usize)).unwrap_or("")
    }

    /// Line on which the current record begins.
    pub fn line(&self) -> u64 {
        self.record.line
    }

    /// Byte of the file at which the current record begins.
    pub fn byte(&self) -> u64 {
        self.record.byte
    }

    /// Byte of the file behind the current record.
    pub fn end(&self) -> u64 {
        self.byte
    }

    fn take(&mut self, bytes: usize, lines: u64) {
        self.start += bytes;
        self.byte += bytes as u64;
        self.line += lines;
    }

    /// Reads on, after the bytes not yet done with; at least doubles what is there, so that a long record is
    /// looked at from its beginning only a few times.
    fn fill(&mut self) -> Result<(), Fault> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let wanted = self.buffer.len().max(BUFFER_BYTES) as u64;
        let read = self.input.by_ref().take(wanted).read_to_end(&mut self.buffer).map_err(Fault::Io)?;
        self.at_end = (read as u64) < wanted;
        Ok(())
    }

    fn too_long(&self) -> Fault {
        let reason = format!(
            "the row that begins here is longer than {} bytes; if a quote is not closed, close it or turn quoting off",
            self.max_bytes
        );
        Fault::Text { line: self.line, field: None, reason }
    }
}

impl Record {
    /// Reads the record at the beginning of `window`; one without fields is a blank line.
    fn read(&mut self, window: &[u8], at_end: bool, dialect: Dialect) -> Result<Step, Fault> {
        self.fields.clear();
        let (line, bytes) = match memchr(b'\n', window) {
            Some(end) => (&window[..end], end + 1),
            None if at_end => (window, window.len()),
            None => return Ok(Step::More),
        };
        if dialect.quoting == Quoting::Rfc4180 && memchr(b'"', line).is_some() {
            return self.read_quoted(window, at_end, dialect.delimiter);
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            let mut begin = 0;
            for end in memchr_iter(dialect.delimiter, line) {
                self.add(begin, end)?;
                begin = end + 1;
            }
            self.add(begin, line.len())?;
            self.text.clear();
            self.text.push_str(self.checked(line)?);
        }
        Ok(Step::Done { bytes, lines: 1 })
    }

    /// The same where a quote occurs: byte by byte, and perhaps over several lines.
    fn read_quoted(&mut self, window: &[u8], at_end: bool, delimiter: u8) -> Result<Step, Fault> {
        let mut unquoted = std::mem::take(&mut self.unquoted);
        unquoted.clear();
        let step = self.read_values(window, at_end, delimiter, &mut unquoted);
        if let Ok(Step::Done { .. }) = step {
            self.text.clear();
            self.text.push_str(self.checked(&unquoted)?);
        }
        self.unquoted = unquoted;
        step
    }

    fn read_values(
        &mut self,
        window: &[u8],
        at_end: bool,
        delimiter: u8,
        values: &mut Vec<u8>,
    ) -> Result<Step, Fault> {
        let (mut at, mut lines) = (0, 1);
        loop {
            let begin = values.len();
            let quoted = window.get(at) == Some(&b'"');
            if quoted {
                match self.quoted_value(&window[at + 1..], at_end, values, &mut lines)? {
                    Some(bytes) => at += 1 + bytes,
                    None => return Ok(Step::More),
                }
            }
            let rest = &window[at..];
            let Some(n) =
                rest.iter().position(|b| *b == delimiter || *b == b'\n').or(at_end.then_some(rest.len()))
            else {
                return Ok(Step::More);
            };
            let last = rest.get(n) != Some(&delimiter);
            let value = &rest[..n];
            let value = if last { value.strip_suffix(b"\r").unwrap_or(value) } else { value };
            if quoted && !value.is_empty() {
                return self.fault(lines, "text after the closing quote; a quote within a value is doubled");
            }
            if memchr(b'"', value).is_some() {
                return self.fault(lines, "a quote within a value that does not begin with one");
            }
            values.extend_from_slice(value);
            self.add(begin, values.len())?;
            at += (n + 1).min(rest.len());
            if last {
                return Ok(Step::Done { bytes: at, lines });
            }
        }
    }

    /// Appends the value behind an opening quote. Bytes up to and with the closing one, if that is there.
    fn quoted_value(
        &self,
        rest: &[u8],
        at_end: bool,
        values: &mut Vec<u8>,
        lines: &mut u64,
    ) -> Result<Option<usize>, Fault> {
        let opened = *lines;
        let mut at = 0;
        loop {
            let quote = memchr(b'"', &rest[at..]).map(|n| at + n);
            match quote.map(|quote| (quote, rest.get(quote + 1))) {
                Some((quote, Some(b'"'))) => {
                    values.extend_from_slice(&rest[at..=quote]);
                    *lines += memchr_iter(b'\n', &rest[at..quote]).count() as u64;
                    at = quote + 2;
                }
                Some((quote, next)) if next.is_some() || at_end => {
                    values.extend_from_slice(&rest[at..quote]);
                    *lines += memchr_iter(b'\n', &rest[at..quote]).count() as u64;
                    return Ok(Some(quote + 1));
                }
                _ if at_end => return self.fault(opened, "a quote that is never closed"),
                _ => return Ok(None),
            }
        }
    }

    fn add(&mut self, begin: usize, end: usize) -> Result<(), Fault> {
        if self.fields.len() > TableSchema::MAX_FIELDS {
            let reason = format!("more than {} values", TableSchema::MAX_FIELDS);
            return Err(Fault::Text { line: self.line, field: None, reason });
        }
        self.fields.push(begin as u32..end as u32);
        Ok(())
    }

    fn checked<'a>(&self, text: &'a [u8]) -> Result<&'a str, Fault> {
        std::str::from_utf8(text).map_err(|error| Fault::Text {
            line: self.line,
            field: self.fields.iter().position(|field| field.end as usize > error.valid_up_to()),
            reason: "text that is not UTF-8; save the file as UTF-8".into(),
        })
    }

    fn fault<T>(&self, lines: u64, reason: &str) -> Result<T, Fault> {
        Err(Fault::Text {
            line: self.line + lines - 1,
            field: Some(self.fields.len()),
            reason: format!("{reason}; if quotes have no meaning in this file, turn quoting off"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives a few bytes at a time, so that every record is cut somewhere.
    struct Dripping<'a>(&'a [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(to.len()).min(self.0.len());
            to[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn read(text: &[u8], quoting: Quoting) -> Result<Vec<(u64, Vec<String>)>, String> {
        let dialect = Dialect { delimiter: b',', quoting };
        let mut records = Records::new(Dripping(text, 3), dialect, 0, 1);
        let mut found = Vec::new();
        let mut next = |records: &mut Records<_>| {
            if found.is_empty() {
                records.skip_byte_order_mark()?;
            }
            let more = records.advance()?;
            if more {
                let fields = (0..records.len()).map(|i| records.get(i).to_owned()).collect();
                found.push((records.line(), fields));
            }
            Ok(more)
        };
        loop {
            match next(&mut records) {
                Ok(true) => {}
                Ok(false) => return Ok(found),
                Err(Fault::Io(error)) => return Err(error.to_string()),
                Err(Fault::Text { line, field, reason }) => {
                    return Err(format!("{line}/{field:?}: {reason}"));
                }
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
        check("\u{feff}a\nb", &[(1, &["a"]), (2, &["b"])]);
        check("\n\r\na,\n\n,\n\n", &[(3, &["a", ""]), (5, &["", ""])]);
        check("\"a\",\"b,\"\"c\"\"\"\r\nd\n", &[(1, &["a", "b,\"c\""]), (2, &["d"])]);
        check(
            "\"a\nb\",\"\"\nc,d\n\"e\r\n\",f",
            &[(1, &["a\nb", ""]), (3, &["c", "d"]), (4, &["e\r\n", "f"])],
        );
        check("\u{feff}\"a\"", &[(1, &["a"])]);
        check("", &[]);
        check("\"\"", &[(1, &[""])]);
    }

    #[test]
    fn without_quoting_a_quote_is_a_letter() {
        let found = read(b"5\" pipe,\"x\n", Quoting::None).unwrap();
        assert_eq!(found, [(1, vec!["5\" pipe".to_owned(), "\"x".to_owned()])]);
    }

    #[test]
    fn what_a_quote_may_not_do_is_an_error_with_its_place() {
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
        assert!(
            read(b"a,b\nx,\xFF\n", Quoting::Rfc4180).unwrap_err().starts_with("2/Some(1): text that is not")
        );
        assert!(
            read(b"a,b\n\"x\",\"\xFF\"\n", Quoting::Rfc4180).unwrap_err().starts_with("2/Some(1): text that")
        );
    }

    #[test]
    fn a_record_too_long_or_too_wide_is_refused() {
        let dialect = Dialect { delimiter: b',', quoting: Quoting::Rfc4180 };
        let endless = [b"id\n\"".to_vec(), vec![b'x'; BUFFER_BYTES + 5000]].concat();
        let mut records = Records::new(endless.as_slice(), dialect, 0, 1);
        records.max_bytes = 1000;
        assert!(records.advance().unwrap());
        let Err(Fault::Text { line: 2, reason, .. }) = records.advance() else { panic!("it was read") };
        assert!(reason.contains("longer than 1000 bytes"), "{reason}");

        let wide = ",".repeat(TableSchema::MAX_FIELDS + 10);
        assert!(read(wide.as_bytes(), Quoting::Rfc4180).unwrap_err().contains("more than 65536 values"));
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
