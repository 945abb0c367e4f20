//! Which model version an inference request goes to.
//!
//! Pure: it knows no host, no clock and no socket, never panics and works on bytes, because header
//! values and model names need not be UTF-8. The WebAssembly shell and the command line call the
//! same functions, so what `explain` says is what the gateway does.
//!
//! The order of a decision: [`call`] tells what kind of call it is, [`read`] finds the model and the
//! parameters in the first bytes of a body, [`Router`] resolves the name, applies the version asked
//! for, the rules and the split ([`assign`]), and [`rewrite`] makes the path or the message that
//! the upstream gets. [`Peek`] holds what a body has told so far.

#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

pub mod answer;
pub mod assign;
pub mod brake;
pub mod call;
pub mod config;
pub mod header;
pub mod read;
pub mod rewrite;

mod matcher;
mod message;
mod nearest;
mod number;
mod pattern;
mod peek;
mod reply;
mod router;

pub use message::{Encoding, Input, Message, Needs};
pub use number::double_text;
pub use peek::{Peek, Unread};
pub use reply::{Dialect, Reply};
pub use router::{Braked, Decision, Exposure, Field, Reason, Route, Router, Settings, ShadowCopy, Start, Why};
