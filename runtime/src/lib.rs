//! The Modelway runtime: a model server, as a library.
//!
//! Requests travel one way. A *front end* (`rest`, `grpc`) reads the wire and makes an
//! [`InferRequest`]; the [`Catalogue`] finds the model; the model, made by one of the
//! [`formats`], answers with a stream of [`InferResponse`]s; the front end writes it in the dialect
//! that was asked. A format never sees HTTP, a front end never sees a format.
//!
//! [`Server`] puts it together.
//!
//! A model type of your own is an implementation of [`BatchModel`] (a batch in, a batch out) or of
//! [`Model`] (a stream, cancellable), and a [`formats::Format`] that loads it.

#![forbid(unsafe_code)]

mod catalogue;
mod error;
mod grpc;
mod listing;
mod message;
mod metrics;
mod model;
mod parameter;
mod protocol;
mod rest;
mod routing;
mod server;
mod serving;
mod tensor;
#[cfg(test)]
mod testing;

pub mod formats;

pub use catalogue::{Catalogue, Listing, Loaded, State};
pub use error::{Error, ErrorKind};
pub use message::{InferRequest, InferResponse, RequestedOutput};
pub use model::{BatchModel, Batched, Context, Device, Model, ModelMetadata, ResponseStream, TensorSpec};
pub use parameter::{Parameter, Parameters};
pub use protocol::proto;
pub use server::{Options, Server};
pub use tensor::{DataType, Tensor, TensorData};
