//! ModelMesh as `modelway serve` meets it: the calls that it and its adapters make, in their order and with their
//! mistakes. ModelMesh itself is Java and wants etcd and Kubernetes, its adapters are Go, so they are simulated; the
//! runtime is the real process.

// Clippy knows only `#[test]` functions as tests, not what they call.
#![allow(clippy::expect_used, clippy::panic)]

mod adapter;
mod digits;
mod interface;
mod mlserver;
mod process;
mod slow_file;
mod triton;
