//! The program as its users have it: every protocol, ModelMesh, and the mesh with a real Envoy and the built filter,
//! which `make test` provides.

// Clippy knows only `#[test]` functions as tests, not what they call.
#![allow(clippy::expect_used, clippy::panic)]

mod commands;
mod grpc;
mod mesh;
mod modelmesh;
mod process;
mod rest;
mod tickets;
