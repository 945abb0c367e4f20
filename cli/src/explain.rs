//! `modelway explain`: where one request goes, and why.

mod report;

use std::path::PathBuf;

use modelway_decision::config::{Rule, Timestamp};
use modelway_decision::{Decision, Reason, Route, Router};
use serde::Serialize;
use serde_json::{Map, Value};

use self::report::text;
use crate::decide::{Looked, decide};
use crate::mesh_file::Mesh;
use crate::output::Output;
use crate::request::{Flags, Request};
use crate::yaml::Path;

/// Arguments of `modelway explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Mesh file, or another file that holds a routing.
    file: PathBuf,
    #[command(flatten)]
    request: Flags,
    /// When it is asked, for ramps: 2026-11-23T09:00:00Z. Default: now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The draw for a request without a key, 16 hexadecimal digits.
    #[arg(long, value_name = "DRAW", value_parser = hexadecimal, default_value = "0")]
    random: u64,
    #[command(flatten)]
    output: Output,
}

/// What becomes of a request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    request: String,
    /// `header` or `body`.
    tier: &'static str,
    body_bytes: usize,
    body_bytes_read: usize,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
enum Outcome {
    /// It goes on as it is.
    Passes,
    /// The filter answers.
    #[serde(rename_all = "camelCase")]
    Answered { status: u16, grpc_status: u32, message: String },
    /// It goes to a model.
    Routed(Box<Routed>),
}

/// A decision and its reasons.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Routed {
    model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    reason: &'static str,
    /// The reason in words.
    because: String,
    /// Where the rule stands, as far as its name tells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The unit, 16 hexadecimal digits; absent where nothing was drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    draw: Option<String>,
    /// The variant that it would have got, had that not been braked.
    #[serde(skip_serializing_if = "Option::is_none")]
    avoided: Option<String>,
    /// Headers that the upstream gets, or gets changed.
    headers: Map<String, Value>,
    rewrites_message: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    set_cookie: Option<String>,
    /// The filter's own record of it, as `x-modelway-explain` has it.
    explanation: String,
}

/// Explains one request.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mesh = Mesh::read(&args.file)?;
    let mut request = args.request.request()?;
    if let Some(at) = args.at {
        request.head.now = at.nanoseconds;
    }
    let explained = explain(&mesh, &request, args.random);
    args.output.show(&explained, || text(&explained))
}

fn explain(mesh: &Mesh, request: &Request, random: u64) -> Explained {
    decide(&mesh.router, request, random, |route, looked| {
        let (tier, body_bytes_read) = match looked {
            Looked::AtHeaders => ("header", 0),
            Looked::AtBody(bytes) => ("body", bytes),
        };
        let outcome = match route {
            Route::Pass => Outcome::Passes,
            Route::Reply(reply) => Outcome::Answered {
                status: reply.status,
                grpc_status: reply.grpc_status,
                message: reply.message.clone(),
            },
            Route::To(decision) => Outcome::Routed(Box::new(Routed::of(decision, mesh))),
        };
        Explained { request: request.line(), tier, body_bytes: request.body.len(), body_bytes_read, outcome }
    })
}

// === impl Routed ===

impl Routed {
    fn of(decision: &Decision<'_>, mesh: &Mesh) -> Self {
        let why = &decision.why;
        let key = why.key.map(|(kind, name)| format!("{kind}{}", shown(name)));
        let rules = match why.reason {
            Reason::Rule(name) => rules_of_name(mesh, &shown(&decision.model), &shown(name)),
            _ => Vec::new(),
        };
        Self {
            model: shown(&decision.model),
            variant: decision.variant.map(shown),
            reason: why.reason.kind(),
            because: why.reason.text(),
            rules,
            key,
            draw: why.draw.map(|draw| format!("{draw:016x}")),
            avoided: why.avoided.map(shown),
            headers: headers(decision, &mesh.router),
            rewrites_message: decision.rewrites_message,
            set_cookie: decision.set_cookie.clone(),
            explanation: decision.explanation(),
        }
    }
}

fn headers(decision: &Decision<'_>, router: &Router) -> Map<String, Value> {
    let path = decision.path.iter().map(|path| (":path".to_owned(), Value::from(shown(path))));
    let fields = router
        .headers()
        .filter_map(|(field, name)| Some((name.to_owned(), Value::from(shown(decision.field(field)?)))));
    path.chain(fields).collect()
}

/// Where rules of this name stand that count for the model: its own before those over all.
fn rules_of_name(mesh: &Mesh, model: &str, name: &str) -> Vec<String> {
    let named = |rules: &[Rule], owner: &Path| -> Vec<String> {
        let found = rules.iter().enumerate().filter(|(_, rule)| rule.name == name);
        found.map(|(index, _)| owner.clone().key("rules").index(index).to_string()).collect()
    };
    let entry = mesh
        .config
        .models
        .iter()
        .position(|entry| entry.name == model || entry.aliases.iter().any(|alias| alias == model));
    let of_entry = entry.and_then(|index| Some((index, mesh.config.models.get(index)?)));
    let own = of_entry
        .map(|(index, entry)| named(&entry.rules, &mesh.path.clone().key("models").index(index)))
        .unwrap_or_default();
    if own.is_empty() { named(&mesh.config.rules, &mesh.path) } else { own }
}

/// A name from the wire.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn hexadecimal(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16).map_err(|_| format!("expected at most 16 hexadecimal digits, got '{text}'"))
}
