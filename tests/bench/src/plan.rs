//! What is measured: every variant of the gateway with every workload that it is asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::bodies::{self, MODEL, Parameters};
use crate::cpu::CpuClock;
use crate::empty_module::{self, Exports};
use crate::ext_proc::Processor;
use crate::http_filters::{HttpFilters, PEER_HEADER};
use crate::load::{Call, Protocol, Workload};
use crate::routing::{self, MANY};
use crate::upstream::Received;

/// The names of the variants, as tables and files have them.
pub(crate) mod names {
    pub(crate) const NONE: &str = "no filter";
    pub(crate) const EMPTY: &str = "empty module, same exports";
    pub(crate) const PRUNED: &str = "empty module, fewest exports";
    pub(crate) const HOST_CALLS: &str = "host calls of the header tier, no code";
    pub(crate) const HEADER_TIER: &str = "ours, header tier";
    pub(crate) const HEADERS_ONLY: &str = "ours, header tier, module without body callbacks";
    pub(crate) const REWRITE: &str = "ours, with rewrite";
    pub(crate) const POLICIES: &str = "ours, all policies on";
    pub(crate) const KEY_IN_BODY: &str = "ours, key in the body";
    pub(crate) const KEY_ANYWHERE: &str = "ours, key anywhere in the body";
    pub(crate) const ONE_MODEL: &str = "ours, one model";
    pub(crate) const MANY_MODELS: &str = "ours, 10,000 models";
    pub(crate) const BY_PATTERN: &str = "ours, 10,000 models by a pattern";
    pub(crate) const JSON_TO_METADATA: &str = "json_to_metadata + header_mutation";
    pub(crate) const LUA: &str = "Lua, body + pattern";
    pub(crate) const EXT_PROC: &str = "ext_proc";
}

/// Body sizes and their names.
pub(crate) const SIZES: [(usize, &str); 3] = [(1_000, "1 KB"), (100_000, "100 KB"), (1_000_000, "1 MB")];

/// What a header-tier decision asks of the gateway.
const HOST_CALLS: &str = include_str!("../modules/host-calls.wat");

/// How many users call.
const USERS: usize = 64;

/// A gateway and what it is asked.
pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) filters: HttpFilters,
    pub(crate) workloads: Vec<Asked>,
    /// A server that works for this gateway.
    pub(crate) beside: Option<CpuClock>,
}

