//! Models and versions that are not listed.

use anyhow::Result;

use super::check::{answered, decoded, header_is, pass, refused_grpc, refused_rest, routed, says, send};
use super::{Case, cases, routing_with, standard};
use crate::gateway::{Gateway, Request, Setup};
use crate::inference::{ModelInferRequest, frame, infer};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const NOT_FOUND: u32 = 5;

pub(super) fn cases() -> Vec<Case> {
    let mut all =
        cases![standard(); an_unlisted_model_passes_under_the_name_asked_for, the_client_is_told_the_name_asked_for];
    all.extend(cases![Setup::new(&routing_with("unknownModels", "Reject"));
        an_unlisted_model_is_refused,
        a_listed_model_is_not,
        calls_that_name_no_model_still_pass,
        names_that_are_no_text_are_refused_in_valid_json,
    ]);
    all.extend(cases![Setup::new(&versions()); a_version_that_no_variant_has_is_refused]);
    all
}

fn versions() -> serde_json::Value {
    serde_json::json!({ "unknownModels": "Reject", "models": [{ "name": "iris", "variants": [
        { "name": "old", "version": "1" }, { "name": "new", "version": "2" },
    ] }] })
}

fn an_unlisted_model_passes_under_the_name_asked_for(gateway: &mut dyn Gateway) -> Result<()> {
    let name = Some("nobody");
    let upstream = pass(gateway, Request::post("/v2/models/nobody/versions/4/infer", "{}"))?;
    routed(&upstream, [name, None, name, Some("4"), name, None])?;
    header_is(&upstream, ":path", Some("/v2/models/nobody/versions/4/infer"))?;
    let message = infer("nobody", 10);
    let upstream = pass(gateway, Request::grpc(INFER, frame(&message)))?;
    routed(&upstream, [name, None, name, None, name, None])?;
    anyhow::ensure!(decoded::<ModelInferRequest>(&upstream.body)? == message, "the message has changed");
    Ok(())
}

fn the_client_is_told_the_name_asked_for(gateway: &mut dyn Gateway) -> Result<()> {
    let exchange = send(gateway, Request::get("/v2/models/nobody"))?;
    let answer = answered(&exchange)?;
    header_is(answer, "x-modelway-model", Some("nobody"))?;
    header_is(answer, "x-modelway-variant", None)
}

fn an_unlisted_model_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    for request in [Request::post("/v2/models/irris/infer", r#"{"inputs":[]}"#), Request::get("/v2/models/irris/ready")]
    {
        let error = refused_rest(&send(gateway, request)?, 404)?;
        says(&error, "irris")?;
    }
    let exchange = send(gateway, Request::grpc(INFER, frame(&infer("irris", 1000))))?;
    let message = refused_grpc(&exchange, NOT_FOUND)?;
    says(&message, "irris")
}

fn a_listed_model_is_not(gateway: &mut dyn Gateway) -> Result<()> {
    pass(gateway, Request::post("/v2/models/flowers/infer", "{}"))?;
    pass(gateway, Request::grpc(INFER, frame(&infer("tenant-a-fraud", 10)))).map(drop)
}

fn calls_that_name_no_model_still_pass(gateway: &mut dyn Gateway) -> Result<()> {
    for path in ["/v2/health/ready", "/v2", "/anything"] {
        pass(gateway, Request::get(path))?;
    }
    Ok(())
}

fn names_that_are_no_text_are_refused_in_valid_json(gateway: &mut dyn Gateway) -> Result<()> {
    for (path, status) in [
        ("/v2/models/%22/ready", 404),
        ("/v2/models/%ff%fe/ready", 404),
        ("/v2/models/%E6%A8%A1/ready", 404),
        ("/v2/models/%22%5c%01/ready", 400),
    ] {
        refused_rest(&send(gateway, Request::get(path))?, status).map_err(|error| error.context(path))?;
    }
    let exchange = send(gateway, Request::grpc(INFER, frame(&infer("模型 %", 10))))?;
    refused_grpc(&exchange, NOT_FOUND).map(drop)
}

fn a_version_that_no_variant_has_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    let error = refused_rest(&send(gateway, Request::get("/v2/models/iris/versions/3"))?, 404)?;
    says(&error, "'3'")?;
    says(&error, "'1'")?;
    let message = ModelInferRequest { model_version: "3".to_owned(), ..infer("iris", 10) };
    refused_grpc(&send(gateway, Request::grpc(INFER, frame(&message)))?, NOT_FOUND).map(drop)
}
