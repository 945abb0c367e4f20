//! What a model is asked, written for both protocols before the clock runs.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;

use modelway_tests::inference::{InferInputTensor, ModelInferRequest};

/// Of a gRPC message: whether it is compressed, and its length.
const FRAME_HEADER: usize = 5;

/// One question: a model by its name, and one of the [`Rows`].
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) model: String,
    pub(crate) row: usize,
    pub(crate) answer: i64,
}

/// Rows of features, as both protocols carry one of them.
pub(crate) struct Rows {
    json: Vec<Bytes>,
    /// A message without the model's name, which may stand anywhere in it.
    grpc: Vec<Bytes>,
}

// === impl Rows ===

impl Rows {
    pub(crate) fn new(rows: &[Vec<f32>]) -> Self {
        Self { json: rows.iter().map(|row| json(row)).collect(), grpc: rows.iter().map(|row| message(row)).collect() }
    }

    /// The body of a REST request.
    pub(crate) fn json(&self, row: usize) -> Bytes {
        self.json.get(row).cloned().unwrap_or_default()
    }

    /// The body of a gRPC request: a frame around the message.
    pub(crate) fn frame(&self, model: &str, row: usize) -> Bytes {
        let rest = self.grpc.get(row).cloned().unwrap_or_default();
        let mut name = Vec::with_capacity(model.len() + 2);
        prost::encoding::string::encode(1, &model.to_owned(), &mut name);
        let mut frame = BytesMut::with_capacity(FRAME_HEADER + name.len() + rest.len());
        frame.put_u8(0);
        frame.put_u32(u32::try_from(name.len() + rest.len()).unwrap_or(u32::MAX));
        frame.put_slice(&name);
        frame.put_slice(&rest);
        frame.freeze()
    }
}

fn json(row: &[f32]) -> Bytes {
    let values: Vec<String> = row.iter().map(ToString::to_string).collect();
    let (values, features) = (values.join(","), row.len());
    format!(r#"{{"inputs":[{{"name":"x","shape":[1,{features}],"datatype":"FP32","data":[{values}]}}]}}"#).into()
}

fn message(row: &[f32]) -> Bytes {
    let request = ModelInferRequest {
        inputs: vec![InferInputTensor {
            name: "x".to_owned(),
            datatype: "FP32".to_owned(),
            shape: vec![1, i64::try_from(row.len()).unwrap_or(i64::MAX)],
        }],
        raw_input_contents: vec![row.iter().flat_map(|value| value.to_le_bytes()).collect()],
        ..ModelInferRequest::default()
    };
    request.encode_to_vec().into()
}
