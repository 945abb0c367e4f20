//! An embedder behind the front ends: by texts, and as tensors.
//!
//! - The input is BYTES, one text an element; it may have any name.
//! - `output-0` is FP32, `[texts, width]`.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;

use super::queue::Queue;
use super::reading::Reader;
use super::{Core, modules};
use crate::embedding::{EmbeddingFuture, EmbeddingInput, EmbeddingModel, EmbeddingRequest, Embeddings, MOST_TEXTS};
use crate::error::Error;
use crate::formats::language::encoder::Cuts;
use crate::formats::language::parameters::Named;
use crate::formats::language::settings::Settings;
use crate::message::{InferRequest, InferResponse};
use crate::model::{Context, Model, ModelMetadata, ResponseStream, TensorSpec};
use crate::parameter::Parameters;
use crate::tensor::{DataType, Tensor, TensorData};

/// Bytes of texts that take long enough to read into tokens to hold up an async thread.
const LARGE_TEXTS: usize = 4096;
/// What a text takes beside its bytes, in such bytes.
const BYTES_OF_A_TEXT: usize = 16;
/// Values of vectors that take about half a millisecond to bring to their length.
const LARGE_VALUES: usize = 128 * 1024;

/// An embedder, ready to be asked.
pub(in crate::formats::language) struct Embedder {
    core: Arc<Core>,
    reader: Arc<Reader>,
    queue: Queue,
    cuts: Option<Cuts>,
    /// Values of a vector, where a request does not say and that is not all.
    usual_width: Option<usize>,
    truncate: bool,
    metadata: ModelMetadata,
}

// === impl Embedder ===

impl Embedder {
    pub(super) fn new(
        family: &str,
        (core, reader, queue): (Arc<Core>, Reader, Queue),
        cuts: Option<Cuts>,
        usual_width: Option<usize>,
        settings: &Settings,
    ) -> Self {
        let whole = core.modules.width();
        let usual_width = usual_width.filter(|width| (1..whole).contains(width));
        let width = usual_width.unwrap_or(whole) as i64;
        let spec = |name: &str, datatype, shape| TensorSpec { name: name.to_owned(), datatype, shape };
        let metadata = ModelMetadata {
            platform: format!("huggingface_{family}"),
            inputs: vec![spec(settings.input(), DataType::Bytes, vec![-1])],
            outputs: vec![spec(settings.output(), DataType::Fp32, vec![-1, width])],
            ..ModelMetadata::default()
        };
        let truncate = settings.truncate.unwrap_or(false);
        Self { core, reader: Arc::new(reader), queue, cuts, usual_width, truncate, metadata }
    }

    async fn answer(&self, request: EmbeddingRequest, context: Context) -> Result<Embeddings, Error> {
        let count = request.inputs.len();
        if count > MOST_TEXTS {
            let text = format!("the request has {count} texts, expected at most {MOST_TEXTS}: send them in several");
            return Err(Error::invalid(text));
        }
        let whole = self.core.modules.width();
        let width = match request.dimensions {
            Some(wanted) => self.width(wanted, whole)?,
            None => self.usual_width.unwrap_or(whole),
        };
        let truncate = request.truncate.unwrap_or(self.truncate);
        let texts = self.tokens(request.inputs, request.prompt_name, truncate).await?;
        let tokens = texts.iter().map(Vec::len).sum();
        let values = self.queue.vectors(texts, context).await?;
        let is_normalized = request.normalize.unwrap_or(self.core.modules.is_normalized());
        if values.len() < LARGE_VALUES {
            return Ok(Embeddings { width, values: finished(values, whole, width, is_normalized)?, tokens });
        }
        let task = tokio::task::spawn_blocking(move || finished(values, whole, width, is_normalized));
        let values = task.await.unwrap_or_else(|fault| Err(Error::internal(format!("the work stopped: {fault}"))))?;
        Ok(Embeddings { width, values, tokens })
    }

    /// What a vector is cut to.
    fn width(&self, wanted: usize, whole: usize) -> Result<usize, Error> {
        let usual = self.usual_width;
        if wanted == whole || usual == Some(wanted) {
            return Ok(wanted);
        }
        let invalid = |expected: String| Err(Error::invalid(format!("dimensions: expected {expected}, got {wanted}")));
        match (&self.cuts, usual) {
            (None, None) => invalid(format!("{whole}: the model was not trained for vectors that are cut")),
            (None, Some(usual)) => {
                invalid(format!("{usual} or {whole}: the model was not trained for other cuts of its vectors"))
            }
            (Some(Cuts::Any), _) if (1..whole).contains(&wanted) => Ok(wanted),
            (Some(Cuts::Any), _) => invalid(format!("1 to {whole}")),
            (Some(Cuts::To(widths)), _) if widths.contains(&wanted) && (1..whole).contains(&wanted) => Ok(wanted),
            (Some(Cuts::To(widths)), _) => invalid(format!("{whole} or one of {widths:?}")),
        }
    }

