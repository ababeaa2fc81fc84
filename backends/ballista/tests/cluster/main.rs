//! The engine on a cluster of real processes: one scheduler, two executors.

mod nodes;
mod first;
