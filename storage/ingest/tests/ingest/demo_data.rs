//! The data of `examples/breast` are uploaded as its README says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::DataType;
use futures::TryStreamExt;
use futures::executor::block_on;
use tributary_core::storage::Storage;
use tributary_core::{Purpose, Result};
use tributary_ingest::{UploadOptions, from_fate, upload};

use crate::site::Site;

fn top() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../..")
}

#[test]
fn the_demo_upload_files_make_the_tables_of_the_demo_job() {
    for (party, columns, nulls) in [("guest", 11, 0), ("host", 20, 0)] {
        let conf = top().join(format!("examples/breast/upload_{party}.json"));
        let mut options = from_fate(&std::fs::read(conf).unwrap(), "upload.json").unwrap();
        options.files = options.files.iter().map(|file| top().join(file)).collect();
        options.table = Site::table();
        let site = Site::new();
        let summary = site.upload(options).unwrap();
        assert_eq!((summary.rows, summary.columns.len(), summary.partitions), (500, columns, 4));
        assert!(summary.columns.iter().all(|column| column.nulls == Some(nulls) && column.note.is_none()));
        let values = summary.columns.iter().filter(|column| column.purpose == Purpose::Value);
        assert!(values.clone().all(|column| column.data_type == DataType::Float64));
        assert_eq!(values.count(), columns - usize::from(party == "guest"));
    }
}

#[test]
fn the_store_of_local_files_has_the_demo_data_after_an_upload() {
    let (site, folder) = (Site::new(), tempfile::tempdir().unwrap());
    let storage: Arc<dyn Storage> = tributary_file::storage(folder.path()).unwrap();
    let options = UploadOptions::new(Site::table(), [top().join("examples/breast/host.csv")]);
    let summary = block_on(upload(&storage, &site.meta, options, |_| {})).unwrap();
    let record = site.record();
    let keys: Result<Vec<String>> = block_on(async {
        let stored = storage.open(&record.uri).await?;
        storage.verify(&stored).await?;
        let mut keys = Vec::new();
        for partition in 0..stored.layout.partitions() {
            let batches: Vec<_> = storage.scan(&stored, partition).await?.try_collect().await?;
            keys.extend(batches.iter().flat_map(Site::keys_of));
        }
        Ok(keys)
    });
    let text = std::fs::read_to_string(top().join("examples/breast/host.csv")).unwrap();
    let expected: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(keys.unwrap(), expected);
    assert_eq!((record.rows, record.bytes), (500, summary.bytes));
}
