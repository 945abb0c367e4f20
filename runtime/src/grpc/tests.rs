//! Over real sockets.

use crate::protocol::proto::infer_parameter::ParameterChoice;
use crate::protocol::proto::model_infer_request::InferInputTensor;
use crate::protocol::proto::{
    InferParameter, InferTensorContents, ModelInferRequest, ModelMetadataRequest, ModelReadyRequest,
    RepositoryIndexRequest, ServerLiveRequest, ServerMetadataRequest, ServerReadyRequest,
};
use crate::testing::{self, Gate, PATIENCE, Running, start, start_with};
use crate::{Catalogue, Model, Options};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use std::sync::Arc;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

fn rows(model: &str, values: &[f32]) -> ModelInferRequest {
    let contents = InferTensorContents { fp32_contents: values.to_vec(), ..InferTensorContents::default() };
    let input = InferInputTensor {
        name: "x".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![i64::try_from(values.len() / 4).unwrap(), 4],
        contents: Some(contents),
        ..InferInputTensor::default()
    };
    ModelInferRequest {
        model_name: model.to_owned(),
        id: "7".to_owned(),
        inputs: vec![input],
        ..ModelInferRequest::default()
    }
}

fn raw(mut request: ModelInferRequest) -> ModelInferRequest {
    let values = request.inputs[0].contents.take().unwrap().fp32_contents;
    request.raw_input_contents = vec![values.iter().flat_map(|value| value.to_le_bytes()).collect()];
    request
}

/// Sends these bytes as a call's whole body, and gives its status code and text.
async fn call(server: &Running, path: &str, body: Bytes) -> (i32, String) {
    call_with(server, path, body, ("te", "trailers")).await
}