    async fn tokens(
        &self,
        inputs: Vec<EmbeddingInput>,
        prompt_name: Option<String>,
        truncate: bool,
    ) -> Result<Vec<Vec<u32>>, Error> {
        let prompt = self.reader.prompt(prompt_name.as_deref())?.map_or(0, str::len);
        let bytes = |input: &EmbeddingInput| match input {
            EmbeddingInput::Text(text) => text.len() + prompt + BYTES_OF_A_TEXT,
            EmbeddingInput::Tokens(_) => BYTES_OF_A_TEXT,
        };
        if inputs.iter().map(bytes).sum::<usize>() < LARGE_TEXTS {
            return self.reader.read(inputs, prompt_name.as_deref(), truncate);
        }
        let reader = self.reader.clone();
        let task = tokio::task::spawn_blocking(move || reader.read(inputs, prompt_name.as_deref(), truncate));
        task.await.unwrap_or_else(|fault| Err(Error::internal(format!("the tokenizer stopped: {fault}"))))
    }

    async fn infer_texts(&self, request: InferRequest, context: Context) -> Result<InferResponse, Error> {
        let inputs = texts(&request)?;
        let count = inputs.len();
        let parameters = Named(&request.parameters);
        let asked = EmbeddingRequest {
            inputs,
            dimensions: parameters.count("dimensions")?,
            truncate: parameters.flag("truncate")?,
            normalize: parameters.flag("normalize")?,
            prompt_name: parameters.text("prompt_name")?,
        };
        let Embeddings { width, values, tokens } = self.answer(asked, context.clone()).await?;
        // Of a request for embeddings the server counts them.
        context.prompted(tokens);
        let name = self.metadata.outputs.first().map_or("", |output| output.name.as_str());
        let output = Tensor::new(name, vec![count, width], TensorData::Fp32(values))?;
        Ok(InferResponse { parameters: Parameters::new(), outputs: vec![output] })
    }
}

/// Vectors as they are asked for, of those that the modules give.
///
/// # Errors
/// One has a value that is no finite number, which JSON could not say either.
fn finished(mut values: Vec<f32>, whole: usize, width: usize, is_normalized: bool) -> Result<Vec<f32>, Error> {
    if width < whole {
        values = values.chunks(whole).flat_map(|vector| vector.get(..width).unwrap_or_default()).copied().collect();
    }
    if is_normalized {
        values.chunks_mut(width).for_each(modules::normalize);
    }
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(place) => {
            let text = format!("the vector of text {} has values that are not finite", place / width);
            Err(Error::internal(format!("{text}: the model's weights are damaged, or too large for their kind")))
        }
    }
}

fn texts(request: &InferRequest) -> Result<Vec<EmbeddingInput>, Error> {
    let [input] = request.inputs.as_slice() else {
        let count = request.inputs.len();
        return Err(Error::invalid(format!("expected one input of BYTES, a text an element, got {count} inputs")));
    };
    let name = &input.name;
    let TensorData::Bytes(values) = input.data() else {
        return Err(Error::invalid(format!("input '{name}': expected BYTES, got {}", input.datatype())));
    };
    let text = |(index, value): (usize, &Bytes)| match std::str::from_utf8(value) {
        Ok(text) => Ok(EmbeddingInput::Text(text.to_owned())),
        Err(_) => Err(Error::invalid(format!("input '{name}': the text at {index} is not UTF-8"))),
    };
    values.iter().enumerate().map(text).collect()
}

impl Model for Embedder {
    fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    fn size_bytes(&self) -> u64 {
        let own = self.metadata.heap_bytes() + size_of::<Self>();
        (self.core.size_bytes() + self.reader.size_bytes() + own) as u64
    }

    fn embedding(self: Arc<Self>) -> Option<Arc<dyn EmbeddingModel>> {
        Some(self)
    }

    fn infer(self: Arc<Self>, request: InferRequest, context: Context) -> ResponseStream {
        Box::pin(stream::once(async move { self.infer_texts(request, context).await }))
    }
}

impl EmbeddingModel for Embedder {
    fn context_length(&self) -> usize {
        self.reader.most()
    }

    fn embed(self: Arc<Self>, request: EmbeddingRequest, context: Context) -> EmbeddingFuture {
        Box::pin(async move { self.answer(request, context).await })
    }
}
