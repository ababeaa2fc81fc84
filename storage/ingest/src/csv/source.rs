//! From files to rows with known places: the names of the columns, and marks at which a second reading can begin.
//!
//! Both passes must read the same bytes, so every opening checks that the file has not changed.

use std::ops::Range;
use std::sync::Arc;

use tributary_core::media::{Source, value_of};
use tributary_core::{Error, Result};
use tributary_csv::block::{self, Block, CHUNK_BYTES, Chunks, Turns};
use tributary_csv::{Dialect, Fault, NOT_TEXT, Records};
use tributary_document::quoted;

use crate::columns::Hints;
use crate::input::Input;
use crate::options::{Header, UploadOptions};

/// The byte order mark that some programs put before UTF-8 text.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The name that pandas gives a first column without a name, which is most often an index that pandas wrote.
const UNNAMED: &str = "Unnamed: 0";
/// Bytes read of each file to recognise its line ends.
const SNIFFED_BYTES: u64 = 64 << 10;

/// The files of an upload, with the names of their columns.
#[derive(Debug)]
pub(crate) struct CsvFiles {
    inputs: Vec<Input>,
    /// For each file: byte and line of its first row.
    starts: Vec<(u64, u64)>,
    dialect: Dialect,
    /// Of the columns of the files, and of the keys of their folders.
    names: Vec<String>,
    keys: Vec<String>,
    /// For each file: the values of these keys.
    values: Vec<Vec<String>>,
}

/// Where a row is, for messages: file by position, line from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub file: usize,
    pub line: u64,
}

/// Consecutive rows at whose beginning reading can start.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// Number of the first row, from 0 over all files.
    pub row: u64,
    pub place: Place,
    /// Its bytes in the file.
    pub bytes: Range<u64>,
}

impl CsvFiles {
    /// Reads the names of the columns; all files must have the same.
    pub fn open(options: &UploadOptions, inputs: Vec<Input>, keys: Vec<String>) -> Result<Self> {
        let dialect = Dialect::new(options.delimiter, options.quoting)?;
        let (starts, names, values) = (Vec::new(), Vec::new(), Vec::new());
        let mut source = Self { inputs, starts, dialect, names, keys: Vec::new(), values };
        if let Header::Names(names) = &options.header {
            source.names.clone_from(names);
            source.check_names()?;
        }
        for file in 0..source.inputs.len() {
            let start = source.read_start(file, &options.header)?;
            source.starts.push(start);
        }
        source.append(keys);
        Ok(source)
    }

    /// Keys of folders become columns after those of the files; a column of that name that the files have comes first.
    fn append(&mut self, keys: Vec<String>) {
        self.keys = keys.into_iter().filter(|key| !self.names.contains(key)).collect();
        let value = |input: &Input, key: &String| input.path().and_then(|path| value_of(path, key)).flatten();
        let values = |input| self.keys.iter().map(|key| value(input, key).unwrap_or_default()).collect();
        self.values = self.inputs.iter().map(values).collect();
        self.names.extend_from_slice(&self.keys);
    }

    /// Looks at the first line of a file. Returns byte and line of its first row.
    fn read_start(&mut self, file: usize, header: &Header) -> Result<(u64, u64)> {
        let open = self.inputs[file].open()?;
        let mut first = vec![0; open.bytes().min(SNIFFED_BYTES) as usize];
        open.read_at(0, &mut first)?;
        self.check_line_ends(file, &first)?;
        let begin = if first.starts_with(BYTE_ORDER_MARK) { 3 } else { 0 };
        if matches!(header, Header::Names(_)) {
            return Ok((begin, 1));
        }
        let mut records = Records::new(self.dialect);
        let chunks = Chunks::new([(begin, open.bytes())].into_iter(), CHUNK_BYTES);
        if chunks.count() > 0 {
            let chunk = chunks.get(0);
            let block = block::block(&*open, &chunk, 0, &Turns::new(self.dialect.quoting()), Vec::new())?;
            if let Some(block) = block {
                records.load(Block { line: 1, ..block });
            }
        }
        if !records.advance().map_err(|fault| self.of_fault(file, fault))? {
            return Err(Error::invalid(format!("{} has no lines", self.inputs[file].name())));
        }
        if let Some(column) = records.not_text() {
            return Err(self.fault(Place { file, line: records.line() }, Some(column), NOT_TEXT));
        }
        if file == 0 {
            self.names = match header {
                Header::Numbered => (0..records.width()).map(|i| format!("x{i}")).collect(),
                _ => (0..records.width()).map(|i| records.get(i).to_owned()).collect(),
            };
            if let [first, _, ..] = &mut self.names[..]
                && first.is_empty()
            {
                UNNAMED.clone_into(first);
            }
            self.check_names()?;
        }
        let start = (records.span().end, records.next_line());
        if *header != Header::Numbered {
            self.check_header(file, &records)?;
        }
        if records.width() == 1 {
            self.check_delimiter(file, &mut records)?;
        }
        Ok(if *header == Header::Numbered { (begin, 1) } else { start })
    }

