//! What two parties say before keys are agreed on: anybody can send it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tributary_wire::fuzzing::hello(bytes));
