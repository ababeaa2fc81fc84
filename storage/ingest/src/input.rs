//! What the words after `--file` name: files, several by a pattern, standard input; plain or compressed.
//!
//! An upload reads its rows twice, and from many places at once. What cannot be read so, because it comes through a pipe or
//! is compressed, is first copied to a temporary file that has no name: nobody else can open it, and it is gone with the
//! process, however that ends. Compression is known by a file's first bytes, not by its name.

mod find;
mod spool;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tributary_core::{Error, ErrorKind, Result, ResultExt};

use crate::options::UploadOptions;
use crate::progress::Meter;
pub(crate) use spool::temporary;
use spool::{Format, spool};

/// What stands for standard input.
pub(crate) const STANDARD_INPUT: &str = "-";

/// Something with rows, that can be read as often as one likes.
#[derive(Debug)]
pub(crate) struct Input {
    /// For messages.
    name: String,
    bytes: u64,
    medium: Medium,
}

#[derive(Debug)]
enum Medium {
    /// A file of the user's, which may change meanwhile.
    Path { path: PathBuf, changed: Option<SystemTime> },
    /// A copy of ours.
    Copy(Arc<File>),
}

/// What is uploaded: files of one kind.
#[derive(Debug)]
pub(crate) enum Inputs {
    Csv(Vec<Input>),
    Parquet(Vec<PathBuf>),
}

/// Opens all inputs, in order. Errors: `NotFound`; `InvalidInput` for folders, empty files, and formats that are none of ours.
pub(crate) fn open_all(options: &UploadOptions, meter: &Meter) -> Result<Inputs> {
    let paths = find::resolve(&options.files)?;
    let (parquet, other): (Vec<&PathBuf>, Vec<&PathBuf>) = paths.iter().partition(|path| is_parquet(path));
    match (parquet.first(), other.first()) {
        (Some(one), Some(other)) => Err(Error::invalid(format!(
            "{} is Parquet, and {} is not; upload them apart",
            one.display(),
            other.display()
        ))),
        (Some(_), None) => Ok(Inputs::Parquet(paths)),
        _ => {
            let inputs = paths.iter().map(|path| Input::prepare(path, &options.scratch, meter));
            inputs.collect::<Result<_>>().map(Inputs::Csv)
        }
    }
}

/// Whether a file begins as Parquet does; whatever keeps us from seeing that is told later.
fn is_parquet(path: &Path) -> bool {
    let mut first = [0; 4];
    let is_file = fs::metadata(path).is_ok_and(|about| about.is_file());
    is_file
        && File::open(path).is_ok_and(|file| file.read_exact_at(&mut first, 0).is_ok())
        && first == *b"PAR1"
}

impl Input {
    fn prepare(path: &Path, scratch: &Path, meter: &Meter) -> Result<Self> {
        if path == Path::new(STANDARD_INPUT) {
            return Self::copy("standard input".into(), std::io::stdin().lock(), 0, scratch, meter);
        }
        let name = path.display().to_string();
        let about = fs::metadata(path).at(|| format!("open {name}"))?;
        if about.is_dir() {
            let hint = format!("upload the files in it as '{name}/*.csv'");
            return Err(Error::invalid(format!("{name} is a folder, expected a file; {hint}")));
        }
        let open = || File::open(path).at(|| format!("open {name}"));
        if about.file_type().is_fifo() {
            return Self::copy(name.clone(), open()?, 0, scratch, meter);
        }
        if !about.is_file() {
            return Err(Error::invalid(format!("{name} is neither a file nor a pipe")));
        }
        let file = open()?;
        let mut first = vec![0; about.len().min(Format::BYTES) as usize];
        file.read_exact_at(&mut first, 0).at(|| format!("read {name}"))?;
        match Format::of(&first, &name)? {
            Format::Text => {}
            _ => return Self::copy(name.clone(), file, about.len(), scratch, meter),
        }
        let medium = Medium::Path { path: path.into(), changed: about.modified().ok() };
        Self { name, bytes: about.len(), medium }.check_not_empty()
    }

    /// `bytes`: how many there are to copy, if that is known.
    fn copy(
        name: String,
        from: impl std::io::Read,
        bytes: u64,
        scratch: &Path,
        meter: &Meter,
    ) -> Result<Self> {
        let (file, bytes) = spool(from, &name, bytes, scratch, meter)?;
        Self { name, bytes, medium: Medium::Copy(Arc::new(file)) }.check_not_empty()
    }

    fn check_not_empty(self) -> Result<Self> {
        match self.bytes {
            0 => Err(Error::invalid(format!("{} is empty", self.name))),
            _ => Ok(self),
        }
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bytes, uncompressed.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens it for reading; `Conflict` if it is not what it was.
    pub fn open(&self) -> Result<Open> {
        let file = match &self.medium {
            Medium::Copy(file) => file.clone(),
            Medium::Path { path, changed } => {
                let open = || -> Result<(File, fs::Metadata)> {
                    let file = File::open(path)?;
                    let about = file.metadata()?;
                    Ok((file, about))
                };
                let (file, about) = open().at(|| format!("open {}", self.name))?;
                if about.len() != self.bytes || about.modified().ok() != *changed {
                    return Err(self.changed());
                }
                Arc::new(file)
            }
        };
        Ok(Open { file, name: self.name.clone(), bytes: self.bytes })
    }

    /// The error for an input that is not what it was.
    pub fn changed(&self) -> Error {
        changed(&self.name)
    }
}

fn changed(name: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("{name} changed while it was read; upload it again"))
}

/// An input, opened.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    file: Arc<File>,
    name: String,
    bytes: u64,
}

impl Open {
    /// Its bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Fills `to` from there on.
    pub fn read_exact(&self, from: u64, to: &mut [u8]) -> Result<()> {
        match self.file.read_exact_at(to, from) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(changed(&self.name)),
            other => other.at(|| format!("read {}", self.name)),
        }
    }
}
