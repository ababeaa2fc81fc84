//! Free space on a disk.

use std::path::Path;

use tributary_core::{Result, ResultExt};

/// Bytes that this user may still write to the disk that `folder` is on, or will be on once it is made.
///
/// Errors: `Io`, `NotFound` and `Denied` name the folder.
pub fn free_bytes(folder: &Path) -> Result<u64> {
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    let room = rustix::fs::statvfs(existing).map_err(std::io::Error::from);
    let room = room.at(|| format!("read the free space of {}", existing.display()))?;
    Ok(room.f_bavail.saturating_mul(room.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_has_the_free_space_of_its_parent() {
        let parent = tempfile::tempdir().unwrap();
        let room = free_bytes(parent.path()).unwrap();
        assert!(room > 0);
        // Other processes write to the disk during the test; it is the same disk if about as much is free.
        let later = free_bytes(&parent.path().join("not/made/yet")).unwrap();
        assert!(later > room / 2 && later < room.saturating_mul(2), "{room} and {later}");
    }
}
