//! Ramps: `docs/examples/ramp.yaml`, whose first two steps are in the past and whose third is far away.

use anyhow::{Result, ensure};

use super::check::{passed, variant};
use super::{Case, cases};
use crate::gateway::{Gateway, Request, Setup};

pub(super) fn cases() -> Vec<Case> {
    cases![Setup::example("ramp");
        the_last_step_that_has_passed_counts,
    ]
}

fn the_last_step_that_has_passed_counts(gateway: &mut dyn Gateway) -> Result<()> {
    let user = |number| Request::get("/v2/models/mnist").header("x-user-id", format!("user-{number}"));
    let mut canaries = 0;
    for exchange in gateway.exchange((0..500).map(user).collect())? {
        canaries += usize::from(variant(passed(&exchange)?)? == "canary");
    }
    // The 99.99 % interval of 500 draws at 10 %.
    ensure!((26..=79).contains(&canaries), "{canaries} of 500 went to the canary, expected about 50");
    Ok(())
}
