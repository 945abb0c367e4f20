//! What the benches share: how time is taken, how answers end, and how samples are left for `report.py`.

#![forbid(unsafe_code)]

pub mod cpu;
pub mod http1;
pub mod progress;
pub mod raw;
