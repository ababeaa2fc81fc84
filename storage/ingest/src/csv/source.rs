//! Files to rows of known places: what is checked before anything is read, the names of the columns, and marks at which a
//! second reading can begin.
//!
//! Both passes must see the same bytes, so a file's size and time of change are kept and compared at every opening.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use tributary_core::{Error, ErrorKind, Result, ResultExt};
use tributary_document::quoted;

use crate::csv::records::{Dialect, Fault, Records};
use crate::options::{Header, Quoting, UploadOptions};

/// The files of an upload, with the names of their columns.
#[derive(Debug)]
pub(crate) struct Source {
    files: Vec<SourceFile>,
    dialect: Dialect,
    has_header: bool,
    names: Vec<String>,
}

#[derive(Debug)]
struct SourceFile {
    path: PathBuf,
    bytes: u64,
    changed: Option<SystemTime>,
}

/// Where a row is, for messages: file by position, line from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub file: usize,
    pub line: u64,
}

/// Where reading can begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// Number of the row, from 0 over all files.
    pub row: u64,
    pub place: Place,
    /// Of the file.
    pub byte: u64,
}

impl Source {
    /// Checks the files and reads the names of their columns.
    pub fn open(options: &UploadOptions) -> Result<Self> {
        let dialect = dialect(options)?;
        if options.files.is_empty() {
            return Err(Error::invalid("no file to upload"));
        }
        let files = options.files.iter().map(SourceFile::check).collect::<Result<_>>()?;
        let mut source =
            Self { files, dialect, has_header: options.header == Header::FirstLine, names: Vec::new() };
        source.names = match &options.header {
            Header::FirstLine => source.first_record()?,
            Header::Names(names) => names.clone(),
            Header::Numbered => (0..source.first_record()?.len()).map(|i| format!("x{i}")).collect(),
        };
        source.check_names()?;
        Ok(source)
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The files, for people: their names without folders.
    pub fn describe(&self) -> String {
        let name = |file: &SourceFile| file.path.file_name().map(|name| name.to_string_lossy().into_owned());
        let first = name(&self.files[0]).unwrap_or_default();
        match self.files.len() {
            1 => first,
            n => format!("{first} and {} more", n - 1),
        }
    }

    /// The rows from a mark on, or all.
    pub fn rows(self: &Arc<Self>, from: Option<Mark>) -> Result<Rows> {
        let records = match &from {
            None => self.records(0)?,
            Some(mark) => {
                let mut file = self.files[mark.place.file].open()?;
                file.seek(SeekFrom::Start(mark.byte))?;
                Records::new(file, self.dialect, mark.byte, mark.place.line)
            }
        };
        let file = from.map_or(0, |mark| mark.place.file);
        let next = from.map_or(0, |mark| mark.row);
        Ok(Rows { source: self.clone(), file, records, next })
    }

    /// An error with its place; no value is ever part of it.
    pub fn fault(&self, place: Place, column: Option<usize>, reason: &str) -> Error {
        let column = column.map_or(String::new(), |i| match self.names.get(i) {
            Some(name) => format!("column {} ({}): ", i + 1, quoted(name)),
            None => format!("column {}: ", i + 1),
        });
        Error::invalid(format!("{}: {column}{reason}", self.locate(place)))
    }

    /// `guest.csv:12`.
    pub fn locate(&self, place: Place) -> String {
        format!("{}:{}", self.files[place.file].path.display(), place.line)
    }

    /// The records of a file behind its header.
    fn records(&self, file: usize) -> Result<Records<File>> {
        let mut records = Records::new(self.files[file].open()?, self.dialect, 0, 1);
        records.skip_byte_order_mark().map_err(|fault| self.of_fault(file, fault))?;
        if self.has_header {
            records.advance().map_err(|fault| self.of_fault(file, fault))?;
            self.check_header(file, &records)?;
        }
        Ok(records)
    }

    fn first_record(&self) -> Result<Vec<String>> {
        let mut records = Records::new(self.files[0].open()?, self.dialect, 0, 1);
        let fault = |fault| self.of_fault(0, fault);
        records.skip_byte_order_mark().map_err(fault)?;
        match records.advance().map_err(fault)? {
            true => Ok((0..records.len()).map(|i| records.get(i).to_owned()).collect()),
            false => Err(Error::invalid(format!("{} has no lines", self.files[0].path.display()))),
        }
    }

    fn check_names(&self) -> Result<()> {
        if self.names.is_empty() {
            return Err(Error::invalid("no names of columns; give one for each column of the file"));
        }
        let named = |i: usize| format!("column {} of {}", i + 1, self.files[0].path.display());
        for (i, name) in self.names.iter().enumerate() {
            if name.is_empty() {
                return Err(Error::invalid(format!("{} has no name; name it, or give all names", named(i))));
            }
            if let Some(first) = self.names[..i].iter().position(|other| other == name) {
                let name = quoted(name);
                return Err(Error::invalid(format!(
                    "{} is {name} like column {}; rename one",
                    named(i),
                    first + 1
                )));
            }
        }
        Ok(())
    }

    fn check_header<R: Read>(&self, file: usize, records: &Records<R>) -> Result<()> {
        let place = Place { file, line: records.line() };
        for i in 0..records.len().max(self.names.len()) {
            let expected = self.names.get(i).map(String::as_str);
            let got = (i < records.len()).then(|| records.get(i));
            if expected != got {
                let name = |name: Option<&str>| name.map_or("none".to_owned(), quoted);
                let reason = format!("column {} is {}, expected {}", i + 1, name(got), name(expected));
                return Err(self.fault(place, None, &reason));
            }
        }
        Ok(())
    }

    fn of_fault(&self, file: usize, fault: Fault) -> Error {
        match fault {
            Fault::Io(error) => Error::from(error).at(format!("read {}", self.files[file].path.display())),
            Fault::Text { line, field, reason } => self.fault(Place { file, line }, field, &reason),
        }
    }
}

fn dialect(options: &UploadOptions) -> Result<Dialect> {
    let delimiter = options.delimiter;
    let quote = options.quoting == Quoting::Rfc4180 && delimiter == b'"';
    if quote || matches!(delimiter, b'\n' | b'\r') || !delimiter.is_ascii() {
        let shown = (delimiter as char).escape_default();
        return Err(Error::invalid(format!(
            "delimiter '{shown}', expected one ASCII character that is neither a quote nor the end of a line"
        )));
    }
    Ok(Dialect { delimiter, quoting: options.quoting })
}

impl SourceFile {
    fn check(path: &PathBuf) -> Result<Self> {
        let shown = path.display();
        let about = fs::metadata(path).at(|| format!("open {shown}"))?;
        if about.is_dir() {
            return Err(Error::invalid(format!("{shown} is a folder, expected a file")));
        }
        if !about.is_file() {
            return Err(Error::invalid(format!(
                "{shown} is not a regular file; it is read twice, so copy it to one"
            )));
        }
        if about.len() == 0 {
            return Err(Error::invalid(format!("{shown} is empty")));
        }
        let file = Self { path: path.clone(), bytes: about.len(), changed: about.modified().ok() };
        let mut first = Vec::new();
        file.open()?.take(2).read_to_end(&mut first)?;
        match first[..] {
            [0x1F, 0x8B] => Err(Error::invalid(format!("{shown} is compressed (gzip); decompress it first"))),
            [0xFF, 0xFE] | [0xFE, 0xFF] => {
                Err(Error::invalid(format!("{shown} is UTF-16; save it as UTF-8")))
            }
            _ => Ok(file),
        }
    }

