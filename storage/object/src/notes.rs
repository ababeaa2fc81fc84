//! Notes of uploads in pieces: a small object beside the one that is made, so that clean-up finds what a crash leaves.
//!
//! An upload that was begun and neither completed nor aborted is in no list of objects, but its pieces are kept and paid
//! for. So each is noted under a name that clean-up takes for an unfinished upload, which it is: removing the note aborts the
//! upload.

use object_store::path::Path;
use tributary_core::bytestore::UNFINISHED;
use tributary_core::{Error, ErrorKind, Result};
use tributary_system::random;

/// Begins the names of notes.
const NOTE: &str = "upload-";
/// Longest note: a name of an object and an id, with room.
pub(crate) const MOST_BYTES: u64 = 16 << 10;

/// A new name for the note of an upload to this path.
pub(crate) fn beside(path: &str) -> Result<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let name = format!("{UNFINISHED}{NOTE}{:016x}", random::u64()?);
    Ok(if folder.is_empty() { name } else { format!("{folder}/{name}") })
}

/// Whether a path is that of a note.
pub(crate) fn is_note(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.strip_prefix(UNFINISHED).is_some_and(|rest| rest.starts_with(NOTE))
}

/// What the note of an upload says.
pub(crate) fn write(target: &Path, id: &str) -> String {
    format!("{target}\n{id}\n")
}

/// The object and the id of the upload that a note is of. `Corrupt` for anything but a note of an upload to the folder in which
/// the note is: it must not abort what is elsewhere.
pub(crate) fn read(note: &Path, text: &[u8]) -> Result<(Path, String)> {
    let read = || {
        let (target, id) = std::str::from_utf8(text).ok()?.strip_suffix('\n')?.split_once('\n')?;
        let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        let fits = folder(target) == folder(note.as_ref()) && !id.is_empty() && !id.contains('\n');
        fits.then(|| Path::parse(target).ok()).flatten().map(|target| (target, id.to_owned()))
    };
    read().ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, format!("{note} is no note of an upload; look at it and remove it"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_leads_to_its_upload_and_to_no_other_folder() {
        let note = beside("n/t/_snapshots/a/part-1").unwrap();
        assert!(is_note(&note) && note.starts_with("n/t/_snapshots/a/.unfinished-"), "{note}");
        assert!(is_note(&beside("top").unwrap()) && !is_note("n/t/.unfinished-commit") && !is_note("n/t"));
        let (note, target) = (Path::from(note), Path::from("n/t/_snapshots/a/part-1"));
        assert_eq!(read(&note, write(&target, "id").as_bytes()).unwrap(), (target, "id".into()));
        for bad in [
            "",
            "x",
            "n/t/_snapshots/a/p\n\n",
            "n/t/_snapshots/b/p\nid\n",
            "n/t/_snapshots/a/p\nid",
            "\u{0}\n\n\n",
        ] {
            assert_eq!(read(&note, bad.as_bytes()).unwrap_err().kind(), ErrorKind::Corrupt, "{bad:?}");
        }
    }
}