    /// `InvalidInput` for lines that end with CR alone, as on the first Macs: the whole file would be one line.
    fn check_line_ends(&self, file: usize, first: &[u8]) -> Result<()> {
        if memchr::memchr(b'\n', first).is_some() || memchr::memchr(b'\r', first).is_none() {
            return Ok(());
        }
        let name = self.inputs[file].name();
        Err(Error::invalid(format!(
            "{name}: its lines end with a carriage return (CR) alone, expected LF or CR LF; convert it: \
             tr '\\r' '\\n' < FILE | tributary data upload --file - …"
        )))
    }

    /// `InvalidInput` if the file has one column, and another delimiter occurs equally often in the first two lines.
    fn check_delimiter(&self, file: usize, records: &mut Records) -> Result<()> {
        let own = self.dialect.delimiter();
        let first = self.read(file, records.span())?;
        let second = match records.advance() {
            Ok(true) => self.read(file, records.span())?,
            _ => first.clone(),
        };
        let count = |line: &[u8], delimiter: u8| memchr::memchr_iter(delimiter, line).count();
        let is_other = |delimiter: &u8| {
            let found = count(&first, *delimiter);
            *delimiter != own && found > 0 && found == count(&second, *delimiter)
        };
        let Some(other) = b";\t|,".iter().copied().find(is_other) else { return Ok(()) };
        let shown = |delimiter: u8| match delimiter {
            b'\t' => "\\t".to_owned(),
            other => (other as char).to_string(),
        };
        let (own, other, name) = (shown(own), shown(other), self.inputs[file].name());
        Err(Error::invalid(format!(
            "{name} has one column with the delimiter '{own}', but its lines have '{other}'; is that the delimiter? \
             (--delimiter '{other}')"
        )))
    }

    /// What the files say about their columns.
    pub fn hints(&self) -> Hints {
        let mut hints = Hints::default();
        if self.names.first().is_some_and(|name| name == UNNAMED) {
            let why = "the first column, which has no name, as pandas writes its index";
            hints.id = Some((0, why.to_owned()));
            hints.notes.push(format!(
                "the first column has no name and is called {UNNAMED:?}; if it is pandas' index, name another as id (--id) and \
                 leave it out (--skip {UNNAMED:?})"
            ));
        }
        hints
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many values a record of the files has.
    pub fn width(&self) -> usize {
        self.names.len() - self.keys.len()
    }

    /// The keys of folders, whose values come after those of a record.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Tells records which file they are of next.
    pub fn append_to(&self, records: &mut Records, file: usize) {
        records.append(self.width(), self.values[file].clone());
    }

    /// How the files write records.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.inputs.iter().map(Input::bytes).sum()
    }

    /// The files.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Chunks of all files, for many threads.
    pub fn chunks(&self, chunk_bytes: u64) -> Chunks {
        let file = |(input, (byte, _)): (&Input, &(u64, u64))| (*byte, input.bytes());
        Chunks::new(self.inputs.iter().zip(&self.starts).map(file), chunk_bytes)
    }

    /// Byte and line of a file's first row.
    pub fn start(&self, file: usize) -> (u64, u64) {
        self.starts[file]
    }

    /// The files, for display: their names without folders.
    pub fn describe(&self) -> String {
        let name = self.inputs[0].name();
        let first = std::path::Path::new(name).file_name();
        let first = first.map_or(name.to_owned(), |name| name.to_string_lossy().into_owned());
        match self.inputs.len() {
            1 => first,
            n => format!("{first} and {} more", n - 1),
        }
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
        format!("{}:{}", self.inputs[place.file].name(), place.line)
    }

    /// Bytes of a file.
    pub fn read(&self, file: usize, bytes: Range<u64>) -> Result<Vec<u8>> {
        let mut read = vec![0; (bytes.end - bytes.start) as usize];
        self.inputs[file].open()?.read_at(bytes.start, &mut read)?;
        Ok(read)
    }

