//! What every front end translates to: one request, one response.

use crate::parameter::Parameters;
use crate::tensor::Tensor;

/// An output that the client asks for by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestedOutput {
    /// The output's name.
    pub name: String,
    /// For instance `binary_data` or `classification`.
    pub parameters: Parameters,
}

/// An inference request, whatever wire it came on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InferRequest {
    /// The model, by the name that this server knows.
    pub model: String,
    /// The version asked for, if any.
    pub version: Option<String>,
    /// Echoed in the response, if given.
    pub id: Option<String>,
    /// Of the request as a whole.
    pub parameters: Parameters,
    /// In the order of the wire.
    pub inputs: Vec<Tensor>,
    /// Empty: all that the model has.
    pub outputs: Vec<RequestedOutput>,
}

/// One response; a streaming model gives several. The front end adds model, version and id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InferResponse {
    /// Of the response as a whole.
    pub parameters: Parameters,
    /// In the model's order.
    pub outputs: Vec<Tensor>,
}
