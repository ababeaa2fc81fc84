//! The order of keyed rows: by (hash, key). Whether rows are in it, and what to say if they are not.

use tributary_core::error::{Error, ErrorKind};
use tributary_core::layout::Keys;

/// Whether rows are in the order of (hash, key), and, if so asked, no key occurs twice.
pub(crate) fn in_order(keys: &Keys<'_>, hashes: &[u64], unique: bool) -> bool {
    let rising = hashes.windows(2).fold(true, |so_far, pair| so_far & (pair[0] < pair[1]));
    rising
        || (1..hashes.len()).all(|i| {
            let order = hashes[i - 1].cmp(&hashes[i]).then_with(|| keys.compare(i - 1, keys, i));
            order.is_lt() || (order.is_eq() && !unique)
        })
}

/// The error for a table that claims to be in the order of keys, and is not.
pub(crate) fn not_in_order() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "rows of a keyed table are not in the order of their keys, or a key occurs twice; if it was loaded, verify it",
    )
}
