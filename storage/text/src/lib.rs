//! Values as text: the only code that writes numbers, days and times, so that a download, a preview and a summary show a
//! value in the same way.
//!
//! - numbers are the shortest text that is read as the same number; `NaN`, `inf` and `-inf` by these names
//! - dates are `2024-01-31`, times `2024-01-31T12:30:00.5`, followed by `Z` where the column has a zone; truth is `true`,
//!   `false`
//! - bytes are hex

#![warn(missing_docs)]

mod column;
mod preview;
pub mod write;

pub use column::Column;
pub use preview::preview;
