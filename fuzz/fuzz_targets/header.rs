//! What a value begins with: message or table, columns, layout.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tributary_wire::fuzzing::header(bytes));
