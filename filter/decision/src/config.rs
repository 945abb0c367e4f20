//! The `routing` section of a mesh file, which is the filter's configuration word for word.
//!
//! These types are the contract: the JSON Schema and `docs/configuration.md` are made from them.
//! Parsing refuses unknown fields with the nearest known name, and [`crate::Router`] checks
//! what no single field can tell and compiles the rest.

mod fault;
mod scalar;
mod shape;
#[cfg(test)]
mod tests;

pub use fault::{ConfigError, Fault};
pub use scalar::{ByteSize, ScalarText, Weight};

use serde::Deserialize;

/// How requests are routed to model versions.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Routing {
    /// The models that clients may call, by the names that they use.
    pub models: Vec<ModelEntry>,
    /// Rules over all models, after a model's own. One counts for the models that have its variants.
    pub rules: Vec<Rule>,
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
}

/// A model by the name that clients call.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelEntry {
    /// The name that clients call. A trailing `*` takes every name that begins so; an exact name
    /// wins over a pattern, a longer pattern over a shorter one.
    pub name: String,
    /// Other names for the same model.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Facts about the model, for people and for rules.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, ScalarText>,
    /// Where a request may go. Without any, it goes to the upstream's model of the same name.
    #[serde(default)]
    pub variants: Vec<Variant>,
    /// Who always gets the same variant. Without it every request is assigned at random.
    #[serde(default)]
    pub sticky: Option<Sticky>,
    /// Before the split; the first that matches wins.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// One of the places where a request for a model may go.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variant {
    /// The variant's name, in headers, metrics and rules.
    pub name: String,
    /// The upstream's name of the model. Default: the name that was asked for, aliases resolved.
    #[serde(default)]
    pub model: Option<String>,
    /// The upstream's version of the model. A client that names this version gets this variant.
    #[serde(default)]
    pub version: Option<ScalarText>,
    /// Its part of the split, relative to the other variants' weights. Default 1; 0: only by rule or by version.
    #[serde(default)]
    pub weight: Weight,
    /// For the route: a pool of hosts, sent as `x-modelway-pool`.
    #[serde(default)]
    pub pool: Option<String>,
    /// For the gateway's consistent hashing, sent as `x-modelway-affinity`. Default: the upstream's name of the model.
    #[serde(default)]
    pub affinity: Option<String>,
}

/// Keys that make an assignment stick.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sticky {
    /// The first one that the request has is used; with none of them it is assigned at random.
    pub by: Vec<StickyKey>,
    /// Splits with different salts are independent. Default: the entry's name.
    #[serde(default)]
    pub salt: Option<String>,
}

/// Where a request carries the key that it is assigned by.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum StickyKey {
    /// The header of this name.
    Header(String),
    /// The cookie of this name.
    Cookie(String),
    /// The request parameter of this name: of the JSON body's `parameters`, or of the gRPC
    /// message's. Needs the body tier.
    Parameter(String),
}

/// Requests that match go where the rule says instead of by the model's split.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// The rule's name, for people.
    pub name: String,
    /// What a request must have; all of it.
    #[serde(rename = "match")]
    pub conditions: Conditions,
    /// The variant that it goes to. Either this or `split`.
    #[serde(default)]
    pub variant: Option<String>,
    /// A split of the rule's own, with the model's sticky keys.
    #[serde(default)]
    pub split: Vec<SplitShare>,
}

/// A variant's part of a rule's split.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SplitShare {
    /// The variant.
    pub variant: String,
    /// Its part, relative to the others'. Default 1.
    #[serde(default)]
    pub weight: Weight,
}

/// What a request must have for a rule to match; all of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Conditions {
    /// Headers of the request.
    pub headers: Vec<Match>,
    /// Cookies of the request.
    pub cookies: Vec<Match>,
    /// Parameters of the path's query, percent-decoded.
    pub query: Vec<Match>,
    /// Request parameters, of the JSON body or the gRPC message. They need the body tier.
    pub parameters: Vec<Match>,
    /// Labels of the model's entry.
    pub labels: Vec<Match>,
    /// HTTP methods, one of which it must be.
    pub methods: Vec<String>,
    /// Hosts, without the port, one of which it must be; `*.example.com` takes every host below.
    pub hosts: Vec<String>,
    /// Protocols, one of which it must be.
    pub protocols: Vec<Protocol>,
    /// Versions, one of which the request must ask for.
    pub versions: Vec<ScalarText>,
    /// What the request must not have: it matches where these conditions do not all hold.
    pub not: Option<Box<Conditions>>,
}

/// A way of asking.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Protocol {
    /// The Open Inference Protocol over REST.
    #[serde(rename = "REST")]
    Rest,
    /// The Open Inference Protocol over gRPC.
    #[serde(rename = "gRPC")]
    Grpc,
    /// OpenAI's: `/v1/chat/completions` and its like.
    #[serde(rename = "OpenAI")]
    OpenAi,
    /// KServe's first protocol: `/v1/models/NAME:predict`.
    V1,
}

/// One header, cookie, parameter or label, and what its value must be.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// Its name.
    pub name: String,
    /// How the value is compared.
    #[serde(rename = "type", default)]
    pub kind: MatchKind,
    /// What it is compared with; none for `In` and `Present`.
    #[serde(default)]
    pub value: Option<ScalarText>,
    /// For `In`: the values, one of which it must be.
    #[serde(default)]
    pub values: Vec<ScalarText>,
}

/// How a value is compared. What comes several times matches if one of its values does.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum MatchKind {
    /// The whole value, byte by byte. The default.
    #[default]
    Exact,
    /// The value begins so.
    Prefix,
    /// The whole value matches this regular expression (no look-around, no back-references).
    RegularExpression,
    /// The whole value is one of several.
    In,
    /// There is one, whatever its value.
    Present,
}

/// What happens to a call for a model, or for a version of a model, that is not listed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum UnknownModels {
    /// It goes on to the upstream, with the headers set to what was asked for. The default.
    #[default]
    Pass,
    /// The filter answers 404, or NOT_FOUND for gRPC.
    Reject,
}

/// Whether the path or the message is rewritten to the upstream's name of the model.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Rewrite {
    /// When the upstream's name or version differs from what was asked for. The default.
    #[default]
    Auto,
    /// Never: the upstream goes by the headers.
    Headers,
    /// Always, which also brings every spelling of a path into one form.
    Always,
}

/// Whether administrative calls may come from outside.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Admin {
    /// The filter answers 403, or PERMISSION_DENIED for gRPC. The default.
    #[default]
    Deny,
    /// They go on to the upstream.
    Allow,
}

/// What happens when the peek limit is reached too early.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum OnPeekLimit {
    /// The decision is made without what was not found, as if the request did not have it. The default.
    #[default]
    Default,
    /// The filter answers 400, or INVALID_ARGUMENT for gRPC, and says what it did not find.
    Reject,
}

/// How bodies are read.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Mode {
    /// A request goes on as soon as what routing needs is known. The default.
    #[default]
    Fast,
    /// Where routing reads a body it reads it to its end, or to the limit, and refuses what two
    /// readers could understand differently: repeated keys and fields, overlong values, compression.
    Strict,
}

impl Routing {
    /// Reads the configuration; the error says where the fault is and what was expected. Nothing at
    /// all is a configuration without models.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        if json.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        shape::check(json)?;
        let mut reader = serde_json::Deserializer::from_slice(json);
        let routing = serde_path_to_error::deserialize(&mut reader).map_err(|error| fault::from_serde(&error))?;
        reader.end().map_err(|error| ConfigError::from(Fault::new("", error.to_string())))?;
        Ok(routing)
    }
}
