//! Support for the tests of the whole: two gateways that run the same cases, one a host of our own around the built
//! module ([`host`]), one a real [`envoy`], and the cases themselves.

#![forbid(unsafe_code)]

pub mod answer;
pub mod cases;
pub mod client;
pub mod envoy;
pub mod examples;
pub mod gateway;
pub mod headers;
pub mod host;
pub mod ideal_lru;
pub mod inference;
pub mod load;
pub mod mesh;
pub mod random;
pub mod reading;
pub mod upstream;
pub mod zipf;
