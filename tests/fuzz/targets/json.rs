//! JSON bodies.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelway_fuzz::json::check(data));
