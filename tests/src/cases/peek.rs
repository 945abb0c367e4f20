//! How far into a body the filter reads, and large bodies behind a small buffer.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::check::{SECOND, decoded, header_is, pass, passed, refused_grpc, refused_rest, says, send, variant};
use super::{Case, cases, routing_with};
use crate::gateway::{Gateway, Request, Setup};
use crate::inference::{ModelInferRequest, field, frame, frame_bytes, infer, with_parameter};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// Istio's limit at its gateways.
const SMALL_BUFFER: u32 = 32 * 1024;
const INVALID_ARGUMENT: u32 = 3;

pub(super) fn cases() -> Vec<Case> {
    let mut all = cases![small_buffer("Default");
        five_megabytes_of_json_pass,
        eight_megabytes_of_grpc_pass,
        five_megabytes_pass_where_a_parameter_is_wanted,
        a_parameter_that_stands_last_in_five_megabytes_is_not_waited_for,
        a_key_that_stands_last_in_five_megabytes_is_not_waited_for,
        a_parameter_that_stands_first_in_five_megabytes_counts,
        a_parameter_within_the_limit_counts_wherever_it_stands,
        a_name_beyond_the_limit_passes_unrouted,
    ];
    all.extend(cases![small_buffer("Reject");
        a_parameter_that_stands_last_in_five_megabytes_is_refused,
        a_parameter_that_stands_first_in_five_megabytes_counts,
        five_megabytes_of_json_pass,
        eight_megabytes_of_grpc_pass,
        a_small_body_without_the_parameter_is_not_refused,
        a_name_beyond_the_limit_is_refused,
        a_grpc_parameter_beyond_the_limit_is_refused,
    ]);
    // With a limit of its own on the route, as a mesh has it that retries large requests.
    let retrying = Setup { route_body_limit: Some(64 << 20), ..small_buffer("Default") };
    all.extend(cases![retrying;
        five_megabytes_of_json_pass,
        eight_megabytes_of_grpc_pass,
        a_parameter_that_stands_last_in_five_megabytes_is_not_waited_for,
    ]);
    all
}

fn small_buffer(on_peek_limit: &str) -> Setup {
    Setup::new(&routing_with("onPeekLimit", Value::from(on_peek_limit))).with_buffer_limit(SMALL_BUFFER)
}

/// About so many bytes of tensor data as JSON numbers.
fn numbers(bytes: usize) -> String {
    vec!["0.125"; bytes / 6].join(",")
}

fn parameter_last(model: &str, name: &str, value: &str) -> Request {
    let body = format!(
        r#"{{"inputs":[{{"name":"predict","shape":[1],"datatype":"FP32","data":[{}]}}],"parameters":{{"{name}":"{value}"}}}}"#,
        numbers(5_000_000)
    );
    Request::post(&format!("/v2/models/{model}/infer"), body)
}

fn parameter_first(model: &str, name: &str, value: &str) -> Request {
    let body = format!(
        r#"{{"parameters":{{"{name}":"{value}"}},"inputs":[{{"name":"predict","shape":[1],"datatype":"FP32","data":[{}]}}]}}"#,
        numbers(5_000_000)
    );
    Request::post(&format!("/v2/models/{model}/infer"), body)
}

/// Sends it and expects all of its body at the upstream.
fn pass_whole(gateway: &mut dyn Gateway, request: Request) -> Result<crate::gateway::Message> {
    let body = request.body_bytes();
    let upstream = pass(gateway, request)?;
    ensure!(upstream.body == body, "{} bytes of {} reached the upstream unchanged", upstream.body.len(), body.len());
    Ok(upstream)
}

fn five_megabytes_of_json_pass(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass_whole(gateway, parameter_last("iris", "user_id", "u"))?;
    header_is(&upstream, "x-modelway-target", Some("iris-v1"))
}

