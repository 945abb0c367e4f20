//! gRPC messages: model, version and parameters are those that prost reads, and a renamed message is the same message
//! but for its name, however it was cut and in whatever order its fields stand.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use modelway_decision::Router;
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use serde_json::json;

use crate::gateway::{Request, Routed, Seen, router, send, send_in_pieces};
use crate::input::Input;

/// Longer names and versions are not read, nor are more of them than this together, nor longer entries of parameters.
const LONGEST_NAME: usize = 1024;
const MOST_NAMES: usize = 8;
const LONGEST_ENTRY: usize = 1024;

/// `ModelInferRequest`, as far as routing looks.
#[derive(Clone, PartialEq, Message)]
pub struct ModelInferRequest {
    /// The model.
    #[prost(string, tag = "1")]
    pub model_name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub model_version: String,
    /// The client's name for the request.
    #[prost(string, tag = "3")]
    pub id: String,
    /// Request parameters.
    #[prost(btree_map = "string, message", tag = "4")]
    pub parameters: BTreeMap<String, InferParameter>,
    /// Input tensors.
    #[prost(message, repeated, tag = "5")]
    pub inputs: Vec<InferInputTensor>,
    /// Input contents.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub raw_input_contents: Vec<Vec<u8>>,
}

/// `InferInputTensor`, its contents not taken apart.
#[derive(Clone, PartialEq, Message)]
pub struct InferInputTensor {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its datatype.
    #[prost(string, tag = "2")]
    pub datatype: String,
    /// Its dimensions.
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
    /// Its parameters.
    #[prost(btree_map = "string, message", tag = "4")]
    pub parameters: BTreeMap<String, InferParameter>,
    /// Its elements.
    #[prost(bytes = "vec", tag = "5")]
    pub contents: Vec<u8>,
}

/// `InferParameter`.
#[derive(Clone, PartialEq, Message)]
pub struct InferParameter {
    /// One of five.
    #[prost(oneof = "Choice", tags = "1, 2, 3, 4, 5")]
    pub choice: Option<Choice>,
}

/// `InferParameter.parameter_choice`.
#[derive(Clone, PartialEq, prost::Oneof)]
#[allow(missing_docs)]
pub enum Choice {
    #[prost(bool, tag = "1")]
    Bool(bool),
    #[prost(int64, tag = "2")]
    Int64(i64),
    #[prost(string, tag = "3")]
    String(String),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(uint64, tag = "5")]
    Uint64(u64),
}

/// A field of a message: its number and its bytes, tag included.
type Field<'a> = (u32, &'a [u8]);

/// The lowest three bits of a length-delimited field's tag.
const LENGTH_DELIMITED: u8 = 2;

/// Whatever its name, a model is renamed.
static RENAMING: LazyLock<[Router; 3]> = LazyLock::new(|| {
    let variants = json!([
        { "name": "stable", "model": "a-much-longer-name-than-most-clients-would-use" },
        { "name": "canary", "model": "c", "version": "2", "weight": 0 },
        { "name": "versioned", "model": "c", "version": "3" },
    ]);
    [("1MiB", "Auto"), ("512", "Auto"), ("1MiB", "Always")].map(|(limit, rewrite)| {
        let sticky = json!({ "by": [{ "parameter": "user_id" }] });
        router(&json!({ "peekLimit": limit, "rewrite": rewrite, "models": [
            { "name": "*", "variants": variants },
            { "name": "t*", "variants": variants, "sticky": sticky },
        ] }))
    })
});

/// Refuses what has two readings.
static STRICT: LazyLock<Router> = LazyLock::new(|| {
    router(&json!({ "mode": "Strict", "peekLimit": "1MiB", "models": [{
        "name": "*", "variants": [{ "name": "a", "model": "the-target" }, { "name": "b", "weight": 0 }],
        "rules": [{ "name": "r", "match": { "parameters": [{ "name": "user_id", "type": "Present" }] }, "variant": "b" }],
    }] }))
});

