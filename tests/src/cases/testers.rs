//! What testers may do: `docs/examples/testers.yaml`.

use anyhow::{Context as _, Result, ensure};

use super::check::{answered, header_is, passed, refused_rest, says, send, variant};
use super::{Case, cases};
use crate::gateway::{Gateway, Request, Setup};
use crate::inference::{frame, infer};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const SECRET: &str = "change-me-0123456789";

pub(super) fn cases() -> Vec<Case> {
    cases![Setup::example("testers");
        with_the_secret_a_tester_chooses_and_is_told_why,
        without_the_secret_nobody_does,
        a_variant_that_does_not_exist_is_refused,
    ]
}

fn both(path: &str) -> [Request; 2] {
    [Request::post(path, "{}"), Request::grpc(INFER, frame(&infer("mnist", 8)))]
}

fn with_the_secret_a_tester_chooses_and_is_told_why(gateway: &mut dyn Gateway) -> Result<()> {
    for request in both("/v2/models/mnist/infer") {
        let request = request
            .header("x-modelway-secret", SECRET)
            .header("x-modelway-force", "canary")
            .header("x-modelway-explain", "true");
        let exchange = send(gateway, request)?;
        let seen = passed(&exchange)?;
        ensure!(variant(seen)? == "canary", "the tester got {}", variant(seen)?);
        for name in ["x-modelway-secret", "x-modelway-force", "x-modelway-explain"] {
            header_is(seen, name, None)?;
        }
        let why = answered(&exchange)?.headers.text("x-modelway-explain").context("no reasons")?;
        says(&why, "variant=canary; target=sklearn-mnist-v2; reason=forced")?;
    }
    let request = Request::get("/v2/models/mnist").header("x-user-id", "u").header("x-modelway-explain", "1");
    let why = send(gateway, request.header("x-modelway-secret", SECRET))?;
    says(&answered(&why)?.headers.text("x-modelway-explain").context("no reasons")?, "variant=stable")
}

fn without_the_secret_nobody_does(gateway: &mut dyn Gateway) -> Result<()> {
    for secret in ["", "change-me-0123456788", "change-me-01234567890"] {
        for request in both("/v2/models/mnist/infer") {
            let request = request
                .header("x-modelway-secret", secret)
                .header("x-modelway-force", "canary")
                .header("x-modelway-explain", "true");
            let exchange = send(gateway, request)?;
            ensure!(variant(passed(&exchange)?)? == "stable", "{secret:?} forced the variant");
            header_is(answered(&exchange)?, "x-modelway-explain", None)?;
        }
    }
    Ok(())
}

fn a_variant_that_does_not_exist_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    let request = Request::get("/v2/models/mnist").header("x-modelway-secret", SECRET).header("x-modelway-force", "x");
    says(&refused_rest(&send(gateway, request)?, 400)?, "it has 'stable', 'canary'")
}
