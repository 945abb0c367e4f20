//! What the benches share: how time is taken, and how samples are left for `report.py`.

#![forbid(unsafe_code)]

pub mod cpu;
pub mod progress;
pub mod raw;
