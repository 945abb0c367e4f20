//! Administrative calls: not from outside, however they are spelt.

use anyhow::Result;

use super::check::{header_is, pass, refused_grpc, refused_rest, routed, says, send};
use super::{Case, cases, routing_with, standard};
use crate::gateway::{Gateway, Request, Setup};
use crate::inference::frame_bytes;

const PERMISSION_DENIED: u32 = 7;

const REST: [&str; 9] = [
    "/v2/repository/index",
    "/v2/repository/models/iris/load",
    "/v2/repository/models/iris/unload",
    "/v2/repository",
    "/v2/logging",
    "/v2/trace/setting",
    "/v2/models/iris/trace/setting",
    "/v2/models/iris/versions/2/trace/setting",
    "/mmesh.ModelMesh/registerModel",
];

const GRPC: [&str; 6] = [
    "/inference.GRPCInferenceService/RepositoryIndex",
    "/inference.GRPCInferenceService/RepositoryModelLoad",
    "/inference.GRPCInferenceService/RepositoryModelUnload",
    "/inference.GRPCInferenceService/TraceSetting",
    "/inference.GRPCInferenceService/LogSettings",
    "/mmesh.ModelMesh/registerModel",
];

pub(super) fn cases() -> Vec<Case> {
    let mut all = cases![standard();
        rest_calls_are_refused,
        grpc_calls_are_refused,
        other_spellings_are_refused,
        a_query_or_a_last_slash_changes_nothing,
        models_whose_names_look_administrative_are_models,
    ];
    all.extend(cases![Setup::new(&routing_with("admin", "Allow")); with_admin_allowed_they_pass]);
    all
}

fn rest_calls_are_refused(gateway: &mut dyn Gateway) -> Result<()> {
    for path in REST {
        for request in [Request::post(path, "{}"), Request::get(path)] {
            let error = refused_rest(&send(gateway, request)?, 403).map_err(|error| error.context(path))?;
            says(&error, "admin")?;
        }
    }
    Ok(())
}

fn grpc_calls_are_refused(gateway: &mut dyn Gateway) -> Result<()> {
    for path in GRPC {
        let exchange = send(gateway, Request::grpc(path, frame_bytes(b"")))?;
        let message = refused_grpc(&exchange, PERMISSION_DENIED).map_err(|error| error.context(path))?;
        says(&message, "admin")?;
    }
    Ok(())
}

fn other_spellings_are_refused(gateway: &mut dyn Gateway) -> Result<()> {
    for path in [
        "/v2/%72epository/index",
        "/v2/repositor%79/index",
        "/v2%2frepository/index",
        "/v2%2Frepository%2Findex",
        "/%76%32/repository/index",
        "/v2//repository/index",
        "//v2/repository/index",
        "/v2/./repository/index",
        "/./v2/repository/index",
        "/v2/models/../repository/index",
        "/v2/models/iris/../../repository/index",
        "/v2/x/%2e%2e/repository/index",
        "/v2/x/%2E%2e%2Frepository/index",
        "/v2/%2572epository/index",
        "/v2/models/iris%2ftrace/setting",
        "/v2/models/iris//trace/setting",
        "/v2\\repository\\index",
        "/V2/Repository/Index",
        "/x/../mmesh.ModelMesh/registerModel",
        "/%6dmesh.ModelMesh/registerModel",
        "/inference.GRPCInferenceService//RepositoryModelLoad",
        "/inference.GRPCInferenceService/%52epositoryModelLoad",
        "/v2/;a=b/../repository/index",
        "/v2/repository;a=b/index",
        "/v2/a%2Fb/../repository/index",
        "/v2/x/../x/../x/../x/../x/../x/../x/../x/../repository/index",
    ] {
        let exchange = send(gateway, Request::post(path, "{}"))?;
        refused_rest(&exchange, 403).map_err(|error| error.context(path))?;
    }
    Ok(())
}

fn a_query_or_a_last_slash_changes_nothing(gateway: &mut dyn Gateway) -> Result<()> {
    for path in [
        "/v2/repository/index/",
        "/v2/repository/index?ready=true",
        "/v2/logging?",
        "/v2/repository/?x=/v2/models/iris",
    ] {
        refused_rest(&send(gateway, Request::post(path, "{}"))?, 403).map_err(|error| error.context(path))?;
    }
    let upstream = pass(gateway, Request::get("/v2/models/iris?next=/v2/repository/index"))?;
    header_is(&upstream, "x-modelway-model", Some("iris"))
}

fn models_whose_names_look_administrative_are_models(gateway: &mut dyn Gateway) -> Result<()> {
    for name in ["repository", "logging", "trace", "mmesh.ModelMesh", "versions"] {
        let upstream = pass(gateway, Request::post(&format!("/v2/models/{name}/infer"), "{}"))?;
        header_is(&upstream, "x-modelway-model", Some(name))?;
    }
    Ok(())
}

fn with_admin_allowed_they_pass(gateway: &mut dyn Gateway) -> Result<()> {
    for path in REST {
        let upstream = pass(gateway, Request::post(path, "{}")).map_err(|error| error.context(path))?;
        header_is(&upstream, ":path", Some(path))?;
        routed(&upstream, [None; 6])?;
    }
    for path in GRPC {
        let upstream = pass(gateway, Request::grpc(path, frame_bytes(b""))).map_err(|error| error.context(path))?;
        header_is(&upstream, ":path", Some(path))?;
    }
    Ok(())
}
