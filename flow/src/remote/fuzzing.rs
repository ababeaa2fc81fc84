//! The decoder of letters, for the fuzz targets. It may refuse; it may not panic.

use super::letter::{Letter, Unread};

/// A letter, of whatever version. One that is read can be written and read again.
pub fn letter(bytes: &[u8]) {
    match Letter::decode(bytes) {
        Ok(content) => {
            let again = Letter::encode(content).map(|letter| Letter::decode(&letter));
            assert!(matches!(again, Ok(Ok(_))), "{again:?}");
        }
        Err(Unread::OtherVersion { .. } | Unread::Nonsense) => {}
    }
}
