//! Tables at rest, written once over a [`ByteStore`]: local files today, object stores and HDFS with the same trait.
//!
//! ```text
//! <base>/<namespace>/<name>/_manifest.json                      the table: what it holds, and of which parts
//!                           _snapshots/<attempt>/part-00007-<nonce>.parquet
//!                           current -> _snapshots/<attempt>     where the medium has links; for people and their tools
//! ```
//!
//! **The manifest is the table.** It is written last, in one atomic `put`, and names every part that counts. Before it
//! the table does not exist, whatever parts lie there; after it the table is whole. Nothing is ever renamed, because
//! object stores cannot. Two uploads of one new name race on `put_if_absent` of the manifest: one wins. Of two that
//! add rows to one table, each made of the snapshot that it read, one wins by `put_if_unchanged`.
//!
//! **Each write has a folder of its own**, so that a folder of parts is exactly one snapshot. pandas, DuckDB and Spark open it
//! as it is: through `current` on local files, else by the manifest's `snapshot`. It lies below `_snapshots`, and the
//! manifest starts with `_`, because those tools skip such names: pandas given the table's folder sees `current` only. (Parts
//! beside the manifest would be shorter to type, and silently double the rows after a replacement, as a glob through
//! `_snapshots` does.)
//!
//! **A replaced snapshot stays until the next replacement**, or [`Storage::sweep`](tributary_core::storage::Storage::sweep), so that who reads it can finish. A
//! reader that lasted through two is told `NotFound`, and never sees another snapshot's rows: part names do not repeat.
//!
//! **A table may be bound** instead of written: its parts are then small files that say where rows of Parquet or CSV files lie elsewhere
//! on the machine, and by what those are known again, so that a changed one is an error. What they say is between whoever
//! binds and the crate of the format. Only the small files are ours, and deleting the table removes no more.
//!
//! A crash leaves the old table or the new one, and files that no manifest names. They go by age: a day later, with the next
//! commit of the same table, or with `sweep`.
//!
//! Digests are SHA-256: with the processor's instructions it is a tenth of the work of writing a part, and a table's
//! identity can be recorded elsewhere. It does not protect from somebody who can write the folder: he can write the
//! manifest too.

mod bound;
mod manifest;
mod place;
mod sweep;
mod tables;

pub use tables::Tables;
pub use tributary_core::bytestore::{ByteStore, Entry, UNFINISHED, Upload};
