//! Kernels: named, versioned functions over batches. Parameters travel, code never does.
//!
//! Two tiers. Engines see [`KernelType`] → [`Kernel`] → [`Step`]: one partition at a time, push-based, so that the same
//! kernel fits a thread pool and an async stream. Authors write a [`MapKernel`] (batch in, batch out) or a [`FoldKernel`]
//! (partition in, rows at its end), and adapters make the rest.
//!
//! What a kernel leaves in place ([`Keeps`]) and whether it draws fresh randomness are declared by the kernel and not by
//! its caller: a caller could be wrong. How many rows it gets at once is the engine's choice, by measuring: no kernel can
//! know how fast the machine is, so the result must not depend on how rows are cut into batches.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::computing::{Blob, BlobRef};
use crate::error::{Error, ErrorKind, Result};
use crate::schema::TableSchema;

/// What a map leaves in place, and so which layouts outlive it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Keeps {
    /// Any rows, any keys: the result is `Loose`.
    Nothing,
    /// A subsequence of the input's rows, with their keys: `Keyed` survives, row numbers do not.
    Keys,
    /// One row for each, in order, other keys: `Rows` survives, `Keyed` does not.
    Rows,
    /// One row for each, in order, with its key: every layout survives.
    Both,
    /// One row for each run of equal keys that stand beside each other, in order: `Keyed` survives, and keys are unique.
    Groups,
}

/// Whether running a kernel twice gives the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Repeats {
    /// The same rows each time.
    Same,
    /// Fresh randomness each time (encryption): its result must be kept before anybody sees it, else a retried partition
    /// would mix two runs.
    Fresh,
}

/// A kernel's name and parameters: what a plan holds, and what an executor gets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelCall {
    name: String,
    version: u32,
    params: Bytes,
    blobs: Vec<BlobRef>,
}

impl KernelCall {
    /// A call of a [`MapKernel`].
    pub fn map<K: MapKernel>(params: &K::Params) -> Result<Self> {
        Self::encode(K::NAME, K::VERSION, params)
    }

    /// A call of a [`FoldKernel`].
    pub fn fold<K: FoldKernel>(params: &K::Params) -> Result<Self> {
        Self::encode(K::NAME, K::VERSION, params)
    }

    fn encode<P: Serialize>(name: &str, version: u32, params: &P) -> Result<Self> {
        let params = postcard::to_stdvec(params)
            .map_err(|e| Error::bug(format!("encode parameters of kernel {name}")).because(e))?;
        Ok(Self { name: name.into(), version, params: params.into(), blobs: Vec::new() })
    }

    /// Adds a large or secret parameter; the kernel sees it at the same position of `blobs`.
    #[must_use]
    pub fn with_blob(mut self, blob: BlobRef) -> Self {
        self.blobs.push(blob);
        self
    }

    /// The registered name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Large or secret parameters, in order.
    pub fn blobs(&self) -> &[BlobRef] {
        &self.blobs
    }

    fn decode<P: DeserializeOwned>(&self) -> Result<P> {
        let (params, rest) = postcard::take_from_bytes(&self.params).map_err(|e| {
            Error::new(ErrorKind::Corrupt, format!("parameters of kernel {} do not decode", self.name))
                .because(e)
        })?;
        if !rest.is_empty() {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("{} bytes follow the parameters of kernel {}", rest.len(), self.name),
            ));
        }
        Ok(params)
    }
}

/// Never the parameters: they may say what is being looked for.
impl fmt::Debug for KernelCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// Which partition a step works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartContext {
    /// From 0.
    pub partition: u32,
    /// How many there are.
    pub partitions: u32,
    /// Number of the first input row, when the input is laid out in `Rows`.
    pub first_row: Option<u64>,
}

/// Takes a step's output.
pub trait Emit {
    /// Rows of the kernel's output schema; empty batches may be dropped.
    fn emit(&mut self, rows: RecordBatch) -> Result<()>;
}

impl Emit for Vec<RecordBatch> {
    fn emit(&mut self, rows: RecordBatch) -> Result<()> {
        self.push(rows);
        Ok(())
    }
}

