//! The decision alone, measured by a program of its own whose allocator counts.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bodies::MODEL;
use crate::raw::{Of, Row, Side};
use crate::routing::{self, MANY};

const ONE: &str = "one model";
/// How long the program measures.
const SECONDS: u64 = 8;
const NANOSECONDS: &str = "ns per decision";

/// What the program answers.
#[derive(Deserialize)]
struct Answer {
    loads: BTreeMap<String, Load>,
    decisions: BTreeMap<String, Decisions>,
}

#[derive(Deserialize)]
struct Load {
    milliseconds: Vec<f64>,
    bytes: f64,
}

#[derive(Deserialize)]
struct Decisions {
    nanoseconds: Vec<f64>,
    allocations: f64,
}

/// Runs the program and makes rows of what it says.
pub(crate) fn rows(program: &Path) -> Result<Vec<Row>> {
    let answer = ask(program, &question())?;
    let mut rows = Vec::new();
    for (name, goal) in [("header tier", Some("<= 0")), ("path rewritten", None), ("all policies on", None)] {
        let decisions = answer.decisions(name)?;
        let row = Row::alone(
            &format!("filter allocations in a decision: {name}"),
            "calls",
            Side::one("natively", decisions.allocations),
        );
        rows.push(goal.into_iter().fold(row, Row::goal));
        let side = Side::new("natively, in-process", decisions.nanoseconds.clone());
        rows.push(Row::alone(&format!("filter decision: {name}"), NANOSECONDS, side));
    }
    let one = answer.decisions(ONE)?;
    for name in [
        "10,000 models, always the same asked for",
        "10,000 models, all of them asked for",
        "10,000 models by a pattern, all of them asked for",
    ] {
        let ours = Side::new(name, answer.decisions(name)?.nanoseconds.clone());
        let peer = Side::new(ONE, one.nanoseconds.clone());
        let row = Row::against(
            &format!("filter {name}, natively, against one model"),
            NANOSECONDS,
            Of::OursToPeer,
            ours,
            peer,
        );
        rows.push(row.goal("<= 1.1"));
    }
    let load_one = answer.load(ONE)?;
    for name in ["10,000 models", "10,000 models by a pattern"] {
        let load = answer.load(name)?;
        let time = Side::new(name, load.milliseconds.clone());
        let time_of_one = Side::new(ONE, load_one.milliseconds.clone());
        rows.push(Row::against(&format!("filter {name}, load natively"), "ms", Of::OursToPeer, time, time_of_one));
        let (bytes, bytes_of_one) = (Side::one(name, load.bytes / 1e6), Side::one(ONE, load_one.bytes / 1e6));
        rows.push(Row::against(&format!("filter {name}, heap natively"), "MB", Of::OursToPeer, bytes, bytes_of_one));
    }
    Ok(rows)
}

fn ask(program: &Path, question: &Value) -> Result<Answer> {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    // Closed behind the question: the program reads to its end.
    let mut input = child.stdin.take().ok_or_else(|| anyhow!("the program has no input"))?;
    input.write_all(question.to_string().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{} ended with {}", program.display(), output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn question() -> Value {
    let path = |model: &str| format!("/v2/models/{model}/infer");
    let iris = vec![path(MODEL)];
    // As many requests as with many models, so that only the models differ.
    let one = vec![path(&routing::model_name(0)); MANY];
    // As in the gateways: every model, in an order without a pattern.
    let all: Vec<String> = (0..MANY).map(|number| path(&routing::model_name(number * 7919 % MANY))).collect();
    let measure = |name: &str, configuration: &str, paths: &[String]| json!({ "name": name, "configuration": configuration, "paths": paths });
    json!({
        "seconds": SECONDS,
        "head": head(),
        "configurations": {
            "header tier": routing::header_tier(),
            "path rewritten": routing::rewrite(),
            "all policies on": routing::all_policies(),
            (ONE): routing::one_model(),
            "10,000 models": routing::many_models(),
            "10,000 models by a pattern": routing::many_models_by_pattern(),
        },
        "measure": [
            measure("header tier", "header tier", &iris),
            measure("path rewritten", "path rewritten", &iris),
            measure("all policies on", "all policies on", &iris),
            measure(ONE, ONE, &one),
            measure("10,000 models, always the same asked for", "10,000 models", &one),
            measure("10,000 models, all of them asked for", "10,000 models", &all),
            measure("10,000 models by a pattern, all of them asked for", "10,000 models by a pattern", &all),
        ],
    })
}

/// A request's header fields as Envoy shows them, without the path.
fn head() -> Value {
    json!([
        [":authority", "models.example"],
        [":method", "POST"],
        [":scheme", "http"],
        ["user-agent", "modelway-bench/1"],
        ["accept", "*/*"],
        ["x-user-id", "user-7"],
        ["cookie", "session=8d1c0c5ab6f54f7d; mw-user=user-7"],
        ["content-type", "application/json"],
        ["content-length", "1000"],
        ["x-forwarded-proto", "http"],
        ["x-request-id", "0ed5e0b0-2b5d-4f2f-9f0e-6a1b3c5d7e9f"],
    ])
}

// === impl Answer ===

impl Answer {
    fn decisions(&self, name: &str) -> Result<&Decisions> {
        self.decisions.get(name).ok_or_else(|| anyhow!("the program did not measure {name}"))
    }

    fn load(&self, name: &str) -> Result<&Load> {
        self.loads.get(name).ok_or_else(|| anyhow!("the program did not load {name}"))
    }
}
