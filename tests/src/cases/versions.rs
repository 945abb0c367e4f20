//! Versions, labels and defaults: `docs/examples/versions.yaml`; patterns: `docs/examples/patterns.yaml`.

use anyhow::{Result, ensure};

use super::check::{header_is, pass, refused_grpc, refused_rest, routed, says, send, variant};
use super::{Case, cases};
use crate::gateway::{Gateway, Request, Setup};
use crate::inference::{ModelInferRequest, frame, infer};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

pub(super) fn cases() -> Vec<Case> {
    [
        cases![Setup::example("versions");
            without_a_version_the_default_counts,
            a_version_or_a_label_chooses,
            an_unknown_version_is_refused_with_those_that_there_are,
        ],
        cases![Setup::example("patterns");
            a_pattern_takes_every_name_that_begins_so,
            an_exact_name_wins_over_a_pattern,
            a_name_that_nothing_takes_is_refused,
        ],
    ]
    .concat()
}

fn without_a_version_the_default_counts(gateway: &mut dyn Gateway) -> Result<()> {
    for _ in 0..20 {
        ensure!(variant(&pass(gateway, Request::get("/v2/models/mnist"))?)? == "old", "not the default");
        ensure!(variant(&pass(gateway, Request::grpc(INFER, frame(&infer("mnist", 8))))?)? == "old", "not the default");
    }
    Ok(())
}

fn a_version_or_a_label_chooses(gateway: &mut dyn Gateway) -> Result<()> {
    for (asked, expected, version) in [("1", "old", "1"), ("2", "new", "2"), ("next", "new", "2"), ("prod", "old", "1")]
    {
        let seen = pass(gateway, Request::get(&format!("/v2/models/mnist/versions/{asked}/ready")))?;
        ensure!(variant(&seen)? == expected, "version {asked} is {}", variant(&seen)?);
        header_is(&seen, "x-modelway-version", Some(version))?;
        let message = ModelInferRequest { model_version: asked.to_owned(), ..infer("mnist", 8) };
        let seen = pass(gateway, Request::grpc(INFER, frame(&message)))?;
        ensure!(variant(&seen)? == expected, "version {asked} is {} over gRPC", variant(&seen)?);
    }
    Ok(())
}

fn an_unknown_version_is_refused_with_those_that_there_are(gateway: &mut dyn Gateway) -> Result<()> {
    let error = refused_rest(&send(gateway, Request::get("/v2/models/mnist/versions/3"))?, 404)?;
    says(&error, "it has '1', '2', 'prod', 'next'")?;
    let message = ModelInferRequest { model_version: "3".to_owned(), ..infer("mnist", 8) };
    says(&refused_grpc(&send(gateway, Request::grpc(INFER, frame(&message)))?, 5)?, "no version '3'")
}

fn a_pattern_takes_every_name_that_begins_so(gateway: &mut dyn Gateway) -> Result<()> {
    let seen = pass(gateway, Request::get("/v2/models/tenant-a%2Ffraud/ready"))?;
    let name = Some("tenant-a/fraud");
    routed(&seen, [name, Some("main"), name, None, name, Some("tenant-a")])?;
    let seen = pass(gateway, Request::grpc(INFER, frame(&infer("sklearn-anything", 8))))?;
    header_is(&seen, "x-modelway-target", Some("sklearn-anything"))
}

fn an_exact_name_wins_over_a_pattern(gateway: &mut dyn Gateway) -> Result<()> {
    let seen = pass(gateway, Request::get("/v2/models/tenant-a%2Fmnist/ready"))?;
    header_is(&seen, "x-modelway-target", Some("sklearn-mnist-v1"))
}

fn a_name_that_nothing_takes_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    refused_rest(&send(gateway, Request::get("/v2/models/tenant-b%2Ffraud/ready"))?, 404).map(drop)
}
