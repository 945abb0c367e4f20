//! For tests of storage: a real S3 server in the test's process, and a proxy in front of a server on which things go
//! wrong.
//!
//! The server is `s3s` over a temporary folder: signatures, XML and error codes are S3's. The proxy passes on what it is
//! not told to spoil, and remembers every request.

// Clippy knows only `#[test]` functions as tests, not what they call.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod files;
mod proxy;
mod s3;

pub use files::FileServer;
pub use proxy::{Fault, Proxy, Seen};
pub use s3::{ACCESS_KEY, BUCKET, REGION, S3Server, SECRET_KEY};
