//! [`ByteStore`] on a folder.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;

use tributary_core::check::Finding;
use tributary_core::storage::StorageInfo;
use tributary_core::{Error, ErrorKind, Result, ResultExt};
use tributary_system::disk;
use tributary_table::{ByteStore, Entry, Revision, Upload};

use crate::case::Case;
use crate::disk::{Durable, FolderLock, Unfinished, failed, flush_folder, make_folder, parent, prune};

/// Local files below a root folder.
#[derive(Debug)]
pub struct FileStore {
    info: StorageInfo,
    root: PathBuf,
    base: String,
    durable: Durable,
    case: Case,
}

impl FileStore {
    /// Creates the folder if it does not exist. Its links are resolved here, once.
    pub fn open(root: &Path) -> Result<Self> {
        Self::open_as(root, Durable::Yes)
    }

    /// The same for files that need not survive a crash: nothing is flushed to the disk.
    pub fn open_scratch(root: &Path) -> Result<Self> {
        Self::open_as(root, Durable::No)
    }

    #[cfg(test)]
    pub(crate) fn fold_case(&mut self) {
        self.case = Case::Folded;
    }

    fn open_as(root: &Path, durable: Durable) -> Result<Self> {
        let absolute = std::path::absolute(root).map_err(|e| failed("find", root, e))?;
        make_folder(&absolute)?;
        let root = fs::canonicalize(&absolute).map_err(|e| failed("find", &absolute, e))?;
        let text = root.to_str().ok_or_else(|| {
            Error::invalid(format!(
                "folder {}: its name is not UTF-8, which an address needs",
                root.display()
            ))
        })?;
        Ok(Self {
            info: StorageInfo::new("file").binding().replacing_snapshots().copying_cheaply(),
            base: format!("file://{}", text.trim_end_matches('/')),
            case: Case::of(&root)?,
            root,
            durable,
        })
    }

    /// The file of a path. `Denied` if the file, or a folder on the path, is a link. `NotFound` if the disk treats another
    /// name as this one, see [`Case`].
    fn path(&self, path: &str) -> Result<PathBuf> {
        let mut file = self.root.clone();
        for component in Path::new(path).components() {
            let Component::Normal(name) = component else {
                return Err(Error::invalid(format!(
                    "path {path:?} leaves the folder {}",
                    self.root.display()
                )));
            };
            self.case.check(&file, name)?;
            file.push(name);
            if file.is_symlink() {
                return Err(Error::new(
                    ErrorKind::Denied,
                    format!("{} is a symbolic link, which tables do not follow; replace it", file.display()),
                ));
            }
        }
        Ok(file)
    }

    /// The same, for writing.
    fn path_to_write(&self, path: &str) -> Result<PathBuf> {
        self.path(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::new(ErrorKind::AlreadyExists, error.to_string()),
            _ => error,
        })
    }

    /// The same, for a name that may be a link itself.
    fn name(&self, path: &str) -> Result<PathBuf> {
        match path.rsplit_once('/') {
            Some((folder, name)) if !matches!(name, "" | "." | "..") => {
                let folder = self.path(folder)?;
                self.case.check(&folder, name.as_ref())?;
                Ok(folder.join(name))
            }
            _ => self.path(path),
        }
    }

    fn walk(&self, folder: &Path, found: &mut Vec<Entry>) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let data = match entry.metadata() {
                Err(reason) if reason.kind() == io::ErrorKind::NotFound => continue,
                data => data?,
            };
            if data.is_dir() {
                self.walk(&entry.path(), found)?;
            } else if data.is_file()
                && let Some(path) = entry.path().strip_prefix(&self.root).ok().and_then(Path::to_str)
            {
                found.push(Entry { path: path.to_owned(), bytes: data.len(), modified: data.modified()? });
            }
        }
        Ok(())
    }
}

/// Less room than this is worth a word.
const LITTLE_ROOM: u64 = 1 << 30;

fn room(root: &Path) -> Finding {
    const WHAT: &str = "free space";
    match disk::free_bytes(root) {
        Err(error) => Finding::of_error(WHAT, &error),
        Ok(bytes) => {
            let found =
                format!("{:.1} GiB on the disk of {}", bytes as f64 / f64::from(1 << 30), root.display());
            match bytes < LITTLE_ROOM {
                true => {
                    Finding::doubtful(WHAT, found, "free space there, or move the folder to a larger disk")
                }
                false => Finding::good(WHAT, found),
            }
        }
    }
}