fn eight_megabytes_of_grpc_pass(gateway: &mut dyn Gateway) -> Result<()> {
    let message = infer("iris", 8_000_000);
    let upstream = pass(gateway, Request::grpc(INFER, frame(&message)))?;
    header_is(&upstream, "x-modelway-target", Some("iris-v1"))?;
    let seen: ModelInferRequest = decoded(&upstream.body)?;
    ensure!(seen == ModelInferRequest { model_name: "iris-v1".to_owned(), ..message }, "the message has changed");
    Ok(())
}

fn five_megabytes_pass_where_a_parameter_is_wanted(gateway: &mut dyn Gateway) -> Result<()> {
    let without = format!(r#"{{"inputs":[{{"data":[{}]}}]}}"#, numbers(5_000_000));
    let exchange = send(gateway, Request::post("/v2/models/tuned/infer", without.clone()))?;
    let upstream = passed(&exchange)?;
    ensure!(upstream.body == without.as_bytes(), "the body has changed");
    Ok(())
}

fn a_parameter_that_stands_last_in_five_megabytes_is_not_waited_for(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass_whole(gateway, parameter_last("ruled", "tier", "beta"))?;
    ensure!(variant(&upstream)? == "stable", "the split was to decide");
    header_is(&upstream, "x-modelway-target", Some("ruled-v1"))
}

fn a_key_that_stands_last_in_five_megabytes_is_not_waited_for(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass_whole(gateway, parameter_last("tuned", "user_id", "u"))?;
    let variant = variant(&upstream)?;
    ensure!(["stable", "canary"].contains(&variant.as_str()), "no such variant: {variant}");
    Ok(())
}

fn a_parameter_that_stands_first_in_five_megabytes_counts(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass_whole(gateway, parameter_first("ruled", "tier", "beta"))?;
    header_is(&upstream, "x-modelway-target", Some("ruled-v2"))
}

fn a_parameter_within_the_limit_counts_wherever_it_stands(gateway: &mut dyn Gateway) -> Result<()> {
    for size in [100, 8_000, 15_000, 20_000] {
        let body = format!(r#"{{"inputs":[{{"data":[{}]}}],"parameters":{{"tier":"beta"}}}}"#, numbers(size));
        let upstream = pass_whole(gateway, Request::post("/v2/models/ruled/infer", body))?;
        header_is(&upstream, "x-modelway-target", Some("ruled-v2"))?;
    }
    Ok(())
}

fn name_last(model: &str) -> Request {
    Request::grpc(INFER, frame_bytes(&[field(7, &vec![1; 200_000]), field(1, model.as_bytes())].concat()))
}

fn a_name_beyond_the_limit_passes_unrouted(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass_whole(gateway, name_last("iris"))?;
    header_is(&upstream, "x-modelway-target", None)
}

fn a_parameter_that_stands_last_in_five_megabytes_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    for request in [parameter_last("ruled", "tier", "beta"), parameter_last("tuned", "user_id", "u")] {
        let exchange = send(gateway, request)?;
        ensure!(exchange.took < SECOND, "the refusal took {:?}", exchange.took);
        let error = refused_rest(&exchange, 400)?;
        says(&error, "peekLimit")?;
        says(&error, "parameters")?;
    }
    Ok(())
}

fn a_small_body_without_the_parameter_is_not_refused(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::post("/v2/models/ruled/infer", r#"{"inputs":[]}"#))?;
    header_is(&upstream, "x-modelway-target", Some("ruled-v1"))
}

fn a_name_beyond_the_limit_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    let message = refused_grpc(&send(gateway, name_last("iris"))?, INVALID_ARGUMENT)?;
    says(&message, "peekLimit")
}

fn a_grpc_parameter_beyond_the_limit_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    let parameter = with_parameter(infer("", 0), "tier", "beta");
    let parameter = prost::Message::encode_to_vec(&ModelInferRequest {
        parameters: parameter.parameters,
        ..ModelInferRequest::default()
    });
    let body = frame_bytes(&[field(1, b"ruled"), field(7, &vec![1; 200_000]), parameter].concat());
    let message = refused_grpc(&send(gateway, Request::grpc(INFER, body))?, INVALID_ARGUMENT)?;
    says(&message, "peekLimit")
}
