//! Formats by their first bytes, and copying what cannot be read twice.

use std::fs::{DirBuilder, File};
use std::io::{self, BufWriter, Cursor, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tributary_core::{Error, ErrorKind, Result, ResultExt};

use crate::progress::{Meter, Stage};

/// Copied at once.
const COPY_BYTES: usize = 256 << 10;

/// What a file is, as far as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Parquet,
    Gzip,
    Zstd,
}

impl Format {
    /// So many bytes tell it.
    pub const BYTES: u64 = 6;

    /// Errors: `InvalidInput` for a format that we know and do not read.
    pub fn of(first: &[u8], name: &str) -> Result<Self> {
        let unpack = |format: &str, program: &str| {
            Err(Error::invalid(format!(
                "{name} is compressed ({format}), which is not read; pipe it in: {program} | tributary data upload --file - …"
            )))
        };
        match first {
            [0x1F, 0x8B, ..] => Ok(Self::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Ok(Self::Zstd),
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
                Err(Error::invalid(format!("{name} is UTF-16; save it as UTF-8")))
            }
            [0xFD, b'7', b'z', b'X', b'Z', 0] => unpack("xz", "xz -dc FILE"),
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', ..] => unpack("bzip2", "bzip2 -dc FILE"),
            [b'P', b'K', 3, 4, ..] => unpack("zip", "unzip -p FILE"),
            [b'P', b'A', b'R', b'1', ..] => Ok(Self::Parquet),
            _ => Ok(Self::Text),
        }
    }
}

/// Copies and unpacks into a file without a name in the folder `scratch`. The file, and its bytes.
///
/// Errors: `InvalidInput` for damaged compression; `Exhausted` when the disk is full.
pub(crate) fn spool(
    mut from: impl Read,
    name: &str,
    bytes: u64,
    scratch: &Path,
    meter: &Meter,
) -> Result<(File, u64)> {
    meter.begin(Stage::Copy, bytes);
    let mut first = Vec::new();
    from.by_ref().take(Format::BYTES).read_to_end(&mut first).at(|| format!("read {name}"))?;
    let format = Format::of(&first, name)?;
    let from = Counted { from: Cursor::new(first).chain(from), meter };
    let mut unpacked: Box<dyn Read + '_> = match format {
        Format::Text | Format::Parquet => Box::new(from),
        Format::Gzip => Box::new(MultiGzDecoder::new(from)),
        Format::Zstd => Box::new(zstd::Decoder::new(from).at(|| format!("read {name}"))?),
    };
    let file = temporary(scratch)?;
    let copied = copy(&mut *unpacked, &file, name, format, scratch);
    meter.check()?; // else the copy failed because it was told to
    Ok((file, copied?))
}

/// A file without a name, for whoever runs this only.
pub(crate) fn temporary(scratch: &Path) -> Result<File> {
    let at = || format!("make a temporary file in {}", scratch.display());
    DirBuilder::new().recursive(true).mode(0o700).create(scratch).at(at)?;
    tempfile::tempfile_in(scratch).at(at)
}

fn copy(from: &mut dyn Read, to: &File, name: &str, format: Format, scratch: &Path) -> Result<u64> {
    let mut out = BufWriter::with_capacity(COPY_BYTES, to);
    let mut buffer = vec![0; COPY_BYTES];
    let mut bytes = 0;
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error, name, format)),
        };
        out.write_all(&buffer[..n]).at(|| copying(name, scratch))?;
        bytes += n as u64;
    }
    out.flush().at(|| copying(name, scratch))?;
    Ok(bytes)
}

fn copying(name: &str, scratch: &Path) -> String {
    format!("copy {name} to a temporary file in {}", scratch.display())
}

/// A decoder says by several kinds of errors that its input is not what it should be.
fn unreadable(error: io::Error, name: &str, format: Format) -> Error {
    let damaged = [io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData, io::ErrorKind::InvalidInput];
    let is_packed = matches!(format, Format::Gzip | Format::Zstd);
    if is_packed && (damaged.contains(&error.kind()) || error.kind() == io::ErrorKind::Other) {
        let text = format!("{name}: its compression is damaged, or it was cut short; copy it again");
        return Error::new(ErrorKind::InvalidInput, text).because(error);
    }
    Error::from(error).at(format!("read {name}"))
}

/// Counts what is read, and ends when the upload is stopped.
struct Counted<'a, R> {
    from: R,
    meter: &'a Meter,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(to)?;
        self.meter.add(0, n as u64).map_err(io::Error::other)?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(bytes: &[u8]) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let meter = Meter::new(|_| {});
        let (mut file, bytes) = spool(bytes, "rows", bytes.len() as u64, &folder.path().join("new"), &meter)?;
        let mut text = String::new();
        io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text.len() as u64, bytes);
        assert_eq!(std::fs::read_dir(folder.path().join("new")).unwrap().count(), 0, "it has no name");
        Ok(text)
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn compression_is_known_by_content() {
        let text = "id,x\n".repeat(100_000);
        let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
        for packed in [text.clone().into_bytes(), gzip(&text), zstd(&text)] {
            assert!(unpacked(&packed).unwrap() == text);
        }
        // several archives one after another are one, as for the programs of these names
        assert_eq!(unpacked(&[gzip("a\n"), gzip("b\n")].concat()).unwrap(), "a\nb\n");
        assert_eq!(unpacked(&[zstd("a\n"), zstd("b\n")].concat()).unwrap(), "a\nb\n");
        assert_eq!(unpacked(b"").unwrap(), "");
    }

    #[test]
    fn damaged_or_unknown_compression_is_told() {
        let text = "id,x\n".repeat(1000);
        let mut bad = gzip(&text);
        let middle = bad.len() - 6;
        bad[middle] ^= 1;
        let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
        for packed in
            [&bad[..], &gzip(&text)[..40], &zstd[..zstd.len() - 3], b"\x1f\x8b\x08", b"\x28\xB5\x2F\xFD"]
        {
            let error = unpacked(packed).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().starts_with("rows: its compression is damaged"), "{error}");
        }
        for (first, format) in [(&b"\xFD7zXZ\0"[..], "xz"), (b"BZh91AY", "bzip2"), (b"PK\x03\x04ab", "zip")] {
            let error = unpacked(first).unwrap_err().to_string();
            assert!(error.starts_with(&format!("rows is compressed ({format})")), "{error}");
        }
        assert_eq!(unpacked(b"PAR1....").unwrap(), "PAR1....", "which is looked at as a file is");
    }

    #[test]
    fn an_upload_that_was_stopped_copies_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let meter = Meter::new(|_| {});
        meter.stop();
        let error = spool(io::repeat(b'x'), "endless", 0, folder.path(), &meter).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
