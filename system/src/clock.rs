//! The time of day, as records keep it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since the beginning of 1970, UTC; zero if the clock shows an earlier time.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Milliseconds since the beginning of 1970, UTC.
pub fn now_ms() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}
