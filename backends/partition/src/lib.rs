//! What every engine does to one partition, on threads of its own: pull it through kernels, merge joins and zips; sort it
//! by key; stop when it is no longer wanted.
//!
//! Rows that a session holds are in memory while there is room and on disk beyond ([`piece`], [`shelf`]); readers do
//! not see the difference, and an exchange of more than fits sorts what does, and merges.
//!
//! Engines differ in where partitions are, who runs them and how rows move from one to another, not in this: so that the
//! same plan gives the same rows everywhere. All of it is synchronous. A thread that pulls a partition does all the
//! work for it; if it needs rows from elsewhere (a store, a shuffle), it waits for them on that thread
//! ([`cancel::Cancel::wait`]).

pub mod pipeline;
pub mod map;
pub mod join;
pub mod zip;
pub mod loaded;
pub mod scope;
pub mod exchange;
pub mod view;
pub mod batches;
pub mod piece;
pub mod shelf;
pub mod items;
pub mod memory;
pub mod disk;
pub mod pool;
pub mod cancel;

mod order;
