//! KServe's first protocol: the model stands in the path, in front of a verb; and path prefixes.

use anyhow::{Result, ensure};
use serde_json::json;

use super::check::{header_is, pass, refused_rest, routed, says, send};
use super::{Case, cases, routing_with, standard};
use crate::gateway::{Gateway, Protocol, Request, Setup};
use crate::inference::{frame, infer};

const BODY: &str = r#"{"instances":[[1.0,2.0]]}"#;

pub(super) fn cases() -> Vec<Case> {
    let mut all = cases![standard();
        a_predict_call_is_routed_by_its_path_and_its_body_is_untouched,
        every_call_for_a_model_is_renamed_in_its_path,
        it_needs_no_body_tier,
        a_path_with_two_readings_is_refused,
    ];
    all.extend(cases![standard().without_stop_iteration(); it_needs_no_body_tier]);
    all.extend(cases![Setup::new(&routing_with("unknownModels", "Reject")); an_unknown_model_is_refused]);
    all.extend(cases![Setup::new(&routing_with("pathPrefixes", json!(["/serving/team-a", "/serving"])));
        a_prefix_is_kept_and_what_follows_is_routed,
        a_prefix_hides_no_administrative_call,
    ]);
    all
}

fn a_predict_call_is_routed_by_its_path_and_its_body_is_untouched(gateway: &mut dyn Gateway) -> Result<()> {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let upstream = pass(gateway, Request::post("/v1/models/iris:predict", BODY).over(protocol))?;
        routed(&upstream, [Some("iris"), Some("stable"), Some("iris-v1"), None, Some("iris-v1"), None])?;
        header_is(&upstream, ":path", Some("/v1/models/iris-v1:predict"))?;
        ensure!(upstream.body == BODY.as_bytes(), "the body has changed");
    }
    Ok(())
}

fn every_call_for_a_model_is_renamed_in_its_path(gateway: &mut dyn Gateway) -> Result<()> {
    for (path, rewritten) in [
        ("/v1/models/iris:explain", "/v1/models/iris-v1:explain"),
        ("/v1/models/iris", "/v1/models/iris-v1"),
        ("/v1/models/flowers:predict?x=:predict", "/v1/models/iris-v1:predict?x=:predict"),
        ("/v1/models/i%72is:predict", "/v1/models/iris-v1:predict"),
        ("/v1/models/plain:predict", "/v1/models/plain:predict"),
        ("/v1/models/nobody%2Fknows:predict", "/v1/models/nobody%2Fknows:predict"),
    ] {
        let upstream = pass(gateway, Request::post(path, BODY))?;
        header_is(&upstream, ":path", Some(rewritten))?;
    }
    let canary = Request::post("/v1/models/iris:predict", BODY).header("x-beta", "true");
    let upstream = pass(gateway, canary)?;
    header_is(&upstream, "x-modelway-version", Some("2"))?;
    header_is(&upstream, ":path", Some("/v1/models/iris-v2:predict"))
}

fn it_needs_no_body_tier(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::post("/v1/models/ruled:predict", BODY))?;
    header_is(&upstream, ":path", Some("/v1/models/ruled-v1:predict"))
}

fn a_path_with_two_readings_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    for path in ["/v1/models/x/%2e%2e/iris:predict", "/v1/models/iris%3Apredict", "/v1/models/x%2F..%2Firis:predict"] {
        refused_rest(&send(gateway, Request::post(path, BODY))?, 400)?;
    }
    Ok(())
}

fn an_unknown_model_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    let error = refused_rest(&send(gateway, Request::post("/v1/models/irsi:predict", BODY))?, 404)?;
    says(&error, "did you mean 'iris'")
}

fn a_prefix_is_kept_and_what_follows_is_routed(gateway: &mut dyn Gateway) -> Result<()> {
    for (path, rewritten) in [
        ("/serving/team-a/v2/models/iris/infer?a=b", "/serving/team-a/v2/models/iris-v1/infer?a=b"),
        ("/serving/v1/models/iris:predict", "/serving/v1/models/iris-v1:predict"),
        ("/v2/models/iris/infer", "/v2/models/iris-v1/infer"),
    ] {
        let upstream = pass(gateway, Request::post(path, BODY))?;
        header_is(&upstream, ":path", Some(rewritten))?;
        header_is(&upstream, "x-modelway-target", Some("iris-v1"))?;
    }
    for path in ["/serving/team-b/v2/models/iris/infer", "/servings/v2/models/iris/infer"] {
        routed(&pass(gateway, Request::post(path, BODY))?, [None; 6])?;
    }
    let chat = Request::post("/serving/team-a/openai/v1/completions", r#"{"model":"iris"}"#);
    let upstream = pass(gateway, chat)?;
    ensure!(upstream.body == br#"{"model":"iris-v1"}"#, "the upstream got {}", upstream.body.escape_ascii());
    let grpc = Request::grpc("/serving/inference.GRPCInferenceService/ModelInfer", frame(&infer("iris", 10)));
    header_is(&pass(gateway, grpc)?, "x-modelway-target", Some("iris-v1"))
}

fn a_prefix_hides_no_administrative_call(gateway: &mut dyn Gateway) -> Result<()> {
    for path in ["/serving/team-a/v2/repository/index", "/serving/team%2Da/v2/repository/index"] {
        refused_rest(&send(gateway, Request::post(path, "{}"))?, 403)?;
    }
    let encoded = send(gateway, Request::post("/serving/team%2Da/v2/models/iris/infer", BODY))?;
    refused_rest(&encoded, 400).map(drop)
}
