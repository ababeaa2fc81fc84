//! Values as text: the one home of how a number, a day or a time is written, so that a download, a preview and a summary show the
//! same of one value.
//!
//! - numbers are the shortest text that is read as the same number; `NaN`, `inf` and `-inf` as they are called
//! - dates are `2024-01-31`, times `2024-01-31T12:30:00.5`, followed by `Z` where the column has a zone; truth is `true`, `false`
//! - bytes are hex

#![warn(missing_docs)]

mod column;
mod preview;
pub mod write;

pub use column::Column;
pub use preview::preview;
