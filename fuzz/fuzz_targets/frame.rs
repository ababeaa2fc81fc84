//! What stands inside a sealed frame: an authenticated peer can send it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tributary_wire::fuzzing::frame(bytes));
