//! The inputs that the arguments of `--file` name: files, patterns, folders, standard input; plain or compressed, CSV or
//! Parquet.
//!
//! An upload reads its rows twice, and from many places at once. Pipes and compressed files cannot be read in this way, so
//! they are first copied to a temporary file without a name: no other process can open it, and it disappears with the
//! process, however that ends. Compression is recognised by a file's first bytes, not by its name. What is not compressed in a store is read there.

mod find;
mod folder;
mod format;
mod spool;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tributary_core::bytestore::FileState;
use tributary_core::media::{Media, Source, scheme_of};
use tributary_core::{Error, Result, ResultExt};
use tributary_csv::stamp;
use tributary_parquet::{Files, Location};
use tributary_system::{LocalFile, Stamp, local};

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
    At { path: PathBuf, state: FileState, media: Arc<dyn Media> },
    /// Our own copy.
    Copy(Arc<dyn Source>),
}

/// The inputs of an upload: files of one kind.
#[derive(Debug)]
pub(crate) enum Inputs {
    /// Files, and the keys of the folders that they are in.
    Csv(Vec<Input>, Vec<String>),
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
    let find::Files { paths, keys } = find::resolve(&options.files, &*options.media)?;
    let mut copying = Copying { once, scratch: &options.scratch, unfolding: &mut unfolding, meter };
    for path in paths {
        match Input::prepare(&path, &options.media, &mut copying)? {
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
        return Ok(Inputs::Csv(csv, keys));
    }
    let files = Files::of(parquet, &keys, &options.media)?;
    for file in files.files() {
        let unpacked = file.groups.iter().fold(0, |sum: u64, group| sum.saturating_add(group.unpacked));
        unfolding.add(&file.path.display().to_string(), file.bytes, unpacked)?;
    }
    Ok(Inputs::Parquet(files))
}

/// What is needed where input is copied.
struct Copying<'a> {
    once: Once,
    scratch: &'a Path,
    unfolding: &'a mut Unfolding,
    meter: &'a Meter,
}

impl Copying<'_> {
    /// `bytes`: the number of bytes to copy, if known. `what`: why it can be read only once.
    fn copy(
        &mut self,
        name: String,
        what: &str,
        from: impl FnOnce() -> Result<Box<dyn Read>>,
        bytes: u64,
    ) -> Result<Found> {
        if self.once == Once::Refused {
            return Err(Error::invalid(format!(
                "{name} {what}, but a bound table reads its files in place, from any row on; upload it \
                 (tributary data upload)"
            )));
        }
        let (file, bytes) = spool(from()?, &name, bytes, self.scratch, self.unfolding, self.meter)?;
        let file = Arc::new(LocalFile::new(file, &*name)?);
        match format_of(&*file) {
            Ok(Format::Parquet) => Ok(Found::Parquet(Location::Open(file))),
            Err(error) => Err(error),
            // a second compression within the first is found when rows are read
            Ok(_) => Input { name, bytes, medium: Medium::Copy(file) }.check_not_empty().map(Found::Csv),
        }
    }
}

impl Input {
    fn prepare(path: &Path, media: &Arc<dyn Media>, copying: &mut Copying<'_>) -> Result<Found> {
        if path == Path::new(STANDARD_INPUT) {
            let from = || Ok(Box::new(io::stdin().lock()) as Box<dyn Read>);
            return copying.copy("standard input".into(), "can be read only once", from, 0);
        }
        let name = path.display().to_string();
        if scheme_of(path).is_none() {
            let about = fs::metadata(path).at(|| format!("open {name}"))?;
            if about.file_type().is_fifo() {
                let open = || {
                    Ok(Box::new(File::open(path).at(|| format!("open {}", path.display()))?) as Box<dyn Read>)
                };
                return copying.copy(name, "is a pipe", open, 0);
            }
            if !about.is_file() {
                return Err(Error::invalid(format!("{name} is neither a file nor a pipe")));
            }
        }
        let source = media.open(path)?;
        match format_of(&*source)? {
            Format::Text => {}
            Format::Parquet => return Ok(Found::Parquet(Location::At(path.into()))),
            Format::Gzip | Format::Zstd => {
                let bytes = source.bytes();
                return copying.copy(name, "is compressed", || Ok(Box::new(InOrder::new(source))), bytes);
            }
        }
        let state = source.state().clone();
        let bytes = state.bytes;
        let medium = Medium::At { path: path.into(), state, media: media.clone() };
        Self { name, bytes, medium }.check_not_empty().map(Found::Csv)
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

    /// Its lasting address, if it has one.
    pub fn place(&self) -> String {
        let Medium::At { path, .. } = &self.medium else { return self.name.clone() };
        lasting(path).map_or_else(|_| self.name.clone(), |path| path.display().to_string())
    }

    /// Its address, if it has one.
    pub fn path(&self) -> Option<&Path> {
        match &self.medium {
            Medium::At { path, .. } => Some(path),
            Medium::Copy(_) => None,
        }
    }

    /// Its bytes, uncompressed.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens it for reading; `Conflict` if it has changed.
    pub fn open(&self) -> Result<Arc<dyn Source>> {
        match &self.medium {
            Medium::Copy(file) => Ok(file.clone()),
            Medium::At { path, state, media } => {
                let file = media.open(path)?;
                match file.state() == state {
                    true => Ok(file),
                    false => Err(self.changed()),
                }
            }
        }
    }

    /// Its address and its stamp. `Conflict` if it has changed.
    pub fn stamp(&self) -> Result<(PathBuf, Stamp)> {
        let Medium::At { path, .. } = &self.medium else {
            return Err(Error::bug(format!("a copy of {} does not last", self.name)));
        };
        let stamp = stamp(&*self.open()?)?;
        self.open()?; // the stamp is of what the first pass read
        Ok((lasting(path).at(|| format!("find {}", self.name))?, stamp))
    }

    /// The error for an input that has changed.
    pub fn changed(&self) -> Error {
        local::changed(&self.name)
    }
}

fn lasting(path: &Path) -> io::Result<PathBuf> {
    if scheme_of(path).is_some() { Ok(path.to_owned()) } else { std::path::absolute(path) }
}

fn format_of(file: &dyn Source) -> Result<Format> {
    let mut first = vec![0; file.bytes().min(Format::BYTES) as usize];
    file.read_at(0, &mut first)?;
    Format::of(&first, file.name())
}

/// A file from its beginning to its end.
struct InOrder {
    file: Arc<dyn Source>,
    at: u64,
}

impl InOrder {
    fn new(file: Arc<dyn Source>) -> Self {
        file.expect(std::slice::from_ref(&(0..file.bytes())), 1);
        Self { file, at: 0 }
    }
}

impl Read for InOrder {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = (self.file.bytes() - self.at).min(to.len() as u64) as usize;
        // of a kind that no decoder uses for damage of its own
        let failed = |error| io::Error::new(io::ErrorKind::ConnectionAborted, error);
        self.file.read_at(self.at, &mut to[..read]).map_err(failed)?;
        self.at += read as u64;
        Ok(read)
    }
}