/// One input.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let choices = input.byte();
    let cuts = input.cuts();
    let message = input.rest();
    if choices & 4 != 0 {
        let body = if choices & 1 != 0 { message.to_vec() } else { frame(message) };
        transcoded(&body, &cuts);
        return;
    }
    if choices & 1 != 0 {
        for router in RENAMING.iter() {
            send_in_pieces(router, &Request::grpc(message), &cuts);
        }
        return;
    }
    let mut body = frame(message);
    if choices & 2 != 0 {
        body.extend_from_slice(&frame(b"\x0a\x06second"));
    }
    let request = Request::grpc(&body);
    let [whole, narrow, always] = &*RENAMING;
    send_in_pieces(narrow, &request, &cuts);
    let reading = Reading::of(message);
    for router in [whole, always] {
        let seen = send_in_pieces(router, &request, &cuts);
        if let Seen::Routed(routed) = &seen {
            agrees_with_upstream(routed);
        }
        if let Some(reading) = &reading {
            agrees(&seen, &body, message, reading);
        }
    }
    if let Some(reading) = &reading {
        parameter_agrees(message, reading);
    }
    if let Seen::Routed(routed) = send_in_pieces(&STRICT, &request, &cuts) {
        agrees_with_upstream(&routed);
        has_one_reading(message);
    }
}

/// Behind a transcoder the path has decided, and the message gets another name at its end.
fn transcoded(body: &[u8], cuts: &[usize]) {
    let request = Request::grpc(body).header("x-envoy-original-path", "/v2/models/asked/infer");
    for router in RENAMING.iter() {
        if let Seen::Routed(routed) = send_in_pieces(router, &request, cuts) {
            assert_eq!(routed.model, b"asked");
            agrees_with_upstream(&routed);
        }
    }
}

/// What a strict gateway lets through has each of its scalars once.
fn has_one_reading(message: &[u8]) {
    let Some(fields) = fields_of(message) else { return };
    for scalar in 1..=3 {
        let count = fields.iter().filter(|(number, _)| *number == scalar).count();
        assert!(count <= 1, "field {scalar} comes {count} times in {}", message.escape_ascii());
    }
}

/// A frame around a message.
pub fn frame(message: &[u8]) -> Vec<u8> {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

/// What prost reads, if the filter must be able to read it too.
struct Reading<'a> {
    request: ModelInferRequest,
    fields: Vec<Field<'a>>,
}

/// Whatever the client sent, an upstream that can read what it gets must read what it is told.
fn agrees_with_upstream(routed: &Routed) {
    let Some(length) = routed.body.get(1..5).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes) else {
        return;
    };
    let Some(message) = routed.body.get(5..).and_then(|rest| rest.get(..length as usize)) else { return };
    let Ok(got) = ModelInferRequest::decode(message) else { return };
    assert_eq!(got.model_name.as_bytes(), routed.target, "{}", message.escape_ascii());
    assert_eq!(got.model_version.as_bytes(), routed.version.as_deref().unwrap_or_default());
}

