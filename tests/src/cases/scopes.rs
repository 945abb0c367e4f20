//! Several teams behind one gateway: `docs/examples/scopes.yaml`.

use anyhow::{Result, ensure};

use super::check::{header_is, pass, variant};
use super::{Case, cases};
use crate::gateway::{Gateway, Request, Setup};
use crate::inference::{frame, infer};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

pub(super) fn cases() -> Vec<Case> {
    cases![Setup::example("scopes");
        a_name_is_another_model_under_another_path,
        a_name_is_another_model_at_another_host,
        administrative_calls_are_denied_under_a_path_too,
    ]
}

fn at_host(mut request: Request, host: &str) -> Request {
    request.headers.replace(b":authority", host.as_bytes());
    request
}

fn a_name_is_another_model_under_another_path(gateway: &mut dyn Gateway) -> Result<()> {
    let seen = pass(gateway, Request::post("/serving/team-a/v2/models/mnist/infer", "{}"))?;
    ensure!(variant(&seen)? == "own", "team-a got {}", variant(&seen)?);
    header_is(&seen, ":path", Some("/serving/team-a/v2/models/sklearn-mnist-v2/infer"))?;
    let seen = pass(gateway, Request::post("/v2/models/mnist/infer", "{}"))?;
    ensure!(variant(&seen)? == "shared", "everybody got {}", variant(&seen)?);
    header_is(&seen, ":path", Some("/v2/models/sklearn-mnist-v1/infer"))
}

fn a_name_is_another_model_at_another_host(gateway: &mut dyn Gateway) -> Result<()> {
    for request in [Request::get("/v2/models/mnist"), Request::grpc(INFER, frame(&infer("mnist", 8)))] {
        let seen = pass(gateway, at_host(request.clone(), "api.team-b.example"))?;
        ensure!(variant(&seen)? == "own", "team-b got {}", variant(&seen)?);
        header_is(&seen, "x-modelway-pool", Some("team-b"))?;
        let seen = pass(gateway, at_host(request, "team-b.example"))?;
        ensure!(variant(&seen)? == "shared", "a host that is not below got {}", variant(&seen)?);
    }
    Ok(())
}

fn administrative_calls_are_denied_under_a_path_too(gateway: &mut dyn Gateway) -> Result<()> {
    let request = Request::post("/serving/team-a/v2/repository/index", "{}");
    super::check::refused_rest(&super::check::send(gateway, request)?, 403).map(drop)
}