    /// An error for a violation of the rules of quotes.
    pub fn of_fault(&self, file: usize, fault: Fault) -> Error {
        self.fault(Place { file, line: fault.line }, fault.field, &fault.reason)
    }

    fn check_names(&self) -> Result<()> {
        if self.names.is_empty() {
            return Err(Error::invalid("no names of columns; give one for each column of the file"));
        }
        let named = |i: usize| format!("column {} of {}", i + 1, self.inputs[0].name());
        let mut known = std::collections::HashMap::new();
        for (i, name) in self.names.iter().enumerate() {
            if name.contains('\0') {
                let text = "has a name with NUL bytes: it is UTF-16, or no text; save it as UTF-8";
                return Err(Error::invalid(format!("{} {text}", named(i))));
            }
            if name.is_empty() {
                let is_last = i + 1 == self.names.len();
                let help = if is_last { " (does its line end with a delimiter?)" } else { "" };
                let text =
                    format!("{} has no name{help}; name it, or give all names (--no-header)", named(i));
                return Err(Error::invalid(text));
            }
            if let Some(first) = known.insert(name, i) {
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

    fn check_header(&self, file: usize, records: &Records) -> Result<()> {
        let place = Place { file, line: records.line() };
        for i in 0..records.width().max(self.names.len()) {
            let expected = self.names.get(i).map(String::as_str);
            let got = (i < records.width()).then(|| records.get(i));
            let got = if i == 0 && got == Some("") { Some(UNNAMED) } else { got };
            if expected != got {
                let name = |name: Option<&str>| name.map_or("none".to_owned(), quoted);
                let reason = format!("column {} is {}, expected {}", i + 1, name(got), name(expected));
                return Err(self.fault(place, None, &reason));
            }
        }
        Ok(())
    }
}

/// The rows from a mark on, one at a time, bad ones included.
#[derive(Debug)]
pub(crate) struct Rows {
    source: Arc<CsvFiles>,
    marks: Arc<[Mark]>,
    /// The next mark.
    mark: usize,
    open: Option<(usize, Arc<dyn Source>)>,
    records: Records,
    place: usize,
    next: u64,
    /// Bytes of the blocks before the current one.
    bytes: u64,
}

impl Rows {
    /// Rows from the beginning of a mark.
    pub fn from_mark(source: &Arc<CsvFiles>, marks: &Arc<[Mark]>, mark: usize) -> Self {
        let next = marks.get(mark).map_or(0, |mark| mark.row);
        let (source, marks, records) = (source.clone(), marks.clone(), Records::new(source.dialect));
        Self { source, marks, mark, open: None, records, place: 0, next, bytes: 0 }
    }

    /// Goes to the next row. An error if there is none, because the first pass found one.
    #[inline]
    pub fn advance(&mut self) -> Result<()> {
        // the first pass could read it, so the file has changed
        while !self.records.advance().map_err(|_| self.changed())? {
            self.next_block()?;
        }
        self.next += 1;
        Ok(())
    }

    fn next_block(&mut self) -> Result<()> {
        let Some(mark) = self.marks.get(self.mark) else { return Err(self.changed()) };
        if mark.row != self.next {
            return Err(self.changed());
        }
        let bytes = if self.open.is_some() { self.bytes() } else { 0 };
        let file = mark.place.file;
        self.place = file;
        let open = match self.open.take() {
            Some((known, open)) if known == file => open,
            _ => {
                let open = self.source.inputs[file].open()?;
                open.expect(std::slice::from_ref(&(mark.bytes.start..open.bytes())), 1);
                self.source.append_to(&mut self.records, file);
                open
            }
        };
        let memory = self.records.unload();
        self.records.load(block::known(&*open, mark.bytes.clone(), mark.place.line, memory)?);
        self.open = Some((file, open));
        self.bytes = bytes;
        self.mark += 1;
        Ok(())
    }

    /// The current row, as a record.
    #[inline]
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The current row's number, from 0 over all files.
    pub fn number(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Where the current row is.
    pub fn place(&self) -> Place {
        Place { file: self.place, line: self.records.line() }
    }

    /// The number that the next row would have.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Bytes from the mark where reading began to the end of the current row.
    pub fn bytes(&self) -> u64 {
        let begin = self.mark.checked_sub(1).map_or(0, |mark| self.marks[mark].bytes.start);
        self.bytes + self.records.span().end.saturating_sub(begin)
    }

    /// The error for files that have changed.
    pub fn changed(&self) -> Error {
        self.source.inputs[self.place].changed()
    }
}
