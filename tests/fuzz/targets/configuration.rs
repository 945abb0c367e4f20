//! Configurations of any bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelway_fuzz::configuration::check(data));
