//! What a language model's decoder computes on a CPU, and nothing of what a model is.
//!
//! Why not a tensor library: a server that batches continuously multiplies 1 to 32 rows a step, and
//! there general libraries fall between their two fast cases, one row and hundreds. Here weights
//! are packed once into panels that are read once a step whatever the number of rows
//! ([`Matrix`]), in f32, f16, bf16 or 8 bits.
//!
//! **A row's result has the same bits whatever company it is in**: the order in which a sum is
//! accumulated depends on the shape of the weights and of the cache, never on how many rows or
//! texts a call has, where a row stands among them, or how many threads there are. So what a text
//! is answered does not depend on the load. It may differ in the last bits from one instruction
//! set ([`Instructions`]) to another.
//!
//! Work is spread over rayon's current pool: call from inside `ThreadPool::install` to choose it,
//! and keep a whole step inside one `install`, since entering a pool costs more than a small matrix.
//!
//! This is the only crate of the runtime with unsafe code: the instructions that compilers do not
//! find by themselves, and columns of one output that several threads write.

mod activation;
mod argmax;
mod attention;
mod buffer;
mod cap;
mod columns;
mod instructions;
mod matrix;
mod norm;
mod rotary;
mod shape;
mod simd;
#[cfg(test)]
mod testing;

pub use activation::Activation;
pub use argmax::argmax;
pub use attention::{Attention, Cache, CachePrecision, Distances, Span, attend};
pub use cap::soft_cap;
pub use instructions::Instructions;
pub use matrix::{Matrix, PackError, Precision, Values};
pub use norm::{add, layer_norm, rms_norm};
pub use rotary::{RotaryLayout, Rotations};
pub use shape::{Heads, ShapeError};
