//! Apache Pulsar between the sites: a persistent topic for each channel, at one cluster for all sites, or at a cluster of each site, joined by
//! geo-replication.
//!
//! Every topic lies in a namespace that makes none by itself, forgets what nobody takes, and removes what nobody uses; so what a crash leaves
//! goes away. Frames are sealed above: the cluster sees lengths, times and which sites talk.

pub mod config;
mod operator;
mod queue;

// A site's cluster.
mod admin;
mod cluster;

// The two ends of a channel.
mod reader;
mod writer;

// What goes wrong.
mod error;
mod failure;

pub use config::Config;
pub use operator::Operator;
pub use queue::Pulsar;
