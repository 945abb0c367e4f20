//! Questions to the models of a mesh, over REST and gRPC and of three sizes, and whether an answer is right.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use prost::Message as _;
use serde_json::{Value, json};

use super::classifier::{Classifier, FEATURES};
use crate::gateway::{Protocol, Request};
use crate::host::Message;
use crate::inference::{InferInputTensor, ModelInferRequest, frame, messages};

/// A client waits longer than it takes to notice that a runtime is frozen, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The unary method.
pub const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// The streaming one.
pub const STREAM_INFER: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

/// How a question is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// JSON over HTTP/1.
    Rest,
    /// JSON over HTTP/2.
    RestHttp2,
    /// Raw tensors over gRPC.
    Grpc,
}

/// How large a question is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// One row, 1 KB.
    Small,
    /// 200 rows, 200 KB.
    Medium,
    /// 5,000 rows, 5 MB.
    Large,
}

/// A question to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The model's name, as clients call it.
    pub model: String,
    /// How it is put.
    pub wire: Wire,
    /// How large it is.
    pub size: Size,
}

/// `ModelInferResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct ModelInferResponse {
    #[prost(string, tag = "1")]
    model_name: String,
    #[prost(bytes = "vec", repeated, tag = "6")]
    raw_output_contents: Vec<Vec<u8>>,
}

/// `ModelStreamInferResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct ModelStreamInferResponse {
    #[prost(string, tag = "1")]
    error_message: String,
    #[prost(message, optional, tag = "2")]
    infer_response: Option<ModelInferResponse>,
}

// === impl Size ===

impl Size {
    /// All sizes.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    fn rows(self) -> usize {
        match self {
            Self::Small => 1,
            Self::Medium => 200,
            Self::Large => 5_000,
        }
    }
}

/// Whether a row is of the second class.
fn is_positive(row: usize) -> bool {
    row % 3 == 1
}

// === impl Question ===

impl Question {
    /// A question to a model.
    pub fn new(model: &str, wire: Wire, size: Size) -> Self {
        Self { model: model.to_owned(), wire, size }
    }

    /// Wires in turn; of a hundred questions two have 5 MB, ten 200 KB and all others 1 KB.
    pub fn mixed(model: &str, number: u64) -> Self {
        let wire = [Wire::Rest, Wire::Grpc, Wire::RestHttp2, Wire::Grpc][number as usize % 4];
        let size = match number % 100 {
            17 | 68 => Size::Large,
            number if number % 10 == 3 => Size::Medium,
            _ => Size::Small,
        };
        Self::new(model, wire, size)
    }

    /// What the client sends.
    pub fn request(&self) -> Request {
        let path = format!("/v2/models/{}/infer", self.model);
        let request = match self.wire {
            Wire::Rest => Request::post(&path, json_body(self.size).as_slice()),
            Wire::RestHttp2 => Request::post(&path, json_body(self.size).as_slice()).over(Protocol::Http2),
            Wire::Grpc => Request::grpc(INFER, self.frame()),
        };
        request.gives_up_after(PATIENCE)
    }

    /// The message of a gRPC call in its frame.
    pub fn frame(&self) -> Vec<u8> {
        let rows = self.size.rows();
        frame(&ModelInferRequest {
            model_name: self.model.clone(),
            inputs: vec![InferInputTensor {
                name: "input-0".to_owned(),
                datatype: "FP32".to_owned(),
                shape: vec![rows as i64, FEATURES as i64],
            }],
            raw_input_contents: vec![values(self.size).flat_map(f32::to_le_bytes).collect()],
            ..ModelInferRequest::default()
        })
    }

    /// Whether the answer is this model's, every row of it.
    pub fn check(&self, answer: &Message, tag: Option<u32>) -> Result<()> {
        let found = self.tag(answer)?;
        ensure!(Some(found) == tag, "{} was answered by the model with the tag {found}, expected {tag:?}", self.model);
        Ok(())
    }

