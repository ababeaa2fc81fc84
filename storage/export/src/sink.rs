//! The destination of bytes: standard output, or a file that is written completely or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tributary_core::bytestore::Upload;
use tributary_core::media::{Media, wait};
use tributary_core::{Error, ErrorKind, Result, ResultExt};
use tributary_system::random;

/// Bytes that a store takes at once.
const PIECE_BYTES: usize = 8 << 20;

/// What to do with a file that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfFileExists {
    /// Refuse with `AlreadyExists`.
    Fail,
    /// Replace it once the new file is complete.
    Replace,
}

/// Takes bytes, and counts them.
#[derive(Debug)]
pub struct Sink {
    to: To,
    bytes: u64,
}

#[derive(Debug)]
enum To {
    Standard(io::Stdout),
    /// A pipe or a device: written bytes cannot be taken back.
    Through(File, PathBuf),
    File(Unfinished),
    Store(Object),
}

/// A new object of a store, and what waits to be sent.
struct Object {
    upload: Box<dyn Upload>,
    address: PathBuf,
    waiting: Vec<u8>,
}

impl Object {
    fn send(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        wait(self.upload.write(waiting.into()))
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.address.display())
    }
}

impl Sink {
    /// Standard output.
    pub fn standard() -> Self {
        Self { to: To::Standard(io::stdout()), bytes: 0 }
    }

    /// A file, created in its folder under a temporary name, readable by its owner only. Pipes and devices are written
    /// directly.
    pub fn file(path: &Path, if_exists: IfFileExists) -> Result<Self> {
        let at = || format!("write {}", path.display());
        let to = match fs::metadata(path) {
            Ok(about) if about.is_dir() => {
                return Err(Error::invalid("it is a folder, expected the name of a file").at(at()));
            }
            Ok(about) if !about.is_file() => {
                To::Through(OpenOptions::new().write(true).open(path).at(at)?, path.to_owned())
            }
            Ok(_) if if_exists == IfFileExists::Fail => return Err(exists().at(at())),
            _ => To::File(Unfinished::create(path, if_exists).at(at)?),
        };
        Ok(Self { to, bytes: 0 })
    }

    /// A file in a store of the site, by its address. It appears when it is complete.
    pub fn object(media: &dyn Media, address: &Path, if_exists: IfFileExists) -> Result<Self> {
        let at = || format!("write {}", address.display());
        if if_exists == IfFileExists::Fail {
            match media.open(address) {
                Ok(_) => return Err(exists().at(at())),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.at(at())),
            }
        }
        let upload = media.create(address).at(at)?;
        let object = Object { upload, address: address.to_owned(), waiting: Vec::new() };
        Ok(Self { to: To::Store(object), bytes: 0 })
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Call after all bytes: a file gets its final name.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.flush().at(|| self.described())?;
        let described = self.described();
        match self.to {
            To::Standard(_) | To::Through(_, _) => {}
            To::File(file) => file.place().at(|| described)?,
            To::Store(mut object) => {
                object.send().and_then(|()| wait(object.upload.finish())).at(|| described)?
            }
        }
        Ok(self.bytes)
    }

    pub(crate) fn described(&self) -> String {
        match &self.to {
            To::Standard(_) => "write to standard output".to_owned(),
            To::Through(_, path) => format!("write {}", path.display()),
            To::File(file) => format!("write {}", file.target.display()),
            To::Store(object) => format!("write {}", object.address.display()),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.to {
            To::Standard(out) => out.lock().write(bytes),
            To::Through(file, _) => file.write(bytes),
            To::File(file) => file.file.write(bytes),
            To::Store(object) => {
                object.waiting.extend_from_slice(bytes);
                if object.waiting.len() >= PIECE_BYTES {
                    object.send().map_err(io::Error::other)?;
                }
                Ok(bytes.len())
            }
        }?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Standard(out) => out.flush(),
            To::Through(file, _) => file.flush(),
            To::File(file) => file.file.flush(),
            // what waits is sent when there is enough of it, and at the end
            To::Store(_) => Ok(()),
        }
    }
}

/// A file under a temporary name in the folder of its target. Removed on drop.
#[derive(Debug)]
struct Unfinished {
    file: File,
    path: PathBuf,
    target: PathBuf,
    if_exists: IfFileExists,
}

impl Unfinished {
    fn create(target: &Path, if_exists: IfFileExists) -> Result<Self> {
        let name = target.file_name().ok_or_else(|| Error::invalid("expected the name of a file"))?;
        let passing = format!(".{}.unfinished-{:016x}", name.to_string_lossy(), random::u64()?);
        let path = target.with_file_name(passing);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path, target: target.to_owned(), if_exists })
    }

    fn place(self) -> Result<()> {
        // Otherwise a power cut could leave an empty file under the final name.
        self.file.sync_data()?;
        match self.if_exists {
            IfFileExists::Replace => fs::rename(&self.path, &self.target)?,
            IfFileExists::Fail => match fs::hard_link(&self.path, &self.target) {
                Err(reason) if reason.kind() == io::ErrorKind::AlreadyExists => return Err(exists()),
                // a medium without hard links: the nearest substitute
                Err(_) if !self.target.exists() => fs::rename(&self.path, &self.target)?,
                done => done?,
            },
        }
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // after a rename there is no temporary file
        drop(fs::remove_file(&self.path));
    }
}

fn exists() -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        "the file exists; choose another name, or allow to replace it (--overwrite)",
    )
}
