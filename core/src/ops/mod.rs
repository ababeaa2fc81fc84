//! The kernels behind the familiar operations of [`crate::table::Table`].

pub mod aggregate;
pub mod columns;
pub mod first;
pub mod merge;
pub mod rows;
#[cfg(test)]
mod tests;

use crate::kernel::Kernels;

/// Every kernel of this module; part of every binary's list.
pub fn kernels() -> Kernels {
    Kernels::default()
        .map::<columns::Select>()
        .map::<columns::Rekey>()
        .map::<columns::DropKey>()
        .map::<columns::NumberRows>()
        .map::<columns::Conform>()
        .map::<rows::Filter>()
        .map::<rows::SampleBelow>()
        .fold::<rows::Take>()
        .fold::<rows::Count>()
        .fold::<rows::HashHistogram>()
        .fold::<aggregate::Aggregate>()
        .fold::<aggregate::Combine>()
        .fold::<first::First>()
        .map::<merge::MergeSides>()
}
