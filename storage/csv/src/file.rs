//! How a file is recognised: by what its medium says of it, or by its ends.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tributary_core::media::{Media, Source, scheme_of};
use tributary_core::{Error, ErrorKind, Result};
use tributary_system::Stamp;

/// The digest covers this many bytes at the beginning and at the end of a file.
const END_BYTES: u64 = 64 << 10;

/// The stamp by which a file is recognised. It covers the first and the last bytes, because reading all of them would take too long.
pub fn stamp(file: &dyn Source) -> Result<Stamp> {
    Stamp::of(file.state(), "ends", || ends(file))
}

fn ends(file: &dyn Source) -> Result<[u8; 32]> {
    let bytes = file.bytes();
    let last = bytes.saturating_sub(END_BYTES).max(bytes.min(END_BYTES));
    let mut digest = Sha256::new();
    for range in [0..bytes.min(END_BYTES), last..bytes] {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        file.read_at(range.start, &mut bytes)?;
        digest.update(&bytes);
    }
    Ok(digest.finalize().into())
}

/// Opens a file that has this stamp. `NotFound`; `Corrupt` if the file has changed.
pub(crate) fn open(media: &dyn Media, path: &Path, expected: &Stamp) -> Result<Arc<dyn Source>> {
    let file = media.open(path).map_err(|error| match error.kind() {
        // a pipe or a folder in its place
        ErrorKind::InvalidInput if scheme_of(path).is_none() => not_as_bound(&path.display().to_string()),
        _ => error,
    })?;
    let is_same = expected.may_be_of(file.state())
        && stamp(&*file).map_err(|error| as_bound(&*file, error))? == *expected;
    is_same.then_some(()).ok_or_else(|| not_as_bound(file.name()))?;
    Ok(file)
}

/// What a change means for rows that are bound.
pub(crate) fn as_bound(file: &dyn Source, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Conflict => not_as_bound(file.name()),
        _ => error,
    }
}

fn not_as_bound(name: &str) -> Error {
    let text = "the file has changed: its size, modification time, first or last bytes differ; bind or upload it again";
    Error::new(ErrorKind::Corrupt, text).at(format!("read {name}"))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use tributary_system::{LocalFile, LocalMedia};

    use super::*;

    #[test]
    fn a_file_is_recognised_by_size_time_and_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        for bytes in [0, 1, 1000, END_BYTES, END_BYTES + 1, 3 * END_BYTES] {
            let mut content = vec![b'x'; bytes as usize];
            fs::write(&path, &content).unwrap();
            let stamp = stamp(&LocalFile::open(&path).unwrap()).unwrap();
            let time = fs::metadata(&path).unwrap().modified().unwrap();
            let check = |content: &[u8], same: bool| {
                fs::write(&path, content).unwrap();
                File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
                let opened = open(&LocalMedia, &path, &stamp);
                assert_eq!(opened.as_ref().err().map(Error::kind), (!same).then_some(ErrorKind::Corrupt));
            };
            check(&content, true);
            check(&[&content[..], b"x"].concat(), false);
            let size = content.len();
            for at in [0, size.wrapping_sub(1)].into_iter().filter(|at| *at < size) {
                content[at] = b'y';
                check(&content, false);
                content[at] = b'x';
            }
            check(&content, true);
            File::options()
                .append(true)
                .open(&path)
                .unwrap()
                .set_modified(std::time::SystemTime::now())
                .unwrap();
            assert!(
                open(&LocalMedia, &path, &stamp)
                    .unwrap_err()
                    .to_string()
                    .contains("rows.csv: the file has changed")
            );
        }
        fs::remove_file(&path).unwrap();
        let stamp = format!("bytes:0 modified:0.000000000 ends:sha256:{}", "0".repeat(64)).parse().unwrap();
        assert_eq!(open(&LocalMedia, &path, &stamp).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(
            open(&LocalMedia, &path, &stamp).unwrap_err().kind(),
            ErrorKind::Corrupt,
            "and the call does not wait"
        );
    }
}
