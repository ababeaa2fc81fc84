//! Tables in object stores: S3 and compatibles, GCS, Azure.
