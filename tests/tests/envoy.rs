//! The same cases against a real Envoy. Cases with equal setups share one.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use modelway_tests::cases::configuration::{Fault, faults};
use modelway_tests::cases::{Case, all};
use modelway_tests::envoy::Envoy;
use modelway_tests::gateway::{EnvoyGateway, Setup};
use modelway_tests::host::filter_path;

/// One slot for each setup; whoever comes first starts the gateway in it.
type Gateways = HashMap<Setup, Arc<Mutex<Option<EnvoyGateway>>>>;

/// Starting an Envoy takes a second, so only some of the refusals are shown to it; the host sees them all.
const REFUSALS: [&str; 2] = ["an unknown field of a variant", "a rule for a variant that does not exist"];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut gateways = Gateways::new();
    let mut trials = Vec::new();
    for case in all() {
        let gateway = gateways.entry(case.setup.clone()).or_default().clone();
        trials.push(trial(case.name.clone(), move || run(&case, &gateway)));
    }
    for fault in faults().into_iter().filter(|fault| REFUSALS.contains(&fault.name)) {
        let name = format!("configuration::{}_is_refused", fault.name.replace(' ', "_"));
        trials.push(trial(name, move || refuse(&fault)));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Here every Envoy is stopped.
    drop(gateways);
    conclusion.exit_code()
}

fn trial(name: String, run: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name, move || run().map_err(|error| Failed::from(format!("{error:#}"))))
}

fn run(case: &Case, gateway: &Mutex<Option<EnvoyGateway>>) -> Result<()> {
    let mut slot = gateway.lock().unwrap_or_else(PoisonError::into_inner);
    let gateway = match &mut *slot {
        Some(gateway) => gateway,
        empty => empty.insert(EnvoyGateway::start(&case.setup, &filter()?)?),
    };
    let outcome = (case.run)(gateway);
    if outcome.is_err() {
        let log = gateway.envoy_log();
        let tail: Vec<&str> = log.lines().rev().take(5).collect();
        return outcome.with_context(|| format!("envoy's last lines, newest first: {tail:?}"));
    }
    outcome
}

fn filter() -> Result<std::path::PathBuf> {
    let path = filter_path();
    ensure!(
        path.exists(),
        "no filter at {}: build it with `make wasm`, or name one in MODELWAY_FILTER",
        path.display()
    );
    Ok(path)
}

fn refuse(fault: &Fault) -> Result<()> {
    let setup = Setup { routing: fault.routing.clone(), ..Setup::new(&serde_json::Value::Null) };
    let Err(log) = Envoy::validate(&setup, &filter()?)? else { bail!("envoy accepts {}", fault.routing) };
    for part in fault.says {
        ensure!(log.contains(part), "expected {part:?} in {log}");
    }
    Ok(())
}
