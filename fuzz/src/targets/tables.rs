//! What a store reads back: manifests, bound parts, parts. Other programs may have written there.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int64Array, StringArray,
};
use arrow_schema::DataType;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tempfile::TempDir;
use tributary_core::storage::{Storage, StoredTable, TableUri, WriteOptions};
use tributary_core::{Error, Field, KeyType, Layout, Result, TableName, TableSchema};
use tributary_parquet::digest_of;

use super::judge;

const MANIFEST: &str = include_str!("../../../storage/table/tests/golden/manifest-v1.json");
const BOUND: [&str; 2] = [
    include_str!("../../../storage/table/tests/golden/bound-v3.txt"),
    include_str!("../../../storage/table/tests/golden/bound-v2.json"),
];
const BOUND_FILE: &str = "part-00000-0123456789abcdef.bound";
const ATTEMPT: &str = "00112233445566778899aabbccddeeff";

/// A store with one table of one part that has rows, and its manifest.
struct Store {
    folder: TempDir,
    tables: Arc<dyn Storage>,
    table: StoredTable,
    manifest: Value,
}

static STORE: LazyLock<Result<Store>> = LazyLock::new(|| {
    let folder = tempfile::tempdir()?;
    let tables: Arc<dyn Storage> = tributary_file::storage(folder.path())?;
    let table = block_on(write(&tables))?;
    let text = fs::read(folder.path().join("n/t/_manifest.json"))?;
    let manifest = serde_json::from_slice(&text).map_err(|e| Error::invalid("a manifest").because(e))?;
    Ok(Store { folder, tables, table, manifest })
});

/// One column of each physical layout.
async fn write(tables: &Arc<dyn Storage>) -> Result<StoredTable> {
    let fields = vec![
        Field::new("flag", DataType::Boolean).nullable(),
        Field::new("count", DataType::Int64),
        Field::new("x", DataType::Float64).nullable(),
        Field::new("money", DataType::Decimal128(20, 2)),
        Field::new("fixed", DataType::FixedSizeBinary(3)),
    ];
    let schema = TableSchema::keyed("id", KeyType::Utf8, fields)?;
    let count = 40i64;
    let money: Decimal128Array = (0..count).map(|i| Some(i128::from(i))).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values((0..count).map(|i| format!("id-{i}-ä")))),
        Arc::new((0..count).map(|i| (i % 3 != 0).then_some(i > 4)).collect::<BooleanArray>()),
        Arc::new(Int64Array::from_iter_values((0..count).map(|i| i << i))),
        Arc::new((0..count).map(|i| (i % 5 != 0).then_some(i as f64 / 7.0)).collect::<Float64Array>()),
        Arc::new(money.with_precision_and_scale(20, 2)?),
        Arc::new(FixedSizeBinaryArray::try_from_iter((0..count).map(|i| [i as u8; 3]))?),
    ];
    let rows = schema.batch(columns)?;
    let uri = tables.locate(&TableName::new("n", "t")?)?;
    let write = tables.begin(&uri, &schema, &Layout::Loose(1), WriteOptions::default()).await?;
    let part = tables.write_part(&write, 0, stream::iter([Ok(rows)]).boxed()).await?;
    tables.commit(write, vec![part]).await
}

impl Store {
    fn get() -> &'static Self {
        let Ok(store) = &*STORE else { unreachable!("no store in the temporary folder") };
        store
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.folder.path().join(path);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, bytes));
        assert!(made.is_ok(), "{made:?}");
    }

    fn uri(&self, name: &str) -> Option<TableUri> {
        judge(TableName::new("n", name).and_then(|name| self.tables.locate(&name)))
    }

    /// Opens a table and reads its rows.
    fn read(&self, name: &str) {
        let Some(uri) = self.uri(name) else { return };
        let Some(table) = judge(block_on(self.tables.open(&uri))) else { return };
        for partition in 0..table.layout.partitions().min(4) {
            let rows = async { self.tables.scan(&table, partition).await?.try_collect::<Vec<_>>().await };
            judge(block_on(rows));
        }
    }
}

pub(super) fn manifests() -> Vec<Vec<u8>> {
    vec![MANIFEST.into(), serde_json::to_vec_pretty(&Store::get().manifest).unwrap_or_default()]
}

pub(super) fn manifest(bytes: &[u8]) {
    let store = Store::get();
    store.write("n/m/_manifest.json", bytes);
    store.read("m");
}

pub(super) fn bound_parts() -> Vec<Vec<u8>> {
    BOUND.map(Into::into).to_vec()
}

/// The manifest vouches for whatever the bytes are, so that they are decoded.
pub(super) fn bound_part(bytes: &[u8]) {
    let store = Store::get();
    let mut manifest = store.manifest.clone();
    manifest["version"] = json!(3);
    manifest["snapshot"] = json!(ATTEMPT);
    manifest["schema"]["fields"] = json!([
        {"name": "x", "data_type": "Int64", "nullable": false, "purpose": "Value"}
    ]);
    manifest["rows"] = json!(3);
    manifest["parts"] =
        json!([{"file": BOUND_FILE, "size": {"rows": 3, "bytes": 20}, "digest": digest_of(bytes)}]);
    store.write("n/b/_manifest.json", manifest.to_string().as_bytes());
    store.write(&format!("n/b/_snapshots/{ATTEMPT}/{BOUND_FILE}"), bytes);
    store.read("b");
}

fn part_file() -> (PathBuf, String) {
    let store = Store::get();
    let file = format!("_snapshots/{}/{}", store.table.snapshot, store.table.parts[0].file);
    (store.folder.path().join("n/t").join(&file), file)
}

pub(super) fn parts() -> Vec<Vec<u8>> {
    vec![fs::read(part_file().0).unwrap_or_default()]
}

/// As with bound parts.
pub(super) fn part(bytes: &[u8]) {
    let store = Store::get();
    let mut manifest = store.manifest.clone();
    manifest["parts"][0]["size"]["bytes"] = json!(bytes.len());
    manifest["parts"][0]["digest"] = json!(digest_of(bytes));
    store.write("n/p/_manifest.json", manifest.to_string().as_bytes());
    store.write(&format!("n/p/{}", part_file().1), bytes);
    store.read("p");
}
