//! What brokers have in common: where partners are, and administration over HTTP.
