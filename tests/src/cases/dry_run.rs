//! Only watching: `docs/examples/dry-run.yaml`.

use anyhow::{Context as _, Result, ensure};

use super::check::{answered, header_is, passed, send};
use super::{Case, cases};
use crate::gateway::{Gateway, Request, Setup};
use crate::inference::{frame, infer};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

pub(super) fn cases() -> Vec<Case> {
    cases![Setup::example("dry-run");
        requests_go_on_as_they_came_and_answers_say_what_would_have_been,
        what_would_be_refused_goes_on,
    ]
}

fn requests_go_on_as_they_came_and_answers_say_what_would_have_been(gateway: &mut dyn Gateway) -> Result<()> {
    let mut canaries = 0;
    for number in 0..40 {
        let body = frame(&infer("sklearn-mnist-v1", 8));
        for request in [Request::post("/v2/models/sklearn-mnist-v1/infer", "{}"), Request::grpc(INFER, body.clone())] {
            let sent = request.header("x-user-id", format!("user-{number}"));
            let exchange = send(gateway, sent.clone())?;
            let seen = passed(&exchange)?;
            for name in ["model", "variant", "target", "affinity"] {
                header_is(seen, &format!("x-modelway-{name}"), None)?;
            }
            ensure!(
                seen.headers.get(":path") == sent.headers.get(":path"),
                "the path is {:?}",
                seen.headers.text(":path")
            );
            ensure!(seen.body == sent.body_bytes(), "the body has changed");
            let answer = answered(&exchange)?;
            header_is(answer, "x-modelway-dry-run", Some("true"))?;
            header_is(answer, "x-modelway-model", Some("sklearn-mnist-v1"))?;
            let variant = answer.headers.text("x-modelway-variant").context("no variant")?;
            canaries += usize::from(variant == "canary");
        }
    }
    // Each user counts twice, over REST and gRPC alike.
    ensure!(canaries % 2 == 0 && (14..=66).contains(&canaries), "{canaries} of 80 would have gone to the canary");
    Ok(())
}

fn what_would_be_refused_goes_on(gateway: &mut dyn Gateway) -> Result<()> {
    for request in [
        Request::get("/v2/models/unknown/ready"),
        Request::get("/v2/repository/index"),
        Request::grpc(INFER, frame(&infer("unknown", 8))),
    ] {
        passed(&send(gateway, request)?)?;
    }
    Ok(())
}
