//! What a model is: it takes a request and answers with a stream of responses.
//!
//! [`Model`] is asynchronous and streams, so that a language model can send tokens as they come and
//! stop when the client leaves. Most models take a batch and give a batch: they implement
//! [`BatchModel`], and [`Batched`] makes a `Model` of them.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use futures_util::{Stream, stream};
use tokio_util::sync::CancellationToken;

use crate::embedding::EmbeddingModel;
use crate::error::Error;
use crate::message::{InferRequest, InferResponse};
use crate::metrics::{Part, Stopwatch, Timed};
use crate::parameter::Parameters;
use crate::residency::Lease;
use crate::tensor::{DataType, Tensor};
use crate::text::TextModel;

/// Responses as they come; the stream ends after the last one or after an error.
pub type ResponseStream = Pin<Box<dyn Stream<Item = Result<InferResponse, Error>> + Send>>;

/// Where a model computes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Device {
    /// The host's processors.
    #[default]
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

/// Where models compute that can do so elsewhere than on the host's processors.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DeviceChoice {
    /// On the first CUDA device, if there is one and the program is built for it.
    #[default]
    Auto,
    /// There.
    On(Device),
}

/// Memory that several models have in common, such as the base of adapters. It is counted once, as long as one of them
/// is in memory: whose [`Model::shared`] gives the same `Arc`.
#[derive(Debug)]
pub struct SharedMemory {
    bytes: u64,
}

// === impl SharedMemory ===

impl SharedMemory {
    /// So many bytes, as measured, on the device of the models that share them.
    pub fn new(bytes: u64) -> Self {
        Self { bytes }
    }

    /// How many they are.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

// === impl Device ===

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

// === impl DeviceChoice ===

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("cuda:").map(str::parse)) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::On(Device::Cpu)),
            ("cuda", _) => Ok(Self::On(Device::Cuda(0))),
            (_, Some(Ok(number))) => Ok(Self::On(Device::Cuda(number))),
            _ => Err("expected auto, cpu, cuda or cuda:NUMBER".to_owned()),
        }
    }
}

/// An input or output as metadata describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TensorSpec {
    /// The tensor's name.
    pub name: String,
    /// The datatype that the model computes in or gives.
    pub datatype: DataType,
    /// One entry a dimension; −1 for one of any size.
    pub shape: Vec<i64>,
}

/// What a model says of itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ModelMetadata {
    /// The protocol's `<project>_<format>`, for instance `sklearn_joblib`.
    pub platform: String,
    /// The inputs that it takes.
    pub inputs: Vec<TensorSpec>,
    /// The outputs that it can give.
    pub outputs: Vec<TensorSpec>,
    /// Further facts, for instance the version of the library that saved it.
    pub properties: std::collections::BTreeMap<String, String>,
}

/// Inputs and outputs that somebody declares for a model.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Signature {
    pub(crate) inputs: Option<Vec<TensorSpec>>,
    pub(crate) outputs: Option<Vec<TensorSpec>>,
    /// Shown only where the model says nothing itself.
    pub(crate) is_fallback: bool,
}

// === impl ModelMetadata ===

impl ModelMetadata {
    /// The same with what is declared instead of what the model says itself.
    pub(crate) fn with(&self, declared: &Signature) -> Self {
        let of = |declared_ones: &Option<Vec<TensorSpec>>, own: &[TensorSpec]| match declared_ones {
            Some(specs) if own.is_empty() || !declared.is_fallback => specs.clone(),
            _ => own.to_vec(),
        };
        Self {
            inputs: of(&declared.inputs, &self.inputs),
            outputs: of(&declared.outputs, &self.outputs),
            platform: self.platform.clone(),
            properties: self.properties.clone(),
        }
    }

    /// Bytes of memory that it keeps, beside its own fields: of small models they are a good part.
    pub fn heap_bytes(&self) -> usize {
        /// Entries of a node of the standard library's B-tree, and what a node has besides.
        const NODE_ENTRIES: usize = 11;
        const NODE_HEAD: usize = 16;
        let of_spec = |spec: &TensorSpec| spec.name.capacity() + spec.shape.capacity() * size_of::<i64>();
        let specs = self.inputs.iter().chain(&self.outputs).map(of_spec).sum::<usize>();
        let places = (self.inputs.capacity() + self.outputs.capacity()) * size_of::<TensorSpec>();
        let texts = self.properties.iter().map(|(name, value)| name.capacity() + value.capacity()).sum::<usize>();
        let nodes = self.properties.len().div_ceil(NODE_ENTRIES);
        let node = NODE_ENTRIES * 2 * size_of::<String>() + NODE_HEAD;
        self.platform.capacity() + places + specs + texts + nodes * node
    }
}

/// What comes with a request beside its content. Keep it as long as you compute with the model: its
/// memory counts as taken until the last context is dropped.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Cancelled when nobody waits for the answer any more.
    pub cancelled: CancellationToken,
    watch: Option<Arc<Stopwatch>>,
    /// Keeps the model's memory counted; dropped after all that uses the model.
    _lease: Option<Arc<Lease>>,
}

// === impl Context ===

impl Context {
    /// The context of a request to a model in memory.
    pub(crate) fn new(cancelled: CancellationToken, watch: Option<Arc<Stopwatch>>, lease: Arc<Lease>) -> Self {
        Self { cancelled, watch, _lease: Some(lease) }
    }

    /// The request waits for its turn until the value is dropped: the metrics count it as pending, and the time as
    /// spent in the queue.
    pub fn queued(&self) -> Timed {
        Timed::start(self.watch.as_ref(), Part::Queue)
    }