/// A kernel's entry in [`Kernels`]: one per name.
pub trait KernelType: fmt::Debug + Send + Sync + 'static {
    /// Unique; `area.verb`.
    fn name(&self) -> &'static str;
    /// Raised with every change of meaning or parameters.
    fn version(&self) -> u32;
    /// What it leaves in place.
    fn keeps(&self) -> Keeps;
    /// Whether it draws fresh randomness.
    fn repeats(&self) -> Repeats {
        Repeats::Same
    }
    /// Whether each row's result depends on that row alone, so that an engine may start several steps in one partition, each
    /// on a stretch of its rows. Only with [`Keeps::Rows`] or [`Keeps::Both`].
    fn is_row_wise(&self) -> bool {
        false
    }
    /// The schema that comes out of `input`; errors: `InvalidInput` if the kernel cannot work on it.
    fn output(&self, call: &KernelCall, input: &TableSchema) -> Result<TableSchema>;
    /// Decodes parameters and sets up what all partitions share, once a process.
    fn open(&self, call: &KernelCall, input: &TableSchema, blobs: &[Blob]) -> Result<Arc<dyn Kernel>>;
}

/// An opened kernel, shared by all partitions.
pub trait Kernel: Send + Sync {
    /// Begins one partition.
    fn start(&self, part: PartContext) -> Result<Box<dyn Step>>;
}

/// One partition on its way through a kernel: rows come in order, in batches cut as the engine likes.
pub trait Step: Send {
    /// Takes rows and emits what is ready.
    fn push(&mut self, rows: RecordBatch, out: &mut dyn Emit) -> Result<()>;
    /// Emits what is left. Called once, after the last row; not called after an error or a cancel.
    fn finish(self: Box<Self>, out: &mut dyn Emit) -> Result<()>;
}

/// Batch in, batch out, with nothing remembered in between: what most authors write. `Self` is the opened kernel.
pub trait MapKernel: Sized + Send + Sync + 'static {
    /// What travels. Often `Self`.
    type Params: Serialize + DeserializeOwned;
    /// Unique name, `area.verb`.
    const NAME: &'static str;
    /// Raised with every change of meaning or parameters.
    const VERSION: u32 = 1;
    /// What it leaves in place.
    const KEEPS: Keeps;
    /// Whether it draws fresh randomness.
    const REPEATS: Repeats = Repeats::Same;

    /// The schema that comes out; that of the input, unless a kernel says otherwise.
    fn output(_params: &Self::Params, input: &TableSchema) -> Result<TableSchema> {
        Ok(input.clone())
    }
    /// Set-up shared by all partitions. `input` is the schema of the rows to come.
    fn open(params: Self::Params, input: &TableSchema, blobs: &[Blob]) -> Result<Self>;
    /// Rows of the output schema for rows of the input. `rows` starts at row `first_row` of the table where that is
    /// known (`Rows` layouts).
    fn map(&self, first_row: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch>;
}

/// Partition in, a few rows at its end: sketches, sums, histograms.
pub trait FoldKernel: Sized + Send + Sync + 'static {
    /// What travels. Often `Self`.
    type Params: Serialize + DeserializeOwned;
    /// What a partition gathers.
    type State: Send + 'static;
    /// Unique name, `area.verb`.
    const NAME: &'static str;
    /// Raised with every change of meaning or parameters.
    const VERSION: u32 = 1;
    /// What it leaves in place: `Nothing`, `Keys` or `Groups`.
    const KEEPS: Keeps = Keeps::Nothing;
    /// Whether it draws fresh randomness.
    const REPEATS: Repeats = Repeats::Same;

    /// The schema that comes out; that of the input, unless a kernel says otherwise.
    fn output(_params: &Self::Params, input: &TableSchema) -> Result<TableSchema> {
        Ok(input.clone())
    }
    /// Set-up shared by all partitions.
    fn open(params: Self::Params, input: &TableSchema, blobs: &[Blob]) -> Result<Self>;
    /// An empty state.
    fn start(&self, part: PartContext) -> Result<Self::State>;
    /// Takes rows; may emit what is complete.
    fn fold(&self, state: &mut Self::State, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()>;
    /// Emits what is left.
    fn finish(&self, state: Self::State, out: &mut dyn Emit) -> Result<()>;
}

struct MapType<K>(PhantomData<fn() -> K>);
struct FoldType<K>(PhantomData<fn() -> K>);
struct Opened<K>(Arc<K>);
struct MapStep<K>(Arc<K>, Option<u64>);
struct FoldOpened<K>(Arc<K>);
struct FoldStep<K: FoldKernel>(Arc<K>, K::State);

impl<K: MapKernel> fmt::Debug for MapType<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(K::NAME)
    }
}

