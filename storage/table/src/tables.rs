//! [`Storage`] over a byte store: which files are visible, and when. Other modules define the content of manifests and
//! parts.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};

use tributary_core::bound::BoundPart;
use tributary_core::check::Finding;
use tributary_core::computing::RowStream;
use tributary_core::media::Media;
use tributary_core::storage::{
    IfExists, InUse, Part, Storage, StorageInfo, StoredTable, Sweep, Swept, TableUri, Write, WriteOptions,
};
use tributary_core::wanted::Wanted;
use tributary_core::{Error, ErrorKind, Layout, Result, ResultExt, TableName, TableSchema};

use crate::bound::{self, Bound};
use crate::commit::Undecided;
use crate::examine;
use crate::manifest::{self, Manifest};
use crate::place::{Attempt, PartKind, Place, check_part_file, fresh_part_file};
use tributary_core::bytestore::{ByteStore, Revision};
use tributary_parquet::{PartFile, check_schema, digest_of, write_rows};
use tributary_system::LocalMedia;

/// The tables of a byte store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tables {
    pub(crate) store: Arc<dyn ByteStore>,
    media: Arc<dyn Media>,
    pub(crate) undecided: Undecided,
}

impl Tables {
    /// All tables below the store's base; files of this machine alone may be bound.
    pub fn new(store: Arc<dyn ByteStore>) -> Self {
        Self { store, media: Arc::new(LocalMedia), undecided: Undecided::default() }
    }

    /// The same tables, bound to files wherever these find them.
    #[must_use]
    pub fn with_media(&self, media: Arc<dyn Media>) -> Self {
        Self { media, ..self.clone() }
    }

    /// What its addresses begin with.
    fn scheme(&self) -> &str {
        self.store.base().split_once("://").map_or("", |(scheme, _)| scheme)
    }

    pub(crate) fn place(&self, uri: &TableUri) -> Result<Place> {
        Place::of_uri(self.store.base(), uri)
    }

    pub(crate) async fn manifest(&self, place: &Place) -> Result<Option<Manifest>> {
        self.manifest_and_revision(place).await?.map(|(manifest, _)| manifest).transpose()
    }

