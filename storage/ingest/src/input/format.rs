//! The format of a file, by its first bytes; and the advice for unsupported formats.

use tributary_core::{Error, Result};

/// The format of a file, as far as its first bytes show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Parquet,
    Gzip,
    Zstd,
}

/// Known but unsupported formats: first bytes, name, and advice.
const OTHERS: [(&[u8], &str, &str); 20] = [
    (b"\xFF\xFE", "UTF-16", "save it as UTF-8"),
    (b"\xFE\xFF", "UTF-16", "save it as UTF-8"),
    (b"\0\0\xFE\xFF", "UTF-32", "save it as UTF-8"),
    (b"\xFD7zXZ\0", "compressed (xz)", "pipe it in: xz -dc FILE | tributary data upload --file - …"),
    (b"\x04\x22\x4D\x18", "compressed (lz4)", "pipe it in: lz4 -dc FILE | tributary data upload --file - …"),
    (b"7z\xBC\xAF\x27\x1C", "compressed (7z)", "unpack it first"),
    (b"\xD0\xCF\x11\xE0", "an Excel workbook", "save it as CSV"),
    (b"ARROW1\0\0", "Arrow or Feather", "write it as Parquet"),
    (b"FEA1\0", "Feather", "write it as Parquet"),
    (b"Obj\x01", "Avro", "write it as Parquet"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"\x89HDF", "HDF5", "write it as Parquet"),
    (b"{\"", "JSON", "write it as CSV or Parquet"),
    (b"[{", "JSON", "write it as CSV or Parquet"),
    (b"<?xml", "XML", "write it as CSV or Parquet"),
    (b"<!DOCTYPE", "HTML", "was a web page saved instead of the file?"),
    (b"<html", "HTML", "was a web page saved instead of the file?"),
    (b"Salted__", "encrypted", "decrypt it first"),
    (b"-----BEGIN PGP M", "encrypted", "decrypt it first"),
    (b"age-encryption.o", "encrypted", "decrypt it first"),
];

impl Format {
    /// The number of first bytes that decide.
    pub const BYTES: u64 = 16;

    /// Errors: `InvalidInput` for a known but unsupported format.
    pub fn of(first: &[u8], name: &str) -> Result<Self> {
        match first {
            [0x1F, 0x8B, ..] => return Ok(Self::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => return Ok(Self::Zstd),
            // one with an encrypted footer begins with PARE
            [b'P', b'A', b'R', b'1' | b'E', ..] => return Ok(Self::Parquet),
            _ => {}
        }
        let refused = |what: &str, help: &str| {
            Err(Error::invalid(format!("{name} is {what}, which is not supported; {help}")))
        };
        match first {
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', ..] => {
                return refused(
                    "compressed (bzip2)",
                    "pipe it in: bzip2 -dc FILE | tributary data upload --file - …",
                );
            }
            // ORCID is a name of a column
            [b'O', b'R', b'C', 0..=9 | 128.., ..] => return refused("ORC", "write it as Parquet"),
            _ => {}
        }
        if first.starts_with(b"PK\x03\x04") {
            let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
            return match ending.as_str() {
                "xlsx" | "xlsm" | "ods" => refused("a spreadsheet workbook", "save it as CSV"),
                _ => refused(
                    "compressed (zip)",
                    "pipe it in: unzip -p FILE | tributary data upload --file - … (a workbook: save it as CSV)",
                ),
            };
        }
        if let Some((_, what, help)) = OTHERS.iter().find(|(begin, ..)| first.starts_with(begin)) {
            return refused(what, help);
        }
        // every other byte of Latin characters is 0
        let zeros = |from: usize| first.iter().skip(from).step_by(2).all(|byte| *byte == 0);
        if first.len() >= 4 && first.iter().any(|byte| *byte != 0) && (zeros(0) || zeros(1)) {
            return refused("UTF-16 without a byte order mark", "save it as UTF-8");
        }
        Ok(Self::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_recognised_by_their_first_bytes_and_others_refused_with_advice() {
        let of = |first: &[u8]| Format::of(first, "rows.csv").map_err(|error| error.to_string());
        for (first, format) in [
            (&b"PAR1...."[..], Format::Parquet),
            (b"PARE....", Format::Parquet),
            (b"id,x\n1,2", Format::Text),
            (b"", Format::Text),
            (b"a", Format::Text),
            (b"\xEF\xBB\xBFid,x", Format::Text),
            (b"Benzin,x", Format::Text),
            (b"ORCID,x", Format::Text),
        ] {
            assert_eq!(of(first), Ok(format));
        }
        for (first, expected) in [
            (&b"\xFD7zXZ\0.."[..], "rows.csv is compressed (xz), which is not supported; pipe it in"),
            (b"BZh91AY", "compressed (bzip2)"),
            (b"PK\x03\x04ab", "compressed (zip)"),
            (b"\xFF\xFEi\0d\0", "UTF-16"),
            (b"i\0d\0,\0x\0\n\0", "UTF-16 without a byte order mark"),
            (b"\0i\0d\0,\0x\0\n", "UTF-16 without a byte order mark"),
            (b"\0\0\xFE\xFF", "UTF-32"),
            (b"Salted__abcd", "encrypted"),
            (b"ARROW1\0\0", "Arrow"),
            (b"ORC\x08\x03", "ORC"),
            (b"{\"id\": 1}", "is JSON"),
            (b"<!DOCTYPE html>", "is HTML"),
        ] {
            let error = of(first).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(Format::of(b"PK\x03\x04ab", "rows.XLSX").unwrap_err().to_string().contains("save it as CSV"));
    }
}
