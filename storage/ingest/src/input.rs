//! The inputs that the arguments of `--file` name: files, patterns, folders, standard input; plain or compressed, CSV or
//! Parquet.
//!
//! An upload reads its rows twice, and from many places at once. Pipes and compressed files cannot be read in this way, so
//! they are first copied to a temporary file without a name: no other process can open it, and it disappears with the
//! process, however that ends. Compression is recognised by a file's first bytes, not by its name.

mod find;
mod format;
mod spool;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tributary_core::{Error, Result, ResultExt};
use tributary_csv::Local;
use tributary_parquet::{Files, Location, has_parquet};
use tributary_system::Stamp;

use crate::options::UploadOptions;
use crate::progress::Meter;
use format::Format;
pub(crate) use spool::temporary;
use spool::{Unfolding, spool};

/// The argument that means standard input.
pub(crate) const STANDARD_INPUT: &str = "-";

/// An input that can be read any number of times.
#[derive(Debug)]
pub(crate) struct Input {
    /// Its name in messages.
    name: String,
    bytes: u64,
    medium: Medium,
}

#[derive(Debug)]
enum Medium {
    /// A file of the user, which may change during the upload.
    Path { path: PathBuf, changed: Option<SystemTime> },
    /// Our own copy.
    Copy(Arc<File>),
}

/// The inputs of an upload: files of one kind.
#[derive(Debug)]
pub(crate) enum Inputs {
    Csv(Vec<Input>),
    Parquet(Files),
}

/// One input.
enum Found {
    Csv(Input),
    Parquet(Location),
}

/// How input is handled that can be read only once: a pipe, or a compressed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Once {
    /// It is copied.
    Copied,
    /// It is refused, because rows are read in place.
    Refused,
}

/// Opens all inputs, in order. Errors: `NotFound`; `InvalidInput` for empty files, folders without Parquet files, and
/// unsupported formats.
pub(crate) fn open_all(options: &UploadOptions, once: Once, meter: &Meter) -> Result<Inputs> {
    let (mut csv, mut parquet) = (Vec::new(), Vec::new());
    let (mut first_csv, mut first_parquet) = (None, None);
    let mut unfolding = Unfolding::new(options.max_unpacked);
    for path in find::resolve(&options.files)? {
        match Input::prepare(&path, once, &options.scratch, &mut unfolding, meter)? {
            Found::Csv(input) => {
                csv.push(input);
                first_csv.get_or_insert(path);
            }
            Found::Parquet(source) => {
                parquet.push(source);
                first_parquet.get_or_insert(path);
            }
        }
        if let (Some(one), Some(other)) = (&first_parquet, &first_csv) {
            let (one, other) = (one.display(), other.display());
            let text =
                format!("{one} is Parquet, but {other} is not; all files of a table must have one format");
            return Err(Error::invalid(text));
        }
    }
    if parquet.is_empty() {
        return Ok(Inputs::Csv(csv));
    }
    let files = Files::of(parquet)?;
    for file in files.files() {
        let unpacked = file.groups.iter().fold(0, |sum: u64, group| sum.saturating_add(group.unpacked));
        unfolding.add(&file.path.display().to_string(), file.bytes, unpacked)?;
    }
    Ok(Inputs::Parquet(files))
}

impl Input {
    fn prepare(
        path: &Path,
        once: Once,
        scratch: &Path,
        unfolding: &mut Unfolding,
        meter: &Meter,
    ) -> Result<Found> {
        let check_copied = |name: &str, what: &str| match once {
            Once::Copied => Ok(()),
            Once::Refused => Err(Error::invalid(format!(
                "{name} {what}, but a bound table reads its files in place, from any row on; upload it \
                 (tributary data upload)"
            ))),
        };
        if path == Path::new(STANDARD_INPUT) {
            check_copied("standard input", "can be read only once")?;
            return Self::copy(
                "standard input".into(),
                std::io::stdin().lock(),
                0,
                scratch,
                unfolding,
                meter,
            );
        }
        let name = path.display().to_string();
        let about = fs::metadata(path).at(|| format!("open {name}"))?;
        if about.is_dir() {
            if has_parquet(path) {
                return Ok(Found::Parquet(Location::Path(path.into())));
            }
            let text =
                format!("{name} is a folder without Parquet files; give CSV files in it as '{name}/*.csv'");
            return Err(Error::invalid(text));
        }
        let open = || File::open(path).at(|| format!("open {name}"));
        if about.file_type().is_fifo() {
            check_copied(&name, "is a pipe")?;
            return Self::copy(name.clone(), open()?, 0, scratch, unfolding, meter);
        }
        if !about.is_file() {
            return Err(Error::invalid(format!("{name} is neither a file nor a pipe")));
        }
        let file = open()?;
        match format_of(&file, about.len(), &name)? {
            Format::Text => {}
            Format::Parquet => return Ok(Found::Parquet(Location::Path(path.into()))),
            Format::Gzip | Format::Zstd => {
                check_copied(&name, "is compressed")?;
                return Self::copy(name.clone(), file, about.len(), scratch, unfolding, meter);
            }
        }
        let medium = Medium::Path { path: path.into(), changed: about.modified().ok() };
        Self { name, bytes: about.len(), medium }.check_not_empty().map(Found::Csv)
    }

    /// `bytes`: the number of bytes to copy, if known.
    fn copy(
        name: String,
        from: impl std::io::Read,
        bytes: u64,
        scratch: &Path,
        unfolding: &mut Unfolding,
        meter: &Meter,
    ) -> Result<Found> {
        let (file, bytes) = spool(from, &name, bytes, scratch, unfolding, meter)?;
        let file = Arc::new(file);
        match format_of(&file, bytes, &name) {
            Ok(Format::Parquet) => Ok(Found::Parquet(Location::Open(file, name))),
            Err(error) => Err(error),
            // a second compression within the first is found when rows are read
            Ok(_) => Self { name, bytes, medium: Medium::Copy(file) }.check_not_empty().map(Found::Csv),
        }
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

    /// Its full path, if it has one.
    pub fn place(&self) -> String {
        let Medium::Path { path, .. } = &self.medium else { return self.name.clone() };
        std::path::absolute(path).map_or_else(|_| self.name.clone(), |path| path.display().to_string())
    }

    /// Its bytes, uncompressed.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens it for reading; `Conflict` if it has changed.
    pub fn open(&self) -> Result<Local> {
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
        Ok(Local::new(file, &self.name, self.bytes))
    }

    /// Its path and its stamp. `Conflict` if it has changed.
    pub fn stamp(&self) -> Result<(PathBuf, Stamp)> {
        let Medium::Path { path, .. } = &self.medium else {
            return Err(Error::bug(format!("a copy of {} does not last", self.name)));
        };
        let stamp = self.open()?.stamp()?;
        self.open()?; // the stamp is of what the first pass read
        Ok((std::path::absolute(path).at(|| format!("find {}", self.name))?, stamp))
    }

    /// The error for an input that has changed.
    pub fn changed(&self) -> Error {
        Local::changed(&self.name)
    }
}

fn format_of(file: &File, bytes: u64, name: &str) -> Result<Format> {
    let mut first = vec![0; bytes.min(Format::BYTES) as usize];
    file.read_exact_at(&mut first, 0).at(|| format!("read {name}"))?;
    Format::of(&first, name)
}
