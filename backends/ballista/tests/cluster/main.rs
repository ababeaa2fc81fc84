//! The engine on a cluster of real processes: a scheduler, and executors.

mod nodes;
mod suite;
mod faults;