async fn call_with(server: &Running, path: &str, body: Bytes, header: (&str, &str)) -> (i32, String) {
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::post(format!("http://{}{path}", server.address))
        .header("content-type", "application/grpc")
        .header(header.0, header.1)
        .body(Full::new(body));
    let response = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let headers = collected.trailers().cloned().unwrap_or(parts.headers);
    connection.abort();
    let text = headers.get("grpc-message").map_or("", |text| text.to_str().unwrap());
    (headers["grpc-status"].to_str().unwrap().parse().unwrap(), text.replace("%20", " "))
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

#[tokio::test]
async fn health_and_metadata_are_answered() {
    let server = start().await;
    let mut client = server.grpc().await;
    assert!(client.server_live(ServerLiveRequest {}).await.unwrap().into_inner().live);
    assert!(client.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
    let metadata = client.server_metadata(ServerMetadataRequest {}).await.unwrap().into_inner();
    assert_eq!(metadata.name, "modelway");
    for (name, version, expected) in
        [("sum", "", true), ("nope", "", false), ("versioned", "2", true), ("versioned", "3", false)]
    {
        let request = ModelReadyRequest { name: name.to_owned(), version: version.to_owned() };
        assert_eq!(client.model_ready(request).await.unwrap().into_inner().ready, expected, "{name} {version}");
    }
    let request = ModelMetadataRequest { name: "sum".to_owned(), version: String::new() };
    let metadata = client.model_metadata(request).await.unwrap().into_inner();
    assert_eq!((metadata.inputs[0].name.as_str(), metadata.inputs[0].shape.as_slice()), ("x", [-1, 4].as_slice()));
    let index = client.repository_index(RepositoryIndexRequest::default()).await.unwrap().into_inner();
    assert_eq!(index.models.len(), 7);
    let mut health = HealthClient::new(server.channel().await);
    for service in ["", "inference.GRPCInferenceService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(health.check(request).await.unwrap().into_inner().status, 1);
    }
    server.stopped().await;
}

#[tokio::test]
async fn typed_is_answered_typed_and_raw_is_answered_raw() {
    let server = start().await;
    let mut client = server.grpc().await;
    let typed = client.model_infer(rows("sum", &[1.0; 8])).await.unwrap();
    assert_eq!(typed.metadata().get("x-modelway-served").unwrap(), "sum/-@-");
    let typed = typed.into_inner();
    assert_eq!((typed.model_name.as_str(), typed.id.as_str()), ("sum", "7"));
    assert_eq!(typed.outputs[0].shape, [2, 1]);
    assert_eq!(typed.outputs[0].contents.as_ref().unwrap().fp32_contents, [4.0, 4.0]);
    let raw = client.model_infer(raw(rows("sum", &[1.0; 4]))).await.unwrap().into_inner();
    assert_eq!(raw.raw_output_contents, [4_f32.to_le_bytes().as_slice()]);
    assert_eq!(raw.outputs[0].contents, None);
    server.stopped().await;
}

#[tokio::test]
async fn failures_have_the_matching_codes() {
    let server = start().await;
    let mut client = server.grpc().await;
    let mut both = raw(rows("sum", &[1.0; 4]));
    both.inputs[0].contents = rows("sum", &[1.0; 4]).inputs.remove(0).contents;
    let mut version = rows("versioned", &[1.0; 4]);
    version.model_version = "9".to_owned();
    for (request, code, text) in [
        (rows("nope", &[1.0; 4]), Code::NotFound, "unknown model 'nope'"),
        (version, Code::NotFound, "unknown version '9'"),
        (rows("sum", &[1.0; 5]), Code::InvalidArgument, "needs 4 values, got 5"),
        (both, Code::InvalidArgument, "send one of them"),
        (rows("panicker", &[1.0; 4]), Code::Internal, "panicked"),
        (rows("counting", &[1.0; 4]), Code::Unimplemented, "ModelStreamInfer"),
    ] {
        let status = client.model_infer(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(text), "{status}");
    }
    let failed = client.model_infer(rows("versioned", &[1.0; 5])).await.unwrap_err();
    assert_eq!(failed.metadata().get("x-modelway-served").unwrap(), "versioned/2@-");
    server.stopped().await;
}

#[tokio::test]
async fn a_malformed_message_is_the_clients_mistake() {
    let server = start().await;
    let message = rows("sum", &[1.0; 4]).encode_to_vec();
    let invalid = Code::InvalidArgument as i32;
    let whole = framed(&message);
    for (body, text) in [
        (framed(&message[..message.len() - 3]), "malformed message: failed to decode Protobuf message"),
        (whole.slice(..whole.len() - 3), "the request ends 3 bytes before its message does"),
        (whole.slice(..4), "the request ends inside the header"),
        (Bytes::new(), "the request has no message"),
        (Bytes::from_static(b"{\"inputs\": []}"), "this is not gRPC framing"),
    ] {
        let (code, message) = call(&server, INFER, body).await;
        assert_eq!(code, invalid, "{message}");
        assert!(message.contains(text), "{message}");
    }
    assert_eq!(call(&server, INFER, whole).await.0, 0);
    server.stopped().await;
}

#[tokio::test]
async fn what_is_not_served_is_unimplemented_and_says_so() {
    let server = start().await;
    let unimplemented = Code::Unimplemented as i32;
    for path in ["/inference.GRPCInferenceService/ModelStatistics", "/some.Other/Method", "/v2/nope"] {
        let (code, message) = call(&server, path, framed(b"")).await;
        assert_eq!(code, unimplemented, "{path}");
        assert!(!message.is_empty(), "{path}");
    }
    let answer = server.post(INFER, "{}").await;
    assert_eq!(answer.status, 400);
    assert!(answer.error().contains("expected content-type application/grpc"));
    server.stopped().await;
}

#[tokio::test]
async fn messages_of_megabytes_pass_and_one_byte_over_the_limit_does_not() {
    let limit = Options::default().body_limit;
    let server = start().await;
    let mut client = server.grpc().await;
    let empty = raw(rows("echo", &[]));
    for length in [5_000_000, limit, limit + 1] {
        let mut request = empty.clone();
        request.inputs[0].datatype = "UINT8".to_owned();
        // Shape and lengths take more bytes for larger values: come from below.
        for _ in 0..3 {
            let missing = length - request.encoded_len();
            let count = request.raw_input_contents[0].len() + missing;
            request.raw_input_contents = vec![vec![0; count].into()];
            request.inputs[0].shape = vec![i64::try_from(count).unwrap()];
            let excess = request.encoded_len().saturating_sub(length);
            request.raw_input_contents = vec![vec![0; count - excess].into()];
            request.inputs[0].shape = vec![i64::try_from(count - excess).unwrap()];
        }
        assert_eq!(request.encoded_len(), length);
        let result = client.model_infer(request).await;
        if length > limit {
            let status = result.unwrap_err();
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert_eq!(status.message(), "the message has 67108865 bytes, the limit is 67108864");
        } else {
            assert!(result.unwrap().into_inner().raw_output_contents[0].len() > length - 100);
        }
    }
    server.stopped().await;
}

#[tokio::test]
async fn the_gateways_headers_override_the_message() {
    let server = start().await;
    let mut client = server.grpc().await;
    let routed = |request| {
        let mut request = tonic::Request::new(request);
        for (name, value) in
            [("x-modelway-model", "digits"), ("x-modelway-target", "versioned"), ("x-modelway-version", "1")]
        {
            request.metadata_mut().insert(name, value.parse().unwrap());
        }
        request
    };
    let response = client.model_infer(routed(rows("digits", &[1.0; 4]))).await.unwrap();
    assert_eq!(response.metadata().get("x-modelway-served").unwrap(), "versioned/1@-");
    assert_eq!(response.get_ref().model_name, "digits");
    assert_eq!(response.get_ref().model_version, "1");

    let mut request =
        routed(rows("", &[])).map(|_| stream::iter([rows("digits", &[1.0; 4]), rows("other", &[2.0; 4])]));
    request.metadata_mut().remove("x-modelway-model");
    let response = client.model_stream_infer(request).await.unwrap();
    assert_eq!(response.metadata().get("x-modelway-served").unwrap(), "versioned/1@-");
    let answers: Vec<_> = response.into_inner().map(|answer| answer.unwrap().infer_response.unwrap()).collect().await;
    assert_eq!(answers.iter().map(|answer| answer.model_name.as_str()).collect::<Vec<_>>(), ["digits", "other"]);
    assert!(answers.iter().all(|answer| answer.outputs[0].name == "total"));
    server.stopped().await;
}

#[tokio::test]
async fn a_stream_answers_every_message_in_order_and_outlives_a_failure() {
    let server = start().await;
    let mut client = server.grpc().await;
    let mut requests = vec![
        rows("counting", &[1.0, 2.0, 3.0, 4.0]),
        rows("nope", &[1.0; 4]),
        raw(rows("sum", &[1.0; 4])),
        rows("panicker", &[1.0; 4]),
        rows("sum", &[2.0; 4]),
    ];
    for (index, request) in requests.iter_mut().enumerate() {
        request.id = index.to_string();
    }
    let response = client.model_stream_infer(stream::iter(requests)).await.unwrap();
    let answers: Vec<_> = response.into_inner().map(Result::unwrap).collect().await;
    let ids: Vec<_> = answers.iter().map(|answer| answer.infer_response.as_ref().unwrap().id.as_str()).collect();
    assert_eq!(ids, ["0", "0", "0", "0", "1", "2", "3", "4"]);
    let failures: Vec<_> = answers.iter().map(|answer| !answer.error_message.is_empty()).collect();
    assert_eq!(failures, [false, false, false, false, true, false, true, false]);
    assert!(answers[4].error_message.contains("unknown model 'nope'"));
    let last = answers[7].infer_response.as_ref().unwrap();
    assert_eq!(last.outputs[0].contents.as_ref().unwrap().fp32_contents, [8.0]);
    server.stopped().await;
}

#[tokio::test]
async fn responses_in_a_stream_say_which_is_the_last_and_an_empty_one_does_where_it_is_asked_for() {
    let asking = |mut request: ModelInferRequest| {
        let parameter = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
        request.parameters.insert("triton_enable_empty_final_response".to_owned(), parameter);
        request
    };
    let server = start().await;
    let mut client = server.grpc().await;
    let mut bad = rows("counting", &[1.0; 4]);
    bad.inputs[0].datatype = "FP64".to_owned();
    bad.inputs[0].contents = None;
    bad.raw_input_contents = vec![Bytes::from_static(&[0; 32])];
    let requests = vec![
        rows("counting", &[1.0; 4]),
        asking(rows("counting", &[1.0; 4])),
        asking(rows("echo", &[1.0; 4])),
        asking(bad),
        asking(rows("nope", &[1.0; 4])),
    ];
    let response = client.model_stream_infer(stream::iter(requests)).await.unwrap();
    let answers: Vec<_> = response.into_inner().map(Result::unwrap).collect().await;
    let told = answers.iter().map(|answer| {
        let response = answer.infer_response.as_ref().unwrap();
        assert_eq!(response.id, "7");
        assert_eq!(response.parameters.len(), 1, "{response:?}");
        let Some(ParameterChoice::BoolParam(is_last)) = response.parameters["triton_final_response"].parameter_choice
        else {
            panic!("no flag: {response:?}")
        };
        (response.model_name.as_str(), response.outputs.len(), !answer.error_message.is_empty(), is_last)
    });
    let told: Vec<_> = told.collect();
    let one = ("counting", 1, false, false);
    let rest = [("echo", 1, false, true), ("counting", 0, true, true), ("nope", 0, true, true)];
    let all: Vec<_> = [one; 8].into_iter().chain([("counting", 0, false, true)]).chain(rest).collect();
    assert_eq!(told, all);
    server.stopped().await;
}

#[tokio::test]
async fn a_stream_without_messages_ends_well() {
    let server = start().await;
    let response = server.grpc().await.model_stream_infer(stream::empty::<ModelInferRequest>()).await.unwrap();
    assert_eq!(response.into_inner().count().await, 0);
    server.stopped().await;
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_request() {
    let gate = Gate::new();
    let catalogue = Catalogue::of([("gate", None, Arc::new(gate.clone()) as Arc<dyn Model>)]);
    let server = start_with(catalogue, &Options::default()).await;
    let mut client = server.grpc().await;
    let call = tokio::spawn(async move { client.model_infer(rows("gate", &[1.0; 4])).await });
    testing::until(async || gate.waiting.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
    call.abort();
    tokio::time::timeout(PATIENCE, gate.given_up.acquire()).await.unwrap().unwrap().forget();
    server.stopped().await;
}

#[tokio::test]
async fn a_deadline_ends_the_call_and_cancels_its_work() {
    let gate = Gate::new();
    let catalogue = Catalogue::of([("gate", None, Arc::new(gate.clone()) as Arc<dyn Model>)]);
    let server = start_with(catalogue, &Options::default()).await;
    // Not by a client with a timer of its own, which would end the call before the server does.
    let message = framed(&rows("gate", &[1.0; 4]).encode_to_vec());
    let (code, text) = call_with(&server, INFER, message, ("grpc-timeout", "50m")).await;
    assert_eq!((code, text.as_str()), (Code::DeadlineExceeded as i32, "the deadline of the call passed"));
    tokio::time::timeout(PATIENCE, gate.given_up.acquire()).await.unwrap().unwrap().forget();
    server.stopped().await;
}
