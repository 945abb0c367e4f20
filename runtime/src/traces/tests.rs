use super::*;
use http::Method;

#[test]
fn only_inferences_have_spans_and_their_names_have_no_model_in_them() {
    let name = |method: &Method, path: &str| Call::of(method, path).map(|call| call.name);
    let post = &Method::POST;
    assert_eq!(name(post, "/v2/models/a/infer"), Some("POST /v2/models/{model}/infer"));
    let versioned = Some("POST /v2/models/{model}/versions/{version}/infer");
    assert_eq!(name(post, "/v2/models/a/versions/2/infer"), versioned);
    assert_eq!(name(post, "/v2/models/a/generate_stream"), Some("POST /v2/models/{model}/generate_stream"));
    assert_eq!(name(post, "/openai/v1/chat/completions"), Some("POST /v1/chat/completions"));
    assert_eq!(name(post, "/openai/v1/embeddings"), Some("POST /v1/embeddings"));
    let grpc = "/inference.GRPCInferenceService/ModelInfer";
    assert_eq!(Call::of(post, grpc).map(|call| call.protocol), Some(Protocol::Grpc));
    for other in ["/v2/models/a", "/v2/health/ready", "/grpc.health.v1.Health/Check", "/metrics"] {
        assert_eq!(name(post, other), None, "{other}");
    }
    assert_eq!(name(&Method::GET, "/v2/models/a/infer"), None);
}

#[test]
fn without_traces_a_request_has_none() {
    let request = http::Request::post("/v2/models/a/infer").body(()).unwrap();
    assert!(!Traces::new(false).begin(&request).is_recording());
    // On, but nobody in this process has set up OpenTelemetry.
    assert!(!Traces::new(true).begin(&request).is_recording());
}