/// Tables may hold what no other user of the machine should see.
fn rights(root: &Path) -> Finding {
    const WHAT: &str = "permissions";
    let at = || format!("look at {}", root.display());
    match fs::metadata(root).at(at) {
        Err(error) => Finding::of_error(WHAT, &error),
        Ok(about) => {
            let mode = about.permissions().mode() & 0o777;
            let found = format!("{mode:03o} for {}", root.display());
            match mode & 0o077 {
                0 => Finding::good(WHAT, found),
                _ => Finding::doubtful(WHAT, found, format!("chmod 700 {}", root.display())),
            }
        }
    }
}

fn read(path: &Path, range: Range<u64>) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let end = range.end.min(file.metadata()?.len());
    let wanted = end.saturating_sub(range.start);
    let mut bytes = Vec::with_capacity(wanted as usize);
    file.seek(SeekFrom::Start(range.start))?;
    file.take(wanted).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[async_trait]
impl ByteStore for FileStore {
    fn info(&self) -> &StorageInfo {
        &self.info
    }

    fn base(&self) -> &str {
        &self.base
    }

    async fn get(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let path = self.path(path)?;
        read(&path, range).map(Bytes::from).map_err(|e| failed("read", &path, e))
    }

    /// Local files have no versions, so that the bytes are the revision.
    async fn get_with_revision(&self, path: &str, most: u64) -> Result<(Bytes, Revision)> {
        let bytes = self.get(path, 0..most).await?;
        Ok((bytes.clone(), Revision::new(bytes)))
    }

    async fn put(&self, path: &str) -> Result<Box<dyn Upload>> {
        let file = Unfinished::create(&self.root, self.path_to_write(path)?, self.durable)?;
        Ok(Box::new(FileUpload(file)))
    }

    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<()> {
        let mut file = Unfinished::create(&self.root, self.path_to_write(path)?, self.durable)?;
        file.write(&bytes)?;
        file.link()
    }

    async fn put_if_unchanged(&self, path: &str, expected: &Revision, bytes: Bytes) -> Result<()> {
        let mut file = Unfinished::create(&self.root, self.path_to_write(path)?, self.durable)?;
        file.write(&bytes)?;
        file.replace_if(expected.as_bytes())
    }

    /// A hard link: no bytes are copied, and either name may be removed without the other. Named files are never written to
    /// again.
    async fn copy(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.path(from)?, self.path_to_write(to)?);
        make_folder(parent(&to)?)?;
        match fs::hard_link(&from, &to) {
            Err(reason) if reason.kind() == io::ErrorKind::AlreadyExists => {
                let _lock = FolderLock::take(parent(&to)?)?;
                fs::remove_file(&to).and_then(|()| fs::hard_link(&from, &to))
            }
            done => done,
        }
        .map_err(|e| failed("link", &to, e))?;
        match self.durable {
            Durable::Yes => flush_folder(parent(&to)?),
            Durable::No => Ok(()),
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        let folder = match self.path(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
            folder => folder?,
        };
        self.walk(&folder, &mut found).map_err(|e| failed("list", &folder, e))?;
        Ok(found)
    }

    async fn delete(&self, paths: &[String]) -> Result<()> {
        let mut folders: Vec<PathBuf> = Vec::new();
        for path in paths {
            let path = match self.name(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                path => path?,
            };
            let lock = FolderLock::take(parent(&path)?)?;
            match fs::remove_file(&path) {
                Err(reason) if reason.kind() == io::ErrorKind::NotFound => continue,
                done => done.map_err(|e| failed("remove", &path, e))?,
            }
            drop(lock);
            if folders.last().map(PathBuf::as_path) != path.parent() {
                folders.push(parent(&path)?.to_owned());
            }
        }
        for folder in &folders {
            if self.durable == Durable::Yes {
                flush_folder(folder)?;
            }
            prune(&self.root, &folder.join("any"));
        }
        Ok(())
    }

    async fn examine(&self) -> Vec<Finding> {
        vec![room(&self.root), rights(&self.root)]
    }

    async fn link(&self, link: &str, folder: &str) {
        #[cfg(unix)]
        if let (Ok(link), Ok(folder)) = (self.name(link), self.path(folder)) {
            drop(relink(&link, &folder));
        }
    }
}

/// Relative, so that a table's folder may be moved; created under another name and renamed, so that there is always a link.
#[cfg(unix)]
fn relink(link: &Path, folder: &Path) -> io::Result<()> {
    let beside = link.with_file_name(format!("{}link", tributary_table::UNFINISHED));
    let above = link.parent().unwrap_or(link);
    let target = folder.strip_prefix(above).unwrap_or(folder);
    drop(fs::remove_file(&beside));
    std::os::unix::fs::symlink(target, &beside)?;
    fs::rename(&beside, link)
}

struct FileUpload(Unfinished);

#[async_trait]
impl Upload for FileUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.0.write(&bytes)
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        self.0.replace()
    }

    async fn abort(self: Box<Self>) {}
}
