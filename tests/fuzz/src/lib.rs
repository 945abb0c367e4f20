//! What must hold for any bytes, a module for each fuzz target in `targets/`. Not to crash is the least of it: each
//! target compares the decision with another reader of the same bytes, or with itself on the same request in another
//! form. Everything goes through the decision's outer functions ([`gateway`]), as the filter does.

#![forbid(unsafe_code)]

pub mod configuration;
pub mod gateway;
pub mod grpc;
pub mod headers;
pub mod input;
pub mod json;
pub mod openai;
pub mod path;
pub mod pattern;
pub mod request;
pub mod seeds;
