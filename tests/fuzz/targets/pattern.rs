//! Regular expressions.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelway_fuzz::pattern::check(data));
