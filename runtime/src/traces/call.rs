//! Which calls have spans, and what these are called: names without a model, as there are few of them.

use http::Method;

/// A call for an inference.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) protocol: Protocol,
}

/// The wire that a call came on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    Rest,
    Grpc,
}

// === impl Call ===

impl Call {
    pub(super) fn of(method: &Method, path: &str) -> Option<Self> {
        if method != Method::POST {
            return None;
        }
        let (name, protocol) = match path {
            "/inference.GRPCInferenceService/ModelInfer" => {
                ("inference.GRPCInferenceService/ModelInfer", Protocol::Grpc)
            }
            "/inference.GRPCInferenceService/ModelStreamInfer" => {
                ("inference.GRPCInferenceService/ModelStreamInfer", Protocol::Grpc)
            }
            "/v1/completions" | "/openai/v1/completions" => ("POST /v1/completions", Protocol::Rest),
            "/v1/chat/completions" | "/openai/v1/chat/completions" => ("POST /v1/chat/completions", Protocol::Rest),
            "/v1/embeddings" | "/openai/v1/embeddings" => ("POST /v1/embeddings", Protocol::Rest),
            path => {
                let (model, verb) = path.strip_prefix("/v2/models/")?.rsplit_once('/')?;
                let is_versioned = model.contains("/versions/");
                let name = match (verb, is_versioned) {
                    ("infer", false) => "POST /v2/models/{model}/infer",
                    ("infer", true) => "POST /v2/models/{model}/versions/{version}/infer",
                    ("generate", false) => "POST /v2/models/{model}/generate",
                    ("generate", true) => "POST /v2/models/{model}/versions/{version}/generate",
                    ("generate_stream", false) => "POST /v2/models/{model}/generate_stream",
                    ("generate_stream", true) => "POST /v2/models/{model}/versions/{version}/generate_stream",
                    _ => return None,
                };
                (name, Protocol::Rest)
            }
        };
        Some(Self { name, protocol })
    }
}

// === impl Protocol ===

impl Protocol {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Grpc => "grpc",
        }
    }

    /// OpenTelemetry's name for the status on this wire.
    pub(super) fn status_attribute(self) -> &'static str {
        match self {
            Self::Rest => "http.response.status_code",
            Self::Grpc => "rpc.grpc.status_code",
        }
    }
}
