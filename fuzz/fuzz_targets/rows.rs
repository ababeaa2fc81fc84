//! Rows of a table, damaged.

#![no_main]

use std::sync::Once;

/// libFuzzer's hook ends the process at any panic, also at one inside Arrow that decoding catches, as it is meant to. A panic
/// that leaves the target still ends it.
static QUIET: Once = Once::new();

libfuzzer_sys::fuzz_target!(|damage: &[u8]| {
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| ())));
    tributary_wire::fuzzing::rows(damage)
});
