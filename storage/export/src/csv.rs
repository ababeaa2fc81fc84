//! Batches as CSV.

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use tributary_core::{Error, Result, TableSchema};
use tributary_text::Column;

/// How CSV is written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CsvOptions {
    /// The character between the values of a row: `,`.
    pub delimiter: u8,
    /// Whether the first line has the names of the columns.
    pub header: bool,
    /// The text of a missing value: empty.
    pub null: String,
    /// How texts that a spreadsheet treats as formulas are written: unchanged.
    pub formulas: Formulas,
}

/// Texts that begin with `=`, `+`, `-`, `@`, a tab or a carriage return: a spreadsheet that opens the file runs them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Formulas {
    /// They are written unchanged, and read back the same.
    #[default]
    Kept,
    /// A `'` is written before them, also before names of columns. Numbers never change.
    Escaped,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: b',', header: true, null: String::new(), formulas: Formulas::Kept }
    }
}

/// Encodes batches of one table.
#[derive(Debug)]
pub(crate) struct Encoder {
    delimiter: u8,
    header: bool,
    null: Vec<u8>,
    formulas: Formulas,
    /// Bytes that require quotes around a value.
    special: [bool; 256],
    schema: TableSchema,
}

impl Encoder {
    /// `InvalidInput` for a column that CSV cannot hold, and for invalid options.
    pub fn new(options: &CsvOptions, schema: &TableSchema) -> Result<Self> {
        let delimiter = options.delimiter;
        if !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\r' | b'\n') {
            let shown = (delimiter as char).escape_default();
            return Err(Error::invalid(format!(
                "delimiter '{shown}', expected one ASCII character that is neither a quote nor the end of a line"
            )));
        }
        let mut special = [false; 256];
        for byte in [delimiter, b'"', b'\r', b'\n'] {
            special[usize::from(byte)] = true;
        }
        if options.null.bytes().any(|byte| special[usize::from(byte)]) {
            let text =
                "the text for a missing value has a delimiter, a quote or the end of a line; choose another";
            return Err(Error::invalid(text));
        }
        for field in schema.arrow().fields() {
            if let DataType::List(_) = field.data_type() {
                return Err(Error::invalid(format!(
                    "column {:?} has lists, which CSV cannot hold; write Parquet or Arrow",
                    field.name()
                )));
            }
        }
        let null = options.null.clone().into_bytes();
        let (header, formulas) = (options.header, options.formulas);
        Ok(Self { delimiter, header, null, formulas, special, schema: schema.clone() })
    }

    /// The header line, or nothing.
    pub fn header(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.header {
            for (i, field) in self.schema.arrow().fields().iter().enumerate() {
                if i > 0 {
                    out.push(self.delimiter);
                }
                self.quoted(&mut out, field.name());
            }
            out.push(b'\n');
        }
        out
    }

    /// The rows of a batch. `InvalidInput`, by column, for a text that would be read as a missing value.
    pub fn rows(&self, batch: &RecordBatch) -> Result<Vec<u8>> {
        let columns = batch.columns().iter().map(Column::of).collect::<Result<Vec<_>>>()?;
        let mut out = Vec::with_capacity(batch.num_rows() * columns.len() * 12);
        for row in 0..batch.num_rows() {
            for (i, column) in columns.iter().enumerate() {
                if i > 0 {
                    out.push(self.delimiter);
                }
                if column.is_missing(row) {
                    out.extend_from_slice(&self.null);
                } else if let Some(value) = column.text(row) {
                    if value.as_bytes() == self.null {
                        return Err(self.mistaken(i));
                    }
                    self.quoted(&mut out, value);
                } else {
                    column.write(row, &mut out);
                }
            }
            out.push(b'\n');
        }
        Ok(out)
    }

    #[inline]
    fn quoted(&self, out: &mut Vec<u8>, value: &str) {
        if self.formulas == Formulas::Escaped && value.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            return self.quoted_as_is(out, &format!("'{value}"));
        }
        self.quoted_as_is(out, value);
    }

    #[inline]
    fn quoted_as_is(&self, out: &mut Vec<u8>, value: &str) {
        if !value.bytes().any(|byte| self.special[usize::from(byte)]) {
            out.extend_from_slice(value.as_bytes());
            return;
        }
        out.push(b'"');
        for byte in value.bytes() {
            if byte == b'"' {
                out.push(b'"');
            }
            out.push(byte);
        }
        out.push(b'"');
    }

    fn mistaken(&self, column: usize) -> Error {
        let field = self.schema.arrow().field(column);
        let what = if self.null.is_empty() {
            "an empty text".to_owned()
        } else {
            "the same text as a value".to_owned()
        };
        Error::invalid(format!(
            "column {:?} has {what}, which would be read as a missing value; choose another text for missing values (--null)",
            field.name()
        ))
    }
}
