//! The queue on Apache Pulsar.
