//! Copying and decompressing input that cannot be read twice, within bounds.

use std::cell::Cell;
use std::fs::{DirBuilder, File};
use std::io::{self, BufWriter, Cursor, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tributary_core::{Error, ErrorKind, Result, ResultExt};

use super::format::Format;
use crate::progress::{Meter, Pass};

/// Bytes copied at once.
const COPY_BYTES: usize = 256 << 10;

/// The limit on the decompressed bytes of all files together: a few bytes can decompress to more than any disk holds.
#[derive(Debug)]
pub(crate) struct Unfolding {
    /// The limit of the options, if set.
    most: Option<u64>,
    /// Bytes of the files so far, and their decompressed bytes.
    packed: u64,
    unpacked: u64,
}

impl Unfolding {
    /// Tables decompress to three to thirty times their bytes, seldom to a hundred times.
    const TIMES: u64 = 200;
    /// This many bytes are always allowed, because they do no harm.
    const ALWAYS: u64 = 1 << 30;

    pub fn new(most: Option<u64>) -> Self {
        Self { most, packed: 0, unpacked: 0 }
    }

    /// Counts the sizes that a file, or a Parquet file's footer, states.
    pub fn add(&mut self, name: &str, packed: u64, unpacked: u64) -> Result<()> {
        self.packed = self.packed.saturating_add(packed);
        self.unpacked = self.unpacked.saturating_add(unpacked);
        let most = self.most.unwrap_or((self.packed.saturating_mul(Self::TIMES)).max(Self::ALWAYS));
        if self.unpacked <= most {
            return Ok(());
        }
        let why = match self.most {
            Some(_) => String::new(),
            None => format!(", {} times its compressed size", Self::TIMES),
        };
        Err(Error::invalid(format!(
            "{name} decompresses to more than {most} bytes{why}; if that is expected, allow more (--max-unpacked BYTES)"
        )))
    }
}

/// Copies and decompresses into a file without a name in the folder `scratch`. Returns the file and its bytes.
///
/// Errors: `InvalidInput` for damaged compression; `Exhausted` when the disk is full.
pub(crate) fn spool(
    mut from: impl Read,
    name: &str,
    bytes: u64,
    scratch: &Path,
    unfolding: &mut Unfolding,
    meter: &Meter,
) -> Result<(File, u64)> {
    meter.begin(Pass::Copy, bytes);
    let mut first = Vec::new();
    from.by_ref().take(Format::BYTES).read_to_end(&mut first).at(|| format!("read {name}"))?;
    let format = Format::of(&first, name)?;
    let packed = Cell::new(0);
    let from = Counted { from: Cursor::new(first).chain(from), meter, bytes: &packed };
    // the length of a pipe is unknown
    unfolding.add(name, bytes, 0)?;
    let mut grow = |unpacked| match format {
        Format::Gzip | Format::Zstd => {
            unfolding.add(name, if bytes == 0 { packed.take() } else { 0 }, unpacked)
        }
        _ => Ok(()),
    };
    let mut unpacked: Box<dyn Read + '_> = match format {
        Format::Text | Format::Parquet => Box::new(from),
        Format::Gzip => Box::new(MultiGzDecoder::new(from)),
        Format::Zstd => Box::new(zstd::Decoder::new(from).at(|| format!("read {name}"))?),
    };
    let file = temporary(scratch)?;
    let copied = copy(&mut *unpacked, &file, name, format, scratch, &mut grow);
    meter.check()?; // a stop request makes the copy fail, too
    Ok((file, copied?))
}

/// A file without a name, readable by this user only.
pub(crate) fn temporary(scratch: &Path) -> Result<File> {
    let at = || format!("make a temporary file in {}", scratch.display());
    DirBuilder::new().recursive(true).mode(0o700).create(scratch).at(at)?;
    tempfile::tempfile_in(scratch).at(at)
}

/// `grow` is called before decompressed bytes are written.
fn copy(
    from: &mut dyn Read,
    to: &File,
    name: &str,
    format: Format,
    scratch: &Path,
    grow: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<u64> {
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
        grow(n as u64)?;
        out.write_all(&buffer[..n]).at(|| copying(name, scratch))?;
        bytes += n as u64;
    }
    out.flush().at(|| copying(name, scratch))?;
    Ok(bytes)
}

fn copying(name: &str, scratch: &Path) -> String {
    format!("copy {name} to a temporary file in {}", scratch.display())
}

/// Decoders report invalid input with several kinds of errors.
fn unreadable(error: io::Error, name: &str, format: Format) -> Error {
    let damaged = [io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData, io::ErrorKind::InvalidInput];
    let is_packed = matches!(format, Format::Gzip | Format::Zstd);
    if is_packed && (damaged.contains(&error.kind()) || error.kind() == io::ErrorKind::Other) {
        let text =
            format!("{name}: its compressed data are damaged, or the file is incomplete; copy it again");
        return Error::new(ErrorKind::InvalidInput, text).because(error);
    }
    Error::from(error).at(format!("read {name}"))
}

/// Counts the bytes that are read, and ends when the upload is stopped.
struct Counted<'a, R> {
    from: R,
    meter: &'a Meter,
    bytes: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(to)?;
        self.bytes.set(self.bytes.get() + n as u64);
        self.meter.add(0, n as u64).map_err(io::Error::other)?;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(bytes: &[u8]) -> Result<String> {
        unpacked_within(bytes, Unfolding::new(None))
    }

    fn unpacked_within(bytes: &[u8], mut unfolding: Unfolding) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let meter = Meter::new(|_| {});
        let (mut file, bytes) =
            spool(bytes, "rows", bytes.len() as u64, &folder.path().join("new"), &mut unfolding, &meter)?;
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
    fn compression_is_recognised_by_content() {
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
    fn damaged_or_unknown_compression_is_reported() {
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
            assert!(error.to_string().starts_with("rows: its compressed data are damaged"), "{error}");
        }
        assert_eq!(unpacked(b"PAR1....").unwrap(), "PAR1....", "which is checked like a file");
    }

    #[test]
    fn input_that_decompresses_beyond_the_limit_is_not_copied() {
        let bomb = gzip(&"0".repeat(4 << 20));
        let within = |most| unpacked_within(&bomb, Unfolding::new(Some(most)));
        assert_eq!(within(4 << 20).unwrap().len(), 4 << 20);
        let error = within((4 << 20) - 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("decompresses to more than 4194303 bytes"), "{error}");
        assert!(error.to_string().contains("--max-unpacked"), "{error}");
        assert!(unpacked_within(&[b'0'; 100], Unfolding::new(Some(10))).is_ok(), "it is not compressed");
        // all files together, by default in proportion to their bytes
        let mut all = Unfolding::new(None);
        all.add("a", 10 << 20, 1500 << 20).unwrap();
        assert!(all.add("b", 0, 1000 << 20).is_err());
        assert!(Unfolding::new(None).add("a", 1, 1 << 30).is_ok());
    }

    #[test]
    fn an_upload_that_was_stopped_copies_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let meter = Meter::new(|_| {});
        meter.stop();
        let mut unfolding = Unfolding::new(None);
        let error = spool(io::repeat(b'x'), "endless", 0, folder.path(), &mut unfolding, &meter).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }
}
