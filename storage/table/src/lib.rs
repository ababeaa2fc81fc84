//! Tables at rest, written once over a [`ByteStore`]: local files today, object stores and HDFS with the same trait.
//!
//! ```text
//! <base>/<namespace>/<name>/_manifest.json                      the table: its content and its parts
//!                           _snapshots/<attempt>/part-00007-<nonce>.parquet
//!                           current -> _snapshots/<attempt>     where the medium has links; for users and their tools
//! ```
//!
//! **The manifest is the table.** It is written last, in one atomic `put`, and names every part that counts. Before that the
//! table does not exist, even if parts are there; after that the table is complete. Nothing is ever renamed, because object
//! stores cannot. Two uploads of one new name race on `put_if_absent` of the manifest: one wins. If two writes replace
//! the same snapshot of a table, one wins by `put_if_unchanged`.
//!
//! **Each write has a folder of its own**, so that a folder of parts is exactly one snapshot. pandas, DuckDB and Spark open
//! it directly: through `current` on local files, else by the manifest's `snapshot`. It is below `_snapshots`, and the
//! manifest starts with `_`, because those tools skip such names: in the table's folder, pandas sees `current` only. (Parts
//! beside the manifest would have shorter paths, but would silently double the rows after a replacement, as a glob through
//! `_snapshots` does.)
//!
//! **A replaced snapshot stays until the next replacement**, or [`Storage::sweep`](tributary_core::storage::Storage::sweep),
//! so that its readers can finish. A reader that is still active after two replacements gets `NotFound`, and never sees
//! another snapshot's rows, because part names do not repeat.
//!
//! **A table may be bound** instead of written: its parts are then small files with the addresses of Parquet or CSV files
//! elsewhere, and with stamps, so that a changed file is an error. Their content is defined by the crate of
//! the format. Only the small files belong to the table, and deleting it removes only them.
//!
//! A crash leaves the old table or the new one, and files that no manifest names. They are removed by age: after a day, with
//! the next commit of the same table, or with `sweep`.
//!
//! Digests are SHA-256: with the processor's instructions it is a tenth of the work of writing a part, and a table's
//! identity can be recorded elsewhere. It does not protect from an attacker who can write the folder, and so the manifest
//! too.

mod bound;
mod commit;
mod examine;
mod manifest;
mod place;
mod sweep;
mod tables;

pub use tables::Tables;
pub use tributary_core::bytestore::{ByteStore, Entry, Revision, UNFINISHED, Upload};
