//! The `routing` section of a mesh file, which is the filter's configuration word for word.
//!
//! These types are the contract: the JSON Schema and `docs/configuration.md` are made from them.
//! Parsing refuses unknown fields with the nearest known name, and [`crate::Router`] checks
//! what no single field can tell and compiles the rest.

mod experiment;
mod fault;
mod gateway;
mod json;
mod model;
mod read;
mod rule;
mod scalar;
mod schedule;
#[cfg(test)]
mod tests;
mod time;

pub use experiment::{Arm, Experiment, Layer, Traffic};
pub use fault::{ConfigError, Fault};
pub use gateway::{Claims, Exposures, HeaderNames, HeaderPreset, Scope, Stats, Testers};
pub use model::{ModelEntry, Shadow, Sticky, StickyCookie, StickyKey, Variant};
pub use rule::{Conditions, Encoding, InputMatch, Match, MatchKind, Protocol, Range, Rule, SplitShare};
pub use scalar::{ByteSize, ScalarText, Weight};
pub use schedule::{Brake, Freeze, Ramp, RampStep};
pub use time::{Duration, Timestamp};

use read::{Place, Read, settings, words};

settings! {
    /// How requests are routed to model versions.
    #[derive(Default)]
    pub struct Routing {
        /// The models that clients may call, by the names that they use.
        pub models: Vec<ModelEntry>,
        /// Rules over all models, after a model's own. One counts for the models that have its variants.
        pub rules: Vec<Rule>,
        /// Experiments, over one model or several.
        pub experiments: Vec<Experiment>,
        /// Layers, whose experiments exclude each other.
        pub layers: Vec<Layer>,
        /// Parts of the gateway with models of their own.
        pub scopes: Vec<Scope>,
        /// Times in which no ramp moves.
        pub freezes: Vec<Freeze>,
        /// What happens to a call for a model, or for a version of a model, that is not listed.
        pub unknown_models: UnknownModels,
        /// Whether the path or the message is rewritten to the upstream's name of the model.
        pub rewrite: Rewrite,
        /// Whether repository, logging, trace, shared memory and `mmesh` calls may come from outside.
        pub admin: Admin,
        /// How far into a body the filter may read before it decides without. Keep it below the
        /// gateway's buffer limit (32 KiB in Istio). Default 24 KiB, at least 512 bytes.
        pub peek_limit: ByteSize,
        /// What happens when the limit is reached before the model or a parameter that routing needs was found.
        pub on_peek_limit: OnPeekLimit,
        /// How bodies are read.
        pub mode: Mode,
        /// Paths under which the same paths are served, such as `/serving/team-a` for
        /// `/serving/team-a/v2/models/…`. They stay when a path is rewritten.
        pub path_prefixes: Vec<String>,
        /// Names of the headers that upstreams and routes read.
        pub header_names: HeaderNames,
        /// Where the claims of the sender's token stand.
        pub claims: Claims,
        /// Whether answers bear the model's public name instead of the upstream's: `model_name` of v2, `model` of OpenAI.
        pub restore_model_name: bool,
        /// What testers may do who know a secret.
        pub testers: Option<Testers>,
        /// Whether everything is decided and counted and answers are labelled, but requests go on as they came.
        pub dry_run: bool,
        /// What is counted.
        pub stats: Stats,
        /// Whether model, variant and target are left for access logs, as `%FILTER_STATE(wasm.modelway.variant:PLAIN)%`.
        pub filter_state: bool,
        /// Records of who was in which arm, as `%FILTER_STATE(wasm.modelway.exposure:PLAIN)%`.
        pub exposures: Option<Exposures>,
    }
}

words! {
    /// What happens to a call for a model, or for a version of a model, that is not listed.
    pub enum UnknownModels {
        /// It goes on to the upstream, with the headers set to what was asked for. The default.
        Pass "Pass",
        /// The filter answers 404, or NOT_FOUND for gRPC.
        Reject "Reject",
    }
}

words! {
    /// Whether the path or the message is rewritten to the upstream's name of the model.
    pub enum Rewrite {
        /// When the upstream's name or version differs from what was asked for. The default.
        Auto "Auto",
        /// Never: the upstream goes by the headers.
        Headers "Headers",
        /// Always, which also brings every spelling of a path into one form.
        Always "Always",
    }
}

words! {
    /// Whether administrative calls may come from outside.
    pub enum Admin {
        /// The filter answers 403, or PERMISSION_DENIED for gRPC. The default.
        Deny "Deny",
        /// They go on to the upstream.
        Allow "Allow",
    }
}

words! {
    /// What happens when the peek limit is reached too early.
    pub enum OnPeekLimit {
        /// The decision is made without what was not found, as if the request did not have it. The default.
        Default "Default",
        /// The filter answers 400, or INVALID_ARGUMENT for gRPC, and says what it did not find.
        Reject "Reject",
    }
}

words! {
    /// How bodies are read.
    pub enum Mode {
        /// A request goes on as soon as what routing needs is known. The default.
        Fast "Fast",
        /// Where routing reads a body it reads it to its end, or to the limit, and refuses what two
        /// readers could understand differently: repeated keys and fields, overlong values, compression.
        Strict "Strict",
    }
}

impl Routing {
    /// Reads the configuration; the error tells every fault, where it is and what was expected. Nothing at
    /// all is a configuration without models.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        if json.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let node = json::parse(json).map_err(|message| Fault::new("", message))?;
        let mut place = Place::default();
        let routing = Self::read(&node, &mut place);
        ConfigError::unless_empty(place.into_faults())?;
        routing.ok_or_else(|| Fault::new("", "expected an object").into())
    }
}
