//! Where a variant goes: `docs/examples/destinations.yaml`.

use anyhow::Result;

use super::check::{header_is, pass};
use super::{Case, cases};
use crate::gateway::{Gateway, Request, Setup};
use crate::inference::{frame, infer};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

pub(super) fn cases() -> Vec<Case> {
    cases![Setup::example("destinations");
        a_variant_names_pool_affinity_cluster_and_host,
        headers_of_a_preset_are_removed_from_clients,
    ]
}

fn a_variant_names_pool_affinity_cluster_and_host(gateway: &mut dyn Gateway) -> Result<()> {
    for request in [Request::get("/v2/models/mnist/ready"), Request::grpc(INFER, frame(&infer("mnist", 8)))] {
        let seen = pass(gateway, request.header("x-device", "gpu"))?;
        for (name, expected) in [
            ("x-modelway-pool", "gpu"),
            ("x-modelway-affinity", "mnist-base"),
            ("x-modelway-cluster", "runtimes"),
            ("x-modelway-target", "sklearn-mnist-v2"),
            ("x-gateway-model-name", "sklearn-mnist-v2"),
        ] {
            header_is(&seen, name, Some(expected))?;
        }
        let host = if seen.headers.get(":authority").is_some() { ":authority" } else { "host" };
        header_is(&seen, host, Some("gpu.models.internal"))?;
    }
    Ok(())
}

fn headers_of_a_preset_are_removed_from_clients(gateway: &mut dyn Gateway) -> Result<()> {
    let forged =
        |request: Request| request.header("X-Gateway-Model-Name", "other").header("x-modelway-cluster", "other");
    let seen = pass(gateway, forged(Request::get("/v2/models/mnist/ready")))?;
    header_is(&seen, "x-gateway-model-name", Some("sklearn-mnist-v1"))?;
    header_is(&seen, "x-modelway-cluster", None)?;
    let seen = pass(gateway, forged(Request::get("/healthz")))?;
    header_is(&seen, "x-gateway-model-name", None)?;
    header_is(&seen, "x-modelway-cluster", None)
}
