//! The byte store of local files, below one root folder.
//!
//! An address is `file://` and the table's absolute folder, as it is (not percent-encoded): `file:///srv/tables/n/t`.
//! Places outside of the root are refused, and so are symbolic links below it: a name leads where it says.
//!
//! **It blocks the thread that polls it**, for as long as a local disk takes: engines poll from threads of their own, and a
//! hop to an I/O pool would cost more than it hides. Do not put the root on a network mount that may hang.
//!
//! **Names that differ in case only** are two names, also on a disk that takes them for one (a stick, a share of another
//! system): there the second is refused, and what the first holds is not shown for it.
//!
//! Files are written under another name, flushed, and then renamed (a local disk can; the trait does not ask for it); the folder
//! is flushed after that. So what is there is whole, also after a power cut. Whoever replaces or removes a file holds a lock on
//! its folder (`flock`) for that moment, so that "if unchanged" holds between processes. Files are 0600 and folders 0700: a table
//! may be anybody's medical record.
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

/// `NotFound` if `folder` has another name that its disk takes for this one, because it does not tell upper from lower
/// case: what is made under the name would be the other's. No error if there is no such folder.
pub fn check_case(folder: &Path, name: &str) -> Result<()> {
    match folder.is_dir() {
        true => Case::of(folder)?.check(folder, name.as_ref()),
        false => Ok(()),
    }
}

/// The tables below a folder, which is made if it does not exist.
pub fn storage(root: &Path) -> Result<Arc<Tables>> {
    Ok(Arc::new(Tables::new(Arc::new(FileStore::open(root)?))))
}
