//! The byte store of local files, below one root folder.
//!
//! An address is `file://` and the table's absolute folder, as it is (not percent-encoded): `file:///srv/tables/n/t`.
//! Paths outside of the root are refused, and so are symbolic links below it.
//!
//! **It blocks the polling thread** for the time of a disk operation: engines poll from their own threads, and a switch to
//! an I/O pool would cost more than it saves. Do not put the root on a network mount that may hang.
//!
//! **Names that differ in case only** are two names, also on a disk that treats them as one (a USB stick, a share of another
//! system): there the second is refused, and never gives the content of the first.
//!
//! Files are written under another name, flushed, and then renamed (a local disk can; the trait does not require it); then
//! the folder is flushed. So every file is complete, also after a power cut. To replace or remove a file, a process briefly
//! locks its folder (`flock`), so that "if unchanged" holds between processes. Files are 0600 and folders 0700, because
//! tables may hold medical records.
//!
//! ```
//! # use tributary_core::storage::Storage;
//! # use tributary_core::TableName;
//! # let home = tempfile::tempdir().unwrap();
//! let storage = tributary_file::storage(home.path())?;
//! let place = storage.locate(&TableName::new("experiment", "breast_guest")?)?;
//! assert!(place.as_str().starts_with("file:///") && place.as_str().ends_with("/experiment/breast_guest"));
//! # Ok::<(), tributary_core::Error>(())
//! ```

mod case;
pub mod config;
mod disk;
mod store;

use std::path::Path;
use std::sync::Arc;

use tributary_core::Result;
use tributary_table::Tables;

use case::Case;
pub use config::Config;
pub use store::FileStore;

/// `NotFound` if `folder` has another name that differs in case only and its disk treats both as one: anything created under
/// this name would go to the other. No error if there is no such folder.
pub fn check_case(folder: &Path, name: &str) -> Result<()> {
    match folder.is_dir() {
        true => Case::of(folder)?.check(folder, name.as_ref()),
        false => Ok(()),
    }
}

/// The tables below a folder, which is created if it does not exist.
pub fn storage(root: &Path) -> Result<Arc<Tables>> {
    Ok(Arc::new(Tables::new(Arc::new(FileStore::open(root)?))))
}