    /// So many tokens of texts were read, which came as tensors: the metrics of language models count them. Of texts that
    /// come by an interface for texts the server counts them itself.
    pub fn prompted(&self, tokens: usize) {
        if let Some(watch) = &self.watch {
            watch.prompted(tokens);
        }
    }

    /// The model computes until the value is dropped. Of a model that never says so the metrics and traces have no
    /// times but the request's own.
    pub fn computing(&self) -> Timed {
        Timed::start(self.watch.as_ref(), Part::Compute)
    }
}

/// A loaded model.
pub trait Model: Send + Sync + 'static {
    /// What it says of itself.
    fn metadata(&self) -> &ModelMetadata;

    /// Bytes of memory that it keeps, as measured, without those that it shares.
    fn size_bytes(&self) -> u64;

    /// Memory that it keeps together with other models, beside its own.
    fn shared(&self) -> Option<Arc<SharedMemory>> {
        None
    }

    /// Where it computes.
    fn device(&self) -> Device {
        Device::Cpu
    }

    /// Whether it still reads its files, for instance because it maps them into memory. Then they stay where they are
    /// as long as the model does.
    fn keeps_files(&self) -> bool {
        false
    }

    /// Whether a request may be answered by several responses (what Triton calls decoupled).
    fn is_streaming(&self) -> bool {
        false
    }

    /// The same model as one that goes on with texts, if it is a language model.
    fn text(self: Arc<Self>) -> Option<Arc<dyn TextModel>> {
        None
    }

    /// The same model as one that makes vectors of texts, if it does.
    fn embedding(self: Arc<Self>) -> Option<Arc<dyn EmbeddingModel>> {
        None
    }

    /// Answers one request. Returns at once; the work happens in the stream or behind it.
    fn infer(self: Arc<Self>, request: InferRequest, context: Context) -> ResponseStream;
}

/// A model that takes a batch and gives a batch.
///
/// ```
/// use modelway_runtime::{BatchModel, Error, InferRequest, ModelMetadata, Parameters, Tensor, TensorData};
///
/// /// Doubles every FP32 input.
/// struct Doubler(ModelMetadata);
///
/// impl BatchModel for Doubler {
///     fn metadata(&self) -> &ModelMetadata { &self.0 }
///     fn size_bytes(&self) -> u64 { 0 }
///     fn predict(&self, request: &InferRequest) -> Result<(Vec<Tensor>, Parameters), Error> {
///         let doubled = request.inputs.iter().map(|input| match input.data() {
///             TensorData::Fp32(values) => {
///                 let values = values.iter().map(|value| value * 2.0).collect();
///                 Tensor::new(&input.name, input.shape().to_vec(), TensorData::Fp32(values))
///             }
///             other => Err(Error::invalid(format!("expected FP32, got {}", other.datatype()))),
///         });
///         Ok((doubled.collect::<Result<_, _>>()?, Parameters::new()))
///     }
/// }
/// ```
pub trait BatchModel: Send + Sync + 'static {
    /// What it says of itself.
    fn metadata(&self) -> &ModelMetadata;

    /// Bytes of memory that it keeps, as measured.
    fn size_bytes(&self) -> u64;

    /// Where it computes.
    fn device(&self) -> Device {
        Device::Cpu
    }

    /// Whether it still reads its files; see [`Model::keeps_files`].
    fn keeps_files(&self) -> bool {
        false
    }

    /// Whether this request takes well under 500 µs, so that an async thread may compute it itself.
    fn is_quick(&self, _request: &InferRequest) -> bool {
        false
    }

    /// The outputs, and parameters of the response as a whole.
    fn predict(&self, request: &InferRequest) -> Result<(Vec<Tensor>, Parameters), Error>;
}

/// A [`BatchModel`] as a [`Model`]: one response, computed off the async threads unless it is quick.
#[derive(Debug)]
pub struct Batched<M>(Arc<M>);

impl<M: BatchModel> Batched<M> {
    /// Wraps the model.
    pub fn new(model: M) -> Self {
        Self(Arc::new(model))
    }
}

// === impl Batched ===

impl<M: BatchModel> Model for Batched<M> {
    fn metadata(&self) -> &ModelMetadata {
        self.0.metadata()
    }

    fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }

    fn device(&self) -> Device {
        self.0.device()
    }

    fn keeps_files(&self) -> bool {
        self.0.keeps_files()
    }

    fn infer(self: Arc<Self>, request: InferRequest, context: Context) -> ResponseStream {
        let model = self.0.clone();
        Box::pin(stream::once(async move {
            if model.is_quick(&request) {
                let _computing = context.computing();
                return respond(model.as_ref(), &request);
            }
            let queued = context.queued();
            let task = tokio::task::spawn_blocking(move || {
                drop(queued);
                if context.cancelled.is_cancelled() {
                    return Err(Error::new(crate::ErrorKind::Cancelled, "the client went away"));
                }
                let computing = context.computing();
                let answer = respond(model.as_ref(), &request);
                drop(computing);
                // In this order: the context says that the model is still used.
                drop(model);
                drop(context);
                answer
            });
            task.await.unwrap_or_else(|fault| Err(Error::internal(format!("the model's computation stopped: {fault}"))))
        }))
    }
}

fn respond<M: BatchModel>(model: &M, request: &InferRequest) -> Result<InferResponse, Error> {
    let (outputs, parameters) = model.predict(request)?;
    Ok(InferResponse { parameters, outputs })
}