fn agrees(seen: &Seen, body: &[u8], message: &[u8], reading: &Reading<'_>) {
    let Reading { request, fields } = reading;
    let asked = request.model_name.as_bytes();
    if asked.is_empty() {
        assert_eq!(*seen, Seen::Passed, "a message without a name");
        return;
    }
    let version = Some(request.model_version.as_bytes()).filter(|version| !version.is_empty());
    let no_header = |name: &[u8]| name.iter().any(u8::is_ascii_control) || name.trim_ascii() != name;
    if no_header(asked) || version.is_some_and(no_header) {
        assert!(matches!(seen, Seen::Refused(400, 3)), "{seen:?}");
        return;
    }
    let Seen::Routed(routed) = seen else { panic!("{seen:?} of {}", message.escape_ascii()) };
    assert_eq!(routed.model, asked);

    let sent = frame_end(body, message.len());
    let got_length = routed.body.len() - sent.len();
    let (got_frame, behind) = routed.body.split_at(got_length);
    assert_eq!(behind, sent, "the messages behind the first have changed");
    let got_message = got_frame.get(5..).expect("a whole frame");
    assert_eq!(frame(got_message), got_frame, "the frame's length is wrong");
    let got = ModelInferRequest::decode(got_message).expect("a message that can be read");
    assert_eq!(got.model_name.as_bytes(), routed.target);
    assert_eq!(got.model_version.as_bytes(), routed.version.as_deref().unwrap_or_default());
    let (model_name, model_version) = (got.model_name.clone(), got.model_version.clone());
    // By their text: a NaN is the same NaN.
    let renamed = ModelInferRequest { model_name, model_version, ..request.clone() };
    assert_eq!(format!("{got:?}"), format!("{renamed:?}"));
    let others = |fields: &[Field<'_>]| -> Vec<Vec<u8>> {
        fields.iter().filter(|(number, _)| *number > 2).map(|(_, bytes)| bytes.to_vec()).collect()
    };
    let got_fields = fields_of(got_message).expect("a message of whole fields");
    assert_eq!(others(&got_fields), others(fields), "a field has changed");
}

fn frame_end(body: &[u8], message: usize) -> &[u8] {
    body.get(5 + message..).expect("a whole frame")
}

fn parameter_agrees(message: &[u8], reading: &Reading<'_>) {
    let expected = reading.request.parameters.get("user_id").and_then(|parameter| parameter.choice.as_ref());
    let expected = expected.map(Choice::text);
    let router = crate::json::asking_for(expected.as_deref().unwrap_or_default());
    let named = [message, b"\x0a\x05tuned"].concat();
    let mut seen = send(&router, &Request::grpc(&frame(&named)), &[]);
    if let Seen::Routed(routed) = &mut seen {
        routed.body.clear();
    }
    if !reading.request.model_version.is_empty() {
        return;
    }
    let variant = if expected.is_some() { "exact" } else { "none" };
    assert_eq!(seen.variant(), Some(variant.as_bytes()), "{expected:?} of {}", message.escape_ascii());
}

/// `None` for what protobuf does not allow, and for groups, which no message of the protocol has.
fn fields_of(message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let start = rest;
        let (number, wire_type) = decode_key(&mut rest).ok()?;
        let length = match wire_type {
            WireType::Varint => {
                decode_varint(&mut rest).ok()?;
                0
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => usize::try_from(decode_varint(&mut rest).ok()?).ok()?,
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        rest = rest.get(length..)?;
        fields.push((number, start.get(..start.len() - rest.len())?));
    }
    Some(fields)
}

/// prost takes a map's entry under any wire type.
fn is_entry(field: &[u8]) -> bool {
    field.len() <= LONGEST_ENTRY && field.first().is_some_and(|tag| tag & 7 == LENGTH_DELIMITED)
}

// === impl Reading ===

impl<'a> Reading<'a> {
    fn of(message: &'a [u8]) -> Option<Self> {
        let request = ModelInferRequest::decode(message).ok()?;
        let fields = fields_of(message)?;
        let names = fields.iter().filter(|(number, _)| *number <= 2);
        let in_bounds = names.clone().count() < MOST_NAMES
            && names.clone().all(|(_, bytes)| bytes.len() <= LONGEST_NAME)
            && fields.iter().all(|(number, bytes)| *number != 4 || is_entry(bytes));
        in_bounds.then_some(Self { request, fields })
    }
}

// === impl Choice ===

impl Choice {
    fn text(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int64(value) => value.to_string(),
            Self::String(value) => value.clone(),
            Self::Double(value) => (value + 0.0).to_string(),
            Self::Uint64(value) => value.to_string(),
        }
    }
}
