//! Where the responses to one message of a stream end, as Triton's clients learn it: each response says whether it is the
//! last, in the parameter `triton_final_response`. A model that gives several ("decoupled") does not know its last one
//! before it has ended; who asks for it by `triton_enable_empty_final_response` gets one more response without outputs.

use std::future::ready;

use futures_util::{Stream, StreamExt, stream};

use crate::protocol::proto::infer_parameter::ParameterChoice;
use crate::protocol::proto::{InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse};

const IS_LAST: &str = "triton_final_response";
const WANTS_EMPTY: &str = "triton_enable_empty_final_response";

/// Whether the message asks for an empty last response. The parameter is the stream's, the model does not see it.
pub(super) fn takes_empty(message: &mut ModelInferRequest) -> bool {
    let asked = message.parameters.remove(WANTS_EMPTY).and_then(|parameter| parameter.parameter_choice);
    asked == Some(ParameterChoice::BoolParam(true))
}

/// The responses to one message, each with the parameter. An error is the last one.
pub(super) fn flagged(
    responses: impl Stream<Item = ModelStreamInferResponse>,
    is_decoupled: bool,
    empty: Option<ModelInferResponse>,
) -> impl Stream<Item = ModelStreamInferResponse> {
    // The end is an item, too.
    let items = responses.map(Some).chain(stream::once(ready(None)));
    let mut has_failed = false;
    items.filter_map(move |item| {
        let (is_last, response) = match item {
            Some(response) => {
                has_failed |= !response.error_message.is_empty();
                (has_failed || !is_decoupled, Some(response))
            }
            None => {
                let empty = empty.clone().filter(|_| is_decoupled && !has_failed);
                let response = |empty| ModelStreamInferResponse { infer_response: Some(empty), ..Default::default() };
                (true, empty.map(response))
            }
        };
        ready(response.map(|response| flag(response, is_last)))
    })
}

fn flag(mut response: ModelStreamInferResponse, is_last: bool) -> ModelStreamInferResponse {
    if let Some(response) = &mut response.infer_response {
        let parameter = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(is_last)) };
        response.parameters.insert(IS_LAST.to_owned(), parameter);
    }
    response
}
