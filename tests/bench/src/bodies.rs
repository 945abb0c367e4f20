//! Request bodies of the Open Inference Protocol, of a wanted size.

use bytes::Bytes;
use modelway_tests::inference::{frame, infer};

/// The model that every request asks for, in its path, its message and at the end of its JSON body.
pub(crate) const MODEL: &str = "iris";
/// The request parameter that a sticky key may name.
pub(crate) const PARAMETER: &str = "user_id";

/// Where the parameters of a JSON body stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Parameters {
    BeforeInputs,
    /// As tritonclient and others write them.
    BehindInputs,
}

/// A v2 REST body of about `size` bytes: one tensor of JSON numbers. `model_name` stands last, which is the worst place
/// for what looks for it there; the protocol has it in the path.
pub(crate) fn rest(size: usize, parameters: Parameters) -> Bytes {
    let parameters_member = format!(r#""parameters":{{"{PARAMETER}":"user-4711"}},"#);
    let (before, behind) = match parameters {
        Parameters::BeforeInputs => (parameters_member.as_str(), ""),
        Parameters::BehindInputs => ("", parameters_member.as_str()),
    };
    let end = format!(r#"]}}],{behind}"model_name":"{MODEL}"}}"#);
    // Every number is 7 bytes with its comma.
    let start_size = 110 + before.len();
    let count = size.saturating_sub(start_size + end.len()) / 7;
    let start = format!(
        r#"{{"id":"5f0c2b9e-request-7",{before}"inputs":[{{"name":"predict","shape":[1,{count}],"datatype":"FP32","data":["#
    );
    let mut body = String::with_capacity(size + 64);
    body.push_str(&start);
    for index in 0..count {
        if index > 0 {
            body.push(',');
        }
        body.push_str(&format!("0.{:04}", index * 7919 % 10_000));
    }
    body.push_str(&end);
    body.into()
}

/// One gRPC frame of about `size` bytes with raw tensor contents.
pub(crate) fn grpc(size: usize) -> Bytes {
    const AROUND: usize = 60;
    frame(&infer(MODEL, size.saturating_sub(AROUND))).into()
}
