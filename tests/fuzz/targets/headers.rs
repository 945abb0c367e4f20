//! Header fields, cookies and queries.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelway_fuzz::headers::check(data));