    /// The tag of the model that gave the answer; an error for any other answer.
    pub fn tag(&self, answer: &Message) -> Result<u32> {
        ensure!(answer.complete, "the answer was cut off");
        let classes = match self.wire {
            Wire::Rest | Wire::RestHttp2 => self.json_classes(answer)?,
            Wire::Grpc => {
                let message = grpc_message(answer)?;
                classes_of(&ModelInferResponse::decode(message)?)?
            }
        };
        self.tag_of(&classes)
    }

    /// The same of one message of a stream.
    pub fn tag_in_stream(&self, message: &[u8]) -> Result<u32> {
        let message = ModelStreamInferResponse::decode(message)?;
        ensure!(message.error_message.is_empty(), "{}", message.error_message);
        self.tag_of(&classes_of(&message.infer_response.context("a message without a response")?)?)
    }

    fn json_classes(&self, answer: &Message) -> Result<Vec<i64>> {
        let status = answer.headers.text(":status").unwrap_or_default();
        let start = String::from_utf8_lossy(answer.body.get(..300).unwrap_or(&answer.body));
        ensure!(status == "200", "{status} {start} {:?}", answer.headers);
        let body: Value = serde_json::from_slice(&answer.body)?;
        let data = body.pointer("/outputs/0/data").and_then(Value::as_array).context("no output")?;
        data.iter().map(|class| class.as_i64().context("a class that is no integer")).collect()
    }

    fn tag_of(&self, classes: &[i64]) -> Result<u32> {
        let rows = self.size.rows();
        ensure!(classes.len() == rows, "{} rows were answered, {rows} asked", classes.len());
        let first = classes.first().context("no rows")?;
        let tag = u32::try_from(first / 2)?;
        match classes.iter().enumerate().find(|(row, class)| **class != Classifier::class(tag, is_positive(*row))) {
            Some((row, class)) => Err(anyhow!("row {row} is of class {class}, the first was {first}")),
            None => Ok(tag),
        }
    }
}

/// The only message of a unary gRPC answer.
fn grpc_message(answer: &Message) -> Result<&[u8]> {
    let field = |name: &str| {
        answer.trailers.as_ref().and_then(|trailers| trailers.text(name)).or_else(|| answer.headers.text(name))
    };
    match field("grpc-status").as_deref() {
        Some("0") => {}
        status => bail!("grpc-status {status:?}: {:?} {:?}", field("grpc-message"), answer.headers),
    }
    match messages(&answer.body).as_deref() {
        Some([message]) => Ok(message),
        other => bail!("expected one message, got {:?}", other.map(<[_]>::len)),
    }
}

fn classes_of(response: &ModelInferResponse) -> Result<Vec<i64>> {
    let raw = response.raw_output_contents.first().context("no output")?;
    Ok(raw.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok().map(i64::from_le_bytes)).collect())
}

/// All rows, one after another; what is not 1, -1 or 0.5 is never there.
fn values(size: Size) -> impl Iterator<Item = f32> {
    (0..size.rows()).flat_map(|row| {
        let first = if is_positive(row) { 1.0 } else { -1.0 };
        std::iter::once(first).chain(std::iter::repeat_n(0.5, FEATURES - 1))
    })
}

/// Made once for each size: large ones take their time.
fn json_body(size: Size) -> Arc<Vec<u8>> {
    static MADE: Mutex<[Option<Arc<Vec<u8>>>; 3]> = Mutex::new([None, None, None]);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let slot = &mut made[size as usize];
    slot.get_or_insert_with(|| {
        let data: Vec<Value> = values(size).map(|value| json!(value)).collect();
        let input = json!({ "name": "input-0", "shape": [size.rows(), FEATURES], "datatype": "FP32", "data": data });
        Arc::new(json!({ "inputs": [input] }).to_string().into_bytes())
    })
    .clone()
}