/// A workload, and what of it must reach the upstream for the measurement to count.
pub(crate) struct Asked {
    pub(crate) workload: Workload,
    pub(crate) expected: Expected,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expected {
    /// What the client sent.
    Unchanged,
    /// Our headers, and the target of one of our variants in path or message.
    Routed { renamed: bool },
    /// The peers' header.
    PeerHeader,
    /// It does not matter.
    Anything,
}

/// All variants, with the files that they need.
pub(crate) struct Plan {
    pub(crate) variants: Vec<Variant>,
    modules: TempDir,
}

// === impl Plan ===

impl Plan {
    pub(crate) fn new(filter: &Path, processor: &Processor) -> Result<Self> {
        let modules = TempDir::new()?;
        let wasm = std::fs::read(filter)
            .with_context(|| format!("no filter at {}: `make wasm` builds it", filter.display()))?;
        let empty = written(&modules, "empty.wasm", &empty_module::beside(&wasm, Exports::Same)?)?;
        let pruned = written(&modules, "pruned.wasm", &empty_module::beside(&wasm, Exports::Fewest)?)?;
        let host_calls = written(&modules, "host-calls.wasm", &wat::parse_str(HOST_CALLS)?)?;
        let ours = |configuration: Value| HttpFilters::wasm(filter, &configuration.to_string());
        let routed = |renamed| Expected::Routed { renamed };

        let mut variants = vec![
            Variant::new(names::NONE, HttpFilters::none(), rest_and_grpc(Expected::Unchanged)),
            Variant::new(names::EMPTY, HttpFilters::wasm(&empty, ""), rest_and_grpc(Expected::Unchanged)),
            Variant::new(names::PRUNED, HttpFilters::wasm(&pruned, ""), rest(Expected::Unchanged)),
            Variant::new(names::HOST_CALLS, HttpFilters::wasm(&host_calls, ""), smallest(rest(Expected::Anything))),
            Variant::new(names::HEADER_TIER, ours(routing::header_tier()), rest(routed(false))),
            Variant::new(names::REWRITE, ours(routing::rewrite()), rest_and_grpc(routed(true))),
            Variant::new(names::POLICIES, ours(routing::all_policies()), rest(routed(true))),
            Variant::new(names::KEY_IN_BODY, ours(routing::key_in_body()), rest_key_first(routed(true))),
            Variant::new(names::KEY_ANYWHERE, ours(routing::key_anywhere_in_body()), rest(routed(true))),
            Variant::new(names::JSON_TO_METADATA, HttpFilters::json_to_metadata(), rest(Expected::PeerHeader)),
            Variant::new(names::LUA, HttpFilters::lua(), rest(Expected::PeerHeader)),
            Variant {
                beside: Some(processor.cpu.clone()),
                ..Variant::new(
                    names::EXT_PROC,
                    HttpFilters::external_processor(processor.address),
                    rest(Expected::PeerHeader),
                )
            },
            Variant::new(names::ONE_MODEL, ours(routing::one_model()), vec![asked_for_models(1)]),
            Variant::new(
                names::MANY_MODELS,
                ours(routing::many_models()),
                vec![asked_for_models(1), asked_for_models(MANY)],
            ),
            Variant::new(names::BY_PATTERN, ours(routing::many_models_by_pattern()), vec![asked_for_models(MANY)]),
        ];
        let headers_only = filter.with_file_name("modelway_filter_headers.wasm");
        if headers_only.exists() {
            let filters = HttpFilters::wasm(&headers_only, &routing::header_tier().to_string());
            variants.push(Variant::new(names::HEADERS_ONLY, filters, rest(routed(false))));
        }
        Ok(Self { variants, modules })
    }

    /// Adds a module of any kind, by its file's name: what it costs, not what it does, is of interest.
    pub(crate) fn add_module(&mut self, module: &Path) -> Result<()> {
        let name = module.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Text or binary.
        let wasm = wat::parse_file(module)?;
        let module = written(&self.modules, &format!("{name}.wasm"), &wasm)?;
        let filters = HttpFilters::wasm(&module, &routing::rewrite().to_string());
        self.variants.push(Variant::new(&name, filters, rest_and_grpc(Expected::Anything)));
        Ok(())
    }

