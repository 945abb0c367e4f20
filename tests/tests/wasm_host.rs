//! The cases against the host, each with an instance of its own, and the configurations that are refused.

use std::process::ExitCode;

use anyhow::{Result, anyhow, bail, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use modelway_tests::cases::configuration::{Fault, faults};
use modelway_tests::cases::{Case, all};
use modelway_tests::gateway::{HostGateway, Setup};
use modelway_tests::host::{Guest, Host, Settings};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let cases = all().into_iter().filter(|case| case.setup.transcoder.is_none());
    let cases = cases.map(|case| trial(case.name.clone(), move || run(&case)));
    let refusals =
        faults().into_iter().map(|fault| trial(format!("configuration::{}", slug(fault.name)), move || refuse(&fault)));
    libtest_mimic::run(&arguments, cases.chain(refusals).collect()).exit_code()
}

fn trial(name: String, run: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name, move || run().map_err(|error| Failed::from(format!("{error:#}"))))
}

fn slug(name: &str) -> String {
    format!("{}_is_refused", name.replace(' ', "_"))
}

fn run(case: &Case) -> Result<()> {
    let mut gateway = start(&case.setup)?;
    (case.run)(&mut gateway)
}

fn start(setup: &Setup) -> Result<HostGateway> {
    HostGateway::start(setup, &Guest::filter()?)?.map_err(|refusal| anyhow!("the filter refused: {refusal:?}"))
}

fn refuse(fault: &Fault) -> Result<()> {
    let guest = Guest::filter()?;
    let Err(refusal) = Host::configure(&guest, &Settings::default(), fault.routing.as_bytes())? else {
        bail!("the filter accepts {}", fault.routing);
    };
    ensure!(refusal.failure.is_none(), "the filter died: {:?}", refusal.failure);
    let log: Vec<&str> = refusal.log.iter().map(|line| line.text.as_str()).collect();
    for part in fault.says {
        ensure!(log.iter().any(|line| line.contains(part)), "expected {part:?} in {log:?}");
    }
    Ok(())
}
