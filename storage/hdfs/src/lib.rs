//! Tables in HDFS.
