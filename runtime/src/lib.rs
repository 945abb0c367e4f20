//! The Modelway runtime: a model server, as a library.
//!
//! Requests travel one way. A *front end* (`rest`, `grpc`) reads the wire and makes an
//! [`InferRequest`]; the [`Catalogue`] finds the model, which *residency* loads if it is not in
//! memory; the model, made by one of the [`formats`], answers with a stream of [`InferResponse`]s;
//! the front end writes it in the dialect that was asked. A format never sees HTTP, a front end
//! never sees a format.
//!
//! The catalogue is what stands in *storage*, kept up to date; residency is what of it is in memory:
//! a budget of bytes, in which [`ResidencyOptions`] say what may be loaded and evicted.
//!
//! [`Server`] puts it together.
//!
//! A model type of your own is an implementation of [`BatchModel`] (a batch in, a batch out) or of
//! [`Model`] (a stream, cancellable), and a [`formats::Format`] that loads it: `docs/custom-models.md`. What these
//! have in their signatures from other crates is exported here as well: [`Bytes`], [`f16`], [`bf16`],
//! [`CancellationToken`].

#![forbid(unsafe_code)]

mod background;
mod catalogue;
mod deadline;
mod embedding;
mod error;
mod fingerprint;
mod grpc;
mod listing;
mod message;
mod metrics;
mod model;
mod modelmesh;
mod orca;
mod parameter;
mod protocol;
mod residency;
mod rest;
mod routing;
mod server;
mod serving;
mod storage;
mod tensor;
#[cfg(test)]
mod testing;
mod text;
#[cfg(any(feature = "llm", feature = "s3"))]
mod tls;
mod traces;

pub mod formats;

pub use bytes::Bytes;
pub use catalogue::Catalogue;
pub use embedding::{EmbeddingFuture, EmbeddingInput, EmbeddingModel, EmbeddingRequest, Embeddings};
pub use error::{Error, ErrorKind, Refusal};
pub use half::{bf16, f16};
pub use listing::{Listing, State};
pub use message::{InferRequest, InferResponse, RequestedOutput};
pub use metrics::Timed;
pub use model::{
    BatchModel, Batched, Context, Device, DeviceChoice, Model, ModelMetadata, ResponseStream, SharedMemory, TensorSpec,
};
pub use modelmesh::{ModelMeshOptions, proto as modelmesh_proto};
pub use parameter::{Parameter, Parameters};
pub use protocol::proto;
pub use residency::{Loaded, Mode, ResidencyOptions, default_memory};
pub use server::{Listener, Options, Server};
pub use storage::{Location, StorageError, StorageOptions, Stores};
pub use tensor::{DataType, Tensor, TensorData};
pub use text::{Finish, Likely, Piece, Prompt, Sampling, TextEvent, TextModel, TextRequest, TextStream};
pub use tokio_util::sync::CancellationToken;