impl<K: MapKernel> KernelType for MapType<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }
    fn version(&self) -> u32 {
        K::VERSION
    }
    fn keeps(&self) -> Keeps {
        K::KEEPS
    }
    fn repeats(&self) -> Repeats {
        K::REPEATS
    }
    fn is_row_wise(&self) -> bool {
        matches!(K::KEEPS, Keeps::Rows | Keeps::Both)
    }
    fn output(&self, call: &KernelCall, input: &TableSchema) -> Result<TableSchema> {
        K::output(&call.decode()?, input)
    }
    fn open(&self, call: &KernelCall, input: &TableSchema, blobs: &[Blob]) -> Result<Arc<dyn Kernel>> {
        Ok(Arc::new(Opened(Arc::new(K::open(call.decode()?, input, blobs)?))))
    }
}

impl<K: MapKernel> Kernel for Opened<K> {
    fn start(&self, part: PartContext) -> Result<Box<dyn Step>> {
        Ok(Box::new(MapStep(self.0.clone(), part.first_row)))
    }
}

impl<K: MapKernel> Step for MapStep<K> {
    fn push(&mut self, rows: RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let count = rows.num_rows() as u64;
        let mapped = self.0.map(self.1, &rows)?;
        let one_for_each = matches!(K::KEEPS, Keeps::Rows | Keeps::Both);
        if one_for_each && mapped.num_rows() as u64 != count {
            return Err(Error::new(
                ErrorKind::Kernel,
                format!("{} rows came out of {count}, expected one for each", mapped.num_rows()),
            ));
        }
        self.1 = self.1.map(|row| row + count);
        out.emit(mapped)
    }

    fn finish(self: Box<Self>, _: &mut dyn Emit) -> Result<()> {
        Ok(())
    }
}

impl<K: FoldKernel> fmt::Debug for FoldType<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(K::NAME)
    }
}

impl<K: FoldKernel> KernelType for FoldType<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }
    fn version(&self) -> u32 {
        K::VERSION
    }
    fn keeps(&self) -> Keeps {
        K::KEEPS
    }
    fn repeats(&self) -> Repeats {
        K::REPEATS
    }
    fn output(&self, call: &KernelCall, input: &TableSchema) -> Result<TableSchema> {
        K::output(&call.decode()?, input)
    }
    fn open(&self, call: &KernelCall, input: &TableSchema, blobs: &[Blob]) -> Result<Arc<dyn Kernel>> {
        Ok(Arc::new(FoldOpened(Arc::new(K::open(call.decode()?, input, blobs)?))))
    }
}

impl<K: FoldKernel> Kernel for FoldOpened<K> {
    fn start(&self, part: PartContext) -> Result<Box<dyn Step>> {
        Ok(Box::new(FoldStep(self.0.clone(), self.0.start(part)?)))
    }
}

impl<K: FoldKernel> Step for FoldStep<K> {
    fn push(&mut self, rows: RecordBatch, out: &mut dyn Emit) -> Result<()> {
        self.0.fold(&mut self.1, &rows, out)
    }

    fn finish(self: Box<Self>, out: &mut dyn Emit) -> Result<()> {
        self.0.finish(self.1, out)
    }
}

/// The kernels of this binary, by name. Listed explicitly: nothing registers itself.
#[derive(Debug, Clone, Default)]
pub struct Kernels(BTreeMap<&'static str, Arc<dyn KernelType>>);

impl Kernels {
    /// Adds a [`MapKernel`].
    #[must_use]
    pub fn map<K: MapKernel>(self) -> Self {
        self.with(Arc::new(MapType::<K>(PhantomData)))
    }

    /// Adds a [`FoldKernel`].
    #[must_use]
    pub fn fold<K: FoldKernel>(self) -> Self {
        self.with(Arc::new(FoldType::<K>(PhantomData)))
    }

    /// Adds any kernel. A name given twice keeps the later one, which the fingerprint shows.
    #[must_use]
    pub fn with(mut self, kernel: Arc<dyn KernelType>) -> Self {
        self.0.insert(kernel.name(), kernel);
        self
    }

    /// Adds all kernels of another list.
    #[must_use]
    pub fn and(mut self, other: Kernels) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The kernel a call names; `Unsupported` when this binary has no such kernel or another version of it.
    pub fn get(&self, call: &KernelCall) -> Result<&Arc<dyn KernelType>> {
        let found = self.0.get(call.name.as_str()).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, format!("no kernel {} in this binary", call.name))
        })?;
        if found.version() != call.version {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "kernel {} is version {} here, asked for {}",
                    call.name,
                    found.version(),
                    call.version
                ),
            ));
        }
        Ok(found)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.keys().copied()
    }

    /// Equal for binaries that list the same names and versions; compared before work is accepted from a peer process.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for kernel in self.0.values() {
            // No name holds a line end.
            digest.update(format!("{}@{}\n", kernel.name(), kernel.version()));
        }
        digest.finalize().into()
    }
}