    /// The manifest, or what is wrong with it, and the revision that was read.
    pub(crate) async fn manifest_and_revision(
        &self,
        place: &Place,
    ) -> Result<Option<(Result<Manifest>, Revision)>> {
        let read = self.store.get_with_revision(&place.manifest(), manifest::MAX_BYTES + 1).await;
        let (text, revision) = match read {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let path = || format!("manifest {}/{}", self.store.base(), place.manifest());
        Ok(Some((Manifest::decode(&text).at(path), revision)))
    }

    pub(crate) async fn remove_folder(&self, folder: &str) -> Result<()> {
        let paths: Vec<String> = self.store.list(folder).await?.into_iter().map(|entry| entry.path).collect();
        self.store.delete(&paths).await
    }

    /// The rows of a part, in any place.
    async fn part_rows(&self, table: &StoredTable, partition: u32, wanted: &Wanted) -> Result<RowStream> {
        let file = self.part_file(table, partition)?;
        match PartKind::of(&file.part.file) {
            PartKind::Rows => file.rows(&table.schema, wanted).await,
            PartKind::Bound => {
                let bound = self.bound(&file, &table.schema).await?;
                let rows = begun(bound.rows(&table.schema, wanted.columns.as_deref(), &self.media)?).await?;
                let mut of_columns = wanted.clone();
                of_columns.columns = None;
                Ok(of_columns.of(rows))
            }
        }
    }

    async fn verify_part(&self, table: &StoredTable, partition: u32) -> Result<()> {
        let mut file = self.part_file(table, partition)?;
        match PartKind::of(&file.part.file) {
            PartKind::Rows => file.verify(&table.schema).await,
            PartKind::Bound => {
                let rows = file.part.size.rows;
                self.bound(&file, &table.schema).await?.verify(&table.schema, rows, &self.media).await
            }
        }
    }

    async fn bound(&self, file: &PartFile, schema: &TableSchema) -> Result<Bound> {
        let at = || format!("bound part {}/{}", self.store.base(), file.path);
        if !self.store.info().binds {
            return Err(Error::new(ErrorKind::Corrupt, "a store that binds no files has one").at(at()));
        }
        let text = self.store.get(&file.path, 0..bound::MAX_BYTES).await?;
        let digest = digest_of(&text);
        if digest != file.part.digest {
            let text =
                format!("it has the digest {digest}, expected {}; bind the table again", file.part.digest);
            return Err(Error::new(ErrorKind::Corrupt, text).at(at()));
        }
        Bound::decode(&text, schema, file.part.size.rows, self.scheme()).at(at)
    }

    async fn write_bound(&self, write: &Write, parts: Vec<BoundPart>) -> Result<Vec<Part>> {
        let (place, attempt) = (self.place(&write.uri)?, Attempt::parse(&write.attempt)?);
        let mut written = Vec::new();
        for (partition, part) in (0..).zip(parts) {
            let size = part.size;
            let (file, text) = (
                fresh_part_file(partition, PartKind::Bound)?,
                bound::encode(part, &write.schema, self.scheme())?,
            );
            let mut upload = self.store.put(&place.part(&attempt, &file)).await?;
            upload.write(text.clone()).await?;
            upload.finish().await?;
            written.push(Part { file, size, digest: digest_of(&text) });
        }
        Ok(written)
    }

    fn part_file(&self, table: &StoredTable, partition: u32) -> Result<PartFile> {
        let place = self.place(&table.uri)?;
        let part = part_of(table, partition)?;
        check_part_file(&part.file, partition)?;
        let path = place.part(&Attempt::parse(&table.snapshot)?, &part.file);
        Ok(PartFile::new(self.store.clone(), path, part.clone()))
    }

    /// A missing part is corruption while the manifest names it; otherwise the table was replaced or deleted.
    async fn explain(&self, table: &StoredTable, error: Error) -> Error {
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        let manifest = match self.place(&table.uri) {
            Ok(place) => self.manifest(&place).await,
            Err(_) => Ok(None),
        };
        match manifest {
            Ok(Some(manifest)) if manifest.is_of(&table.snapshot) => Error::new(
                ErrorKind::Corrupt,
                "a part that the manifest names is missing; restore the file, or write the table again",
            )
            .because(error),
            _ => Error::new(
                ErrorKind::NotFound,
                "the table was deleted, or replaced twice, since it was opened; open it again",
            )
            .because(error),
        }
    }

    async fn write_one(&self, write: &Write, partition: u32, rows: RowStream) -> Result<Part> {
        let (place, attempt) = (self.place(&write.uri)?, Attempt::parse(&write.attempt)?);
        write.layout.check()?;
        if partition >= write.layout.partitions() {
            return Err(Error::invalid(format!("the table has {} partitions", write.layout.partitions())));
        }
        let file = fresh_part_file(partition, PartKind::Rows)?;
        let mut upload = self.store.put(&place.part(&attempt, &file)).await?;
        let written = write_rows(&write.schema, rows, &mut *upload)
            .await
            .and_then(|written| write.layout.check_rows(partition, written.size.rows).map(|()| written));
        match written {
            Ok(written) => {
                upload.finish().await?;
                Ok(Part { file, size: written.size, digest: written.digest })
            }
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    /// Refuses at the beginning what the commit would refuse at the end.
    async fn check_way(&self, place: &Place, how: &IfExists) -> Result<()> {
        match how {
            IfExists::Replace => Ok(()),
            IfExists::Fail => match self.manifest(place).await {
                Ok(None) => Ok(()),
                Err(error) if error.kind() != ErrorKind::Corrupt => Err(error),
                _ => Err(already_exists()),
            },
            IfExists::ReplaceSnapshot(expected) => match self.manifest(place).await? {
                there if is_of(there.as_ref(), expected) => Ok(()),
                _ => Err(changed()),
            },
        }
    }
}

/// What is wrong before the first row is an error of the scan, also where another thread reads.
async fn begun(mut rows: RowStream) -> Result<RowStream> {
    match rows.next().await.transpose()? {
        Some(first) => Ok(stream::iter([Ok(first)]).chain(rows).boxed()),
        None => Ok(stream::empty().boxed()),
    }
}

pub(crate) fn is_of(manifest: Option<&Manifest>, snapshot: &str) -> bool {
    manifest.is_some_and(|manifest| manifest.is_of(snapshot))
}

fn part_of(table: &StoredTable, partition: u32) -> Result<&Part> {
    let part = table.parts.get(partition as usize);
    part.ok_or_else(|| Error::invalid(format!("partition {partition}, the table has {}", table.parts.len())))
}

pub(crate) fn changed() -> Error {
    Error::new(ErrorKind::Conflict, "the table was replaced or deleted since it was read; read it again")
}

pub(crate) fn already_exists() -> Error {
    Error::new(ErrorKind::AlreadyExists, "the table exists; choose another name, or replace it")
}

#[async_trait]
impl Storage for Tables {
    fn info(&self) -> &StorageInfo {
        self.store.info()
    }

    fn addresses(&self) -> Vec<String> {
        vec![self.store.base().to_owned()]
    }

    fn locate(&self, name: &TableName) -> Result<TableUri> {
        Place::of_name(name)?.uri(self.store.base())
    }

    async fn open(&self, uri: &TableUri) -> Result<StoredTable> {
        let at = || format!("open table {uri}");
        let manifest = self.manifest(&self.place(uri).at(at)?).await.at(at)?;
        let manifest = manifest.ok_or_else(|| not_found(uri))?;
        Ok(manifest.into_table(uri.clone()))
    }

    async fn scan(&self, table: &StoredTable, partition: u32) -> Result<RowStream> {
        self.scan_some(table, partition, &Wanted::default()).await
    }

    async fn scan_some(&self, table: &StoredTable, partition: u32, wanted: &Wanted) -> Result<RowStream> {
        let at = format!("read partition {partition} of table {}", table.uri);
        part_of(table, partition).and_then(|_| wanted.check(table, partition)).at(|| at.as_str())?;
        let rows = match self.part_rows(table, partition, wanted).await {
            Ok(rows) => rows,
            Err(error) => return Err(self.explain(table, error).await.at(at)),
        };
        let scan = Arc::new((self.clone(), table.clone(), at));
        let explained = rows.or_else(move |error| {
            let scan = scan.clone();
            async move {
                let (tables, table, at) = &*scan;
                Err(tables.explain(table, error).await.at(at.as_str()))
            }
        });
        Ok(explained.boxed())
    }

    async fn begin(
        &self,
        uri: &TableUri,
        schema: &TableSchema,
        layout: &Layout,
        options: WriteOptions,
    ) -> Result<Write> {
        let at = || format!("begin table {uri}");
        let place = self.place(uri).at(at)?;
        self.info().expect_writing(&options).at(at)?;
        layout.check().at(at)?;
        check_schema(schema).at(at)?;
        if matches!(layout, Layout::Keyed(_)) {
            schema.expect_key("a keyed layout").at(at)?;
        }
        self.check_way(&place, &options.if_exists).await.at(at)?;
        Ok(Write {
            uri: uri.clone(),
            attempt: Attempt::fresh()?.into(),
            schema: schema.clone(),
            layout: layout.clone(),
            options,
        })
    }

    async fn write_part(&self, write: &Write, partition: u32, rows: RowStream) -> Result<Part> {
        self.write_one(write, partition, rows)
            .await
            .at(|| format!("write partition {partition} of table {}", write.uri))
    }

    async fn commit(&self, write: Write, parts: Vec<Part>) -> Result<StoredTable> {
        let uri = write.uri.clone();
        self.commit_parts(write, parts).await.at(|| format!("commit table {uri}"))
    }

    async fn abort(&self, write: Write) -> Result<()> {
        let at = || format!("abort table {}", write.uri);
        let (place, attempt) = (self.place(&write.uri).at(at)?, Attempt::parse(&write.attempt).at(at)?);
        if self.undecided.has(&attempt) {
            // its manifest may still appear; if it does not, clean-up takes the parts
            return Ok(());
        }
        // a commit whose result was lost is a commit
        if let Some(manifest) = self.manifest(&place).await.at(at)?
            && manifest.knows(&attempt)
        {
            return Ok(());
        }
        self.remove_folder(&place.snapshot(&attempt)).await.at(at)
    }

    async fn bind(
        &self,
        uri: &TableUri,
        schema: &TableSchema,
        parts: Vec<BoundPart>,
        options: WriteOptions,
    ) -> Result<StoredTable> {
        let at = || format!("bind table {uri}");
        self.info().expect_binding().at(at)?;
        let layout = Layout::Loose(u32::try_from(parts.len()).unwrap_or(u32::MAX));
        let write = self.begin(uri, schema, &layout, options).await?;
        let written = self.write_bound(&write, parts).await.at(at);
        match async { self.commit(write.clone(), written?).await }.await {
            Ok(table) => Ok(table),
            Err(error) => {
                // the first error is reported; clean-up finds the leftovers
                drop(self.abort(write).await);
                Err(error)
            }
        }
    }

    fn is_bound(&self, table: &StoredTable) -> bool {
        table.parts.iter().any(|part| PartKind::of(&part.file) == PartKind::Bound)
    }

    async fn copy(&self, table: &StoredTable, to: &TableUri) -> Result<StoredTable> {
        let at = || format!("copy table {} to {to}", table.uri);
        let (from, old) = (self.place(&table.uri).at(at)?, Attempt::parse(&table.snapshot).at(at)?);
        let write = self.begin(to, &table.schema, &table.layout, WriteOptions::default()).await.at(at)?;
        let (place, new) = (self.place(to).at(at)?, Attempt::parse(&write.attempt).at(at)?);
        let copied = async {
            for part in &table.parts {
                self.store.copy(&from.part(&old, &part.file), &place.part(&new, &part.file)).await?;
            }
            self.commit(write.clone(), table.parts.clone()).await
        };
        match copied.await {
            Ok(copy) => Ok(copy),
            Err(error) => {
                // the first error is reported; clean-up finds the leftovers
                drop(self.abort(write).await);
                Err(self.explain(table, error).await.at(at()))
            }
        }
    }

    async fn delete(&self, uri: &TableUri) -> Result<()> {
        let at = || format!("delete table {uri}");
        let place = self.place(uri).at(at)?;
        let snapshots = match self.manifest(&place).await {
            Ok(Some(manifest)) => [Some(manifest.snapshot), manifest.previous],
            Ok(None) => return Err(not_found(uri).at(at())),
            // its parts are not known; clean-up finds them
            Err(error) if error.kind() == ErrorKind::Corrupt => [None, None],
            Err(error) => return Err(error.at(at())),
        };
        self.store.delete(&[place.manifest(), place.current()]).await.at(at)?;
        for snapshot in snapshots.into_iter().flatten() {
            self.remove_folder(&place.snapshot(&snapshot)).await.at(at)?;
        }
        Ok(())
    }

    async fn verify(&self, table: &StoredTable) -> Result<()> {
        for partition in 0..table.layout.partitions() {
            let at = || format!("verify partition {partition} of table {}", table.uri);
            if let Err(error) = self.verify_part(table, partition).await {
                return Err(self.explain(table, error).await.at(at()));
            }
        }
        Ok(())
    }

    async fn sweep(&self, what: &Sweep, in_use: &InUse<'_>) -> Result<Swept> {
        self.sweep_all(what, in_use).await
    }

    async fn examine(&self) -> Vec<Finding> {
        let mut findings = examine::probe(&*self.store).await;
        findings.extend(self.store.examine().await);
        findings
    }
}

fn not_found(uri: &TableUri) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no table at {uri}"))
}
