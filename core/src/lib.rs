//! The contract: tables, plans, kernels and the traits that engines implement.
//!
//! Knows no engine, no network and no async runtime. In reading order: a [`TableSchema`] says what the columns are and a
//! [`Layout`] where the rows are; a [`kernel`] is a named function over batches; a [`plan`] says what to compute; an engine
//! ([`computing`]) computes it with the cores of a [`placement`]; [`storage`] and [`meta`] keep tables; [`federation`]
//! moves values between parties; [`settings`] say what a site's configuration has for each of them. [`Table`] is what algorithms use.
//!
//! ```
//! # use std::sync::Arc;
//! use arrow_array::{ArrayRef, Int64Array, StringArray};
//! use arrow_schema::DataType;
//! use tributary_core::ops::aggregate::{Function, Measure};
//! use tributary_core::{Field, KeyType, Layout, Result, Table, TableSchema};
//!
//! /// Total of `amount` over the people that both tables know.
//! async fn common_total(customers: &Table, payments: &Table) -> Result<i64> {
//!     let common = payments.join(customers)?;
//!     let total = common.reduce(&[Measure::of(Function::Sum, "amount")]).await?;
//!     let total = total.map(|row| arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Int64Type>(row.column(0)).value(0));
//!     Ok(total.unwrap_or(0))
//! }
//!
//! # fn main() -> Result<()> {
//! # futures::executor::block_on(async {
//! # let session = example::session().await?;
//! let payments = TableSchema::keyed("id", KeyType::Utf8, vec![Field::new("amount", DataType::Int64)])?;
//! let ids: ArrayRef = Arc::new(StringArray::from(vec!["ada", "bob", "cyd"]));
//! let rows = payments.batch(vec![ids, Arc::new(Int64Array::from(vec![10, 20, 30]))])?;
//! let payments = Table::parallelize(&session, &payments, vec![rows], Layout::Loose(2)).await?;
//!
//! let customers = TableSchema::keyed("id", KeyType::Utf8, vec![])?;
//! let rows = customers.batch(vec![Arc::new(StringArray::from(vec!["cyd", "ada", "eve"]))])?;
//! let customers = Table::parallelize(&session, &customers, vec![rows], Layout::Loose(3)).await?;
//!
//! assert_eq!(common_total(&customers, &payments).await?, 40);
//! # Ok(()) })
//! # }
//! # mod example {
//! #     use std::sync::Arc;
//! #     use tributary_core::computing::{Computing, Engine, SessionSpec};
//! #     pub async fn session() -> tributary_core::Result<Arc<dyn Computing>> {
//! #         let engine = tributary_standalone::Standalone::new(tributary_core::ops::kernels(), Arc::new(tributary_core::storage::Nowhere));
//! #         let placement = engine.place(&Default::default())?;
//! #         let id = "example.common.0".parse()?;
//! #         engine.open(SessionSpec { id, placement, memory_bytes: 1 << 26 }).await
//! #     }
//! # }
//! ```
#![warn(missing_docs)]

pub mod error;
pub mod check;
pub mod shown;
pub mod ids;
pub mod schema;
pub mod layout;
pub mod numbers;
pub mod rows;
pub mod handle;
pub mod blob;
pub mod kernel;
pub mod plan;
pub mod table;
pub mod ops;
pub mod placement;
pub mod computing;
pub mod bytestore;
pub mod media;
pub mod bound;
pub mod storage;
pub mod stores;
pub mod wanted;
pub mod meta;
pub mod federation;
pub mod settings;
pub mod limits;
pub mod site;

pub use error::{Error, ErrorKind, Result, ResultExt};
pub use ids::{JobHash, JobId, ModelName, Party, PartyId, Role, SessionId, TableName, TaskName};
pub use layout::Layout;
pub use limits::Limits;
pub use schema::{Field, KeyType, Purpose, TableSchema};
pub use shown::Shown;
pub use site::Site;
pub use table::Table;