    /// Leaves only what has one of these words in its variant's or workload's name.
    pub(crate) fn only(&mut self, words: &[String]) {
        if words.is_empty() {
            return;
        }
        for variant in &mut self.variants {
            let name = &variant.name;
            variant.workloads.retain(|asked| {
                let whole = format!("{name} / {}", asked.workload.name);
                words.iter().any(|word| whole.contains(word))
            });
        }
        self.variants.retain(|variant| !variant.workloads.is_empty());
    }
}

impl Variant {
    fn new(name: &str, filters: HttpFilters, workloads: Vec<Asked>) -> Self {
        Self { name: name.to_owned(), filters, workloads, beside: None }
    }
}

fn written(folder: &TempDir, name: &str, wasm: &[u8]) -> Result<PathBuf> {
    let path = folder.path().join(name);
    std::fs::write(&path, wasm)?;
    Ok(path)
}

// === the workloads ===

/// The names of the workloads.
pub(crate) fn rest_name(size: &str) -> String {
    format!("REST {size}")
}

pub(crate) fn rest_key_first_name(size: &str) -> String {
    format!("REST {size}, key first")
}

pub(crate) fn grpc_name(size: &str) -> String {
    format!("gRPC {size}")
}

pub(crate) fn models_name(count: usize) -> String {
    if count == 1 {
        "REST 1 KB, one model asked for".to_owned()
    } else {
        "REST 1 KB, 10,000 models asked for".to_owned()
    }
}

fn rest(expected: Expected) -> Vec<Asked> {
    rest_bodies(expected, rest_name, Parameters::BehindInputs)
}

/// Only the smallest body: what is asked has nothing to do with bodies.
fn smallest(mut workloads: Vec<Asked>) -> Vec<Asked> {
    workloads.truncate(1);
    workloads
}

fn rest_key_first(expected: Expected) -> Vec<Asked> {
    rest_bodies(expected, rest_key_first_name, Parameters::BeforeInputs)
}

fn rest_bodies(expected: Expected, name: fn(&str) -> String, parameters: Parameters) -> Vec<Asked> {
    let calls = calls_of_users(&format!("/v2/models/{MODEL}/infer"));
    let asked = |(size, size_name): (usize, &str)| Asked {
        workload: Workload {
            name: name(size_name),
            protocol: Protocol::Rest,
            calls: calls.clone(),
            body: bodies::rest(size, parameters),
        },
        expected,
    };
    SIZES.into_iter().map(asked).collect()
}

fn rest_and_grpc(expected: Expected) -> Vec<Asked> {
    let calls = calls_of_users("/inference.GRPCInferenceService/ModelInfer");
    let asked = |(size, size_name): (usize, &str)| Asked {
        workload: Workload {
            name: grpc_name(size_name),
            protocol: Protocol::Grpc,
            calls: calls.clone(),
            body: bodies::grpc(size),
        },
        expected,
    };
    rest(expected).into_iter().chain(SIZES.into_iter().map(asked)).collect()
}

fn asked_for_models(count: usize) -> Asked {
    // A fixed order without a pattern that a processor could learn: 7919 is prime.
    let call = |number: usize| Call {
        path: format!("/v2/models/{}/infer", routing::model_name(number * 7919 % count)),
        user: format!("user-{}", number % USERS),
    };
    let workload = Workload {
        name: models_name(count),
        protocol: Protocol::Rest,
        calls: Arc::new((0..count.max(USERS)).map(call).collect()),
        body: bodies::rest(1_000, Parameters::BehindInputs),
    };
    Asked { workload, expected: Expected::Routed { renamed: false } }
}

fn calls_of_users(path: &str) -> Arc<Vec<Call>> {
    Arc::new((0..USERS).map(|number| Call { path: path.to_owned(), user: format!("user-{number}") }).collect())
}

// === impl Expected ===

impl Expected {
    /// Whether the filter has done its work.
    pub(crate) fn check(self, received: &Received, workload: &Workload) -> Result<()> {
        let header = |name: &str| received.headers.get(name).and_then(|value| value.to_str().ok());
        let asked = workload.calls.first().map(|call| call.path.as_str()).unwrap_or_default();
        let is_whole = received.body == workload.body;
        match self {
            Self::Anything => {}
            Self::Unchanged => {
                ensure!(is_whole && received.path == asked, "an empty gateway has changed a request");
            }
            Self::PeerHeader => {
                ensure!(is_whole, "the peer has changed the body");
                ensure!(
                    header(PEER_HEADER) == Some(MODEL),
                    "the peer has not set {PEER_HEADER}: {:?}",
                    received.headers
                );
            }
            Self::Routed { renamed } => {
                let target = header("x-modelway-target").unwrap_or_default();
                ensure!(
                    header("x-modelway-variant").is_some(),
                    "the filter has set no variant: {:?}",
                    received.headers
                );
                ensure!(!renamed || target.starts_with("iris-"), "the filter has set the target {target:?}");
                let in_message = contains(&received.body, target.as_bytes());
                let in_path = received.path.contains(&format!("/{target}/"));
                let is_rewritten = if workload.protocol == Protocol::Grpc { in_message } else { in_path && is_whole };
                ensure!(is_rewritten, "{target} stands neither in {} nor in the message", received.path);
            }
        }
        Ok(())
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window == part)
}
