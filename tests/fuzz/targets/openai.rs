//! OpenAI's bodies.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelway_fuzz::openai::check(data));
