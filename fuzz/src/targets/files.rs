//! Files that are uploaded: everything that an upload checks, up to the writing.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use futures::executor::block_on;
use tempfile::TempDir;
use tributary_core::meta::StorageMeta;
use tributary_core::storage::Storage;
use tributary_core::{Result, TableName};
use tributary_ingest::UploadOptions;

use super::judge;

const CSV: [&str; 4] = [
    "id,y,x\na,1,0.5\nb,0,\"1,5\"\nc,1,\n",
    "id;when;text\r\n1;2024-02-29T12:00:00.123456Z;\"a \"\"b\"\"\r\nc\"\r\n2;1999-01-01T00:00:00Z;ä\r\n",
    "\u{feff},0,1\n0,00012,1e308\n1,-0,9007199254740993\n2,NaN,true\n",
    "id\n1\n",
];

/// A site with nothing in it.
struct Site {
    folder: TempDir,
    storage: Arc<dyn Storage>,
    meta: Arc<dyn StorageMeta>,
}

static SITE: LazyLock<Result<Site>> = LazyLock::new(|| {
    let folder = tempfile::tempdir()?;
    let storage = tributary_file::storage(&folder.path().join("tables"))?;
    let meta = tributary_meta::open(&folder.path().join("meta.db"))?;
    Ok(Site { folder, storage, meta })
});

fn check(name: &str, bytes: &[u8]) {
    let Ok(site) = &*SITE else { unreachable!("no site in the temporary folder") };
    let file = site.folder.path().join(name);
    let written = fs::write(&file, bytes);
    assert!(written.is_ok(), "{written:?}");
    judge(
        options(site, &file).and_then(|options| {
            block_on(tributary_ingest::dry_run(&site.storage, &site.meta, options, |_| {}))
        }),
    );
}

fn options(site: &Site, file: &Path) -> Result<UploadOptions> {
    let mut options = UploadOptions::new(TableName::new("n", "t")?, [PathBuf::from(file)]);
    options.scratch = site.folder.path().join("scratch");
    options.max_rejects = 2;
    Ok(options)
}

pub(super) fn csv_files() -> Vec<Vec<u8>> {
    CSV.map(Into::into).to_vec()
}

pub(super) fn csv(bytes: &[u8]) {
    check("rows.csv", bytes);
}

pub(super) fn packed_csv_files() -> Vec<Vec<u8>> {
    let gzip = |text: &str| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(text.as_bytes()).and_then(|()| packed.finish()).unwrap_or_default()
    };
    let zstd = |text: &str| zstd::stream::encode_all(text.as_bytes(), 3).unwrap_or_default();
    let long = "id,x\n".to_owned() + &(0..500).map(|row| format!("{row},{}\n", row / 7)).collect::<String>();
    let members = [gzip("id,x\n1,2\n"), gzip("3,4\n")].concat();
    vec![gzip(CSV[0]), zstd(CSV[1]), gzip(&long), zstd(&long), members]
}

pub(super) fn packed_csv(bytes: &[u8]) {
    check("rows.csv.gz", bytes);
}

pub(super) fn parquet_files() -> Vec<Vec<u8>> {
    super::tables::parts()
}

pub(super) fn parquet(bytes: &[u8]) {
    check("rows.parquet", bytes);
}
