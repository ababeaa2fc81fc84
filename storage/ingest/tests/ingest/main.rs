//! Uploads through the public interface, against a store and records in memory that fail on request.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests

mod bind;
mod causes;
mod demo_data;
mod exact;
mod folders;
mod inputs;
mod merging;
mod parquet_files;
mod parquet_rejects;
mod rejects;
mod site;
mod uploads;
mod values;