    fn open(&self) -> Result<File> {
        let open = || -> Result<(File, fs::Metadata)> {
            let file = File::open(&self.path)?;
            let about = file.metadata()?;
            Ok((file, about))
        };
        let (file, about) = open().at(|| format!("open {}", self.path.display()))?;
        if about.len() != self.bytes || about.modified().ok() != self.changed {
            return Err(self.changed());
        }
        Ok(file)
    }

    fn changed(&self) -> Error {
        let path = self.path.display();
        Error::new(ErrorKind::Conflict, format!("{path} changed while it was read; upload it again"))
    }
}

/// The rows of all files, one at a time, each with as many values as there are columns.
#[derive(Debug)]
pub(crate) struct Rows {
    source: Arc<Source>,
    file: usize,
    records: Records<File>,
    next: u64,
}

impl Rows {
    /// Goes to the next row; false after the last.
    #[inline]
    pub fn advance(&mut self) -> Result<bool> {
        while !self.records.advance().map_err(|fault| self.source.of_fault(self.file, fault))? {
            if self.file + 1 == self.source.files.len() {
                return Ok(false);
            }
            self.file += 1;
            self.records = self.source.records(self.file)?;
        }
        let (expected, got) = (self.source.names.len(), self.records.len());
        if expected != got {
            let reason = format!("{got} values, expected {expected}");
            return Err(self.fault(None, &reason));
        }
        self.next += 1;
        Ok(true)
    }

    /// A value of the current row.
    #[inline]
    pub fn get(&self, column: usize) -> &str {
        self.records.get(column)
    }

    /// The current row's number, from 0 over all files.
    pub fn number(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Bytes of all files up to the end of the current row.
    pub fn bytes(&self) -> u64 {
        let before: u64 = self.source.files[..self.file].iter().map(|file| file.bytes).sum();
        before + self.records.end()
    }

    /// Where the current row is.
    pub fn place(&self) -> Place {
        Place { file: self.file, line: self.records.line() }
    }

    /// A mark at the current row.
    pub fn mark(&self) -> Mark {
        Mark { row: self.number(), place: self.place(), byte: self.records.byte() }
    }

    /// The error for files that have fewer rows than they had.
    pub fn changed(&self) -> Error {
        self.source.files[self.file].changed()
    }

    /// An error about the current row.
    pub fn fault(&self, column: Option<usize>, reason: &str) -> Error {
        self.source.fault(self.place(), column, reason)
    }
}
