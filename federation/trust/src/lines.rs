//! The form that cards and files of keys have: lines in a fixed order, each with its name, and blocks of base64.
//!
//! Strict, because a card is what a person compares and a machine believes: nothing may stand between the lines that the person
//! does not see. Only what mail programs do to a text is forgiven: ends of lines, empty lines, spaces at the end of a line.

use data_encoding::BASE64;
use tributary_core::{Error, ErrorKind, Result, Shown};
use zeroize::Zeroizing;

/// Characters of a line of base64 (RFC 7468, section 2).
const PEM_LINE: usize = 64;

/// The lines of a text that are not empty.
pub(crate) struct Lines<'a> {
    file: &'a str,
    secret: bool,
    lines: Vec<(usize, &'a str)>,
    next: usize,
}

impl<'a> Lines<'a> {
    /// Of a text of at most `most` bytes that messages call `file`.
    pub(crate) fn new(file: &'a str, bytes: &'a [u8], most: usize) -> Result<Self> {
        let corrupt = |why: String| Error::new(ErrorKind::Corrupt, format!("{file}: {why}"));
        if bytes.len() > most {
            return Err(corrupt(format!("expected at most {most} bytes, got {}", bytes.len())));
        }
        let text =
            std::str::from_utf8(bytes).map_err(|_| corrupt("expected text, got other bytes".into()))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = (1..).zip(text.lines().map(str::trim_end)).filter(|(_, line)| !line.is_empty()).collect();
        Ok(Self { file, secret: false, lines, next: 0 })
    }

    /// Errors repeat no line.
    pub(crate) fn hiding(mut self) -> Self {
        self.secret = true;
        self
    }

    /// An error at the line that was read last, or at the first.
    pub(crate) fn wrong(&self, why: impl AsRef<str>) -> Error {
        let at = self.lines.get(self.next.saturating_sub(1)).map_or(1, |(number, _)| *number);
        Error::new(ErrorKind::Corrupt, format!("{}:{at}: {}", self.file, why.as_ref()))
    }

    /// The first line, `<what>, version <number>`. `Unsupported` for another version.
    pub(crate) fn version(&mut self, what: &str, version: u32) -> Result<()> {
        let expected = format!("{what}, version {version}");
        let line = self.line(&expected)?;
        let other = line.strip_prefix(what).and_then(|rest| rest.strip_prefix(", version "));
        match other.and_then(|number| number.parse::<u32>().ok()) {
            Some(number) if number == version => Ok(()),
            Some(number) => {
                let text = format!(
                    "{}: version {number}, this build reads version {version}; use a newer build",
                    self.file
                );
                Err(Error::new(ErrorKind::Unsupported, text))
            }
            None => Err(self.unexpected(&expected, line)),
        }
    }

    /// What stands behind `<name>:` on the next line.
    pub(crate) fn field(&mut self, name: &str) -> Result<&'a str> {
        let expected = format!("{name}: …");
        let line = self.line(&expected)?;
        let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(':'));
        value.map(str::trim_start).ok_or_else(|| self.unexpected(&expected, line))
    }

    /// Whether the next line has this name.
    pub(crate) fn is_at(&self, name: &str) -> bool {
        let next = self.lines.get(self.next);
        next.is_some_and(|(_, line)| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))
    }

    /// A block between `-----BEGIN <label>-----` and `-----END <label>-----` of at most `most` bytes.
    pub(crate) fn block(&mut self, label: &str, most: usize) -> Result<Zeroizing<Vec<u8>>> {
        let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
        let line = self.line(&begin)?;
        if line != begin {
            return Err(self.unexpected(&begin, line));
        }
        let mut base64 = Zeroizing::new(String::with_capacity(most.div_ceil(3) * 4 + PEM_LINE));
        loop {
            let line = self.line(&end)?;
            if line == end {
                break;
            }
            if line.len() > PEM_LINE || base64.len() + line.len() > base64.capacity() {
                return Err(self.unexpected(&format!("{end} or a line of base64"), line));
            }
            base64.push_str(line);
        }
        let bytes = BASE64.decode(base64.as_bytes()).map(Zeroizing::new);
        bytes.map_err(|_| self.wrong(format!("the block before {end} is not base64")))
    }

    /// Nothing follows.
    pub(crate) fn end(mut self) -> Result<()> {
        if self.next == self.lines.len() {
            return Ok(());
        }
        let line = self.line("nothing more")?;
        Err(self.unexpected("nothing more", line))
    }

    fn line(&mut self, expected: &str) -> Result<&'a str> {
        let Some((_, line)) = self.lines.get(self.next) else {
            return Err(self.wrong(format!("the text ends where {expected:?} is expected")));
        };
        self.next += 1;
        Ok(line)
    }

    fn unexpected(&self, expected: &str, got: &str) -> Error {
        match self.secret {
            true => self.wrong(format!("expected {expected:?}, got another line")),
            false => self.wrong(format!("expected {expected:?}, got {:?}", Shown::new(got))),
        }
    }
}

/// Adds a block to a text.
pub(crate) fn add_block(to: &mut String, label: &str, bytes: &[u8]) {
    let base64 = Zeroizing::new(BASE64.encode(bytes));
    to.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, others) = rest.split_at(rest.len().min(PEM_LINE));
        to.push_str(line);
        to.push('\n');
        rest = others;
    }
    to.push_str(&format!("-----END {label}-----\n"));
}
