//! Bodies of gRPC calls.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| modelway_fuzz::grpc::check(data));
