//! Models, their variants and who gets which.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Brake, Ramp, Rule, ScalarText, Weight};

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
    /// The scope under which it is called. Default: under all of them, and outside of them.
    #[serde(default)]
    pub scope: Option<String>,
    /// Facts about the model, for people and for rules.
    #[serde(default)]
    pub labels: BTreeMap<String, ScalarText>,
    /// Where a request may go. Without any, it goes to the upstream's model of the same name.
    #[serde(default)]
    pub variants: Vec<Variant>,
    /// What a request that names no version gets: `latest` is the highest version number among the
    /// variants; anything else is a version or a version label. Default: the split over all variants.
    #[serde(default)]
    pub default_version: Option<ScalarText>,
    /// Who always gets the same variant. Without it every request is assigned at random.
    #[serde(default)]
    pub sticky: Option<Sticky>,
    /// Before the split; the first that matches wins.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// A part of the requests that is copied to another variant, whose answer nobody gets.
    #[serde(default)]
    pub shadow: Option<Shadow>,
    /// Whether a histogram of latencies is kept for each variant. Default false.
    #[serde(default)]
    pub latency_histogram: bool,
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
    /// Names for its version, such as `prod`: a client that names one as the version gets this variant.
    #[serde(default)]
    pub version_labels: Vec<String>,
    /// Its part of the split, relative to the other variants' weights. Default 1, or 0 with a ramp; 0: only
    /// by rule, by version or in an experiment.
    #[serde(default)]
    pub weight: Option<Weight>,
    /// Weights to come, by time.
    #[serde(default)]
    pub ramp: Option<Ramp>,
    /// When it loses its traffic.
    #[serde(default)]
    pub brake: Option<Brake>,
    /// For the route: a pool of hosts, sent as `x-modelway-pool`.
    #[serde(default)]
    pub pool: Option<String>,
    /// For the gateway's consistent hashing, sent as `x-modelway-affinity`. Default: the upstream's name of the model.
    #[serde(default)]
    pub affinity: Option<String>,
    /// Envoy's cluster, sent as `x-modelway-cluster` for a route with `cluster_header`.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The host that the upstream gets as `:authority`, which routes may match.
    #[serde(default)]
    pub authority: Option<String>,
}

/// Keys that make an assignment stick.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sticky {
    /// The first one that the request has is used; with none of them it is assigned at random.
    #[serde(default)]
    pub by: Vec<StickyKey>,
    /// Splits with different salts are independent. Default: the entry's name.
    #[serde(default)]
    pub salt: Option<String>,
    /// A cookie that the filter sets where a request has none of the keys, so that the next one sticks.
    #[serde(default)]
    pub cookie: Option<StickyCookie>,
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
    /// The claim of this name in the sender's token, which an earlier filter has verified.
    Claim(String),
    /// The request parameter of this name: of the JSON body's `parameters`, or of the gRPC
    /// message's. Needs the body tier.
    Parameter(String),
    /// The id of the inference request: `id` of the message. Needs the body tier.
    RequestId,
    /// The sender's address, without the port.
    SourceAddress,
}

/// A cookie that the filter sets.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StickyCookie {
    /// Its name; it is also the last of the keys.
    pub name: String,
    /// How long it is kept, in seconds. Default: 30 days.
    #[serde(default = "thirty_days")]
    pub max_age_seconds: u32,
    /// Whether browsers send it over TLS only. Default true.
    #[serde(default = "yes")]
    pub secure: bool,
}

/// A part of the requests that is copied by Envoy's mirroring.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shadow {
    /// The variant that gets the copies; it must have a `cluster`.
    pub variant: String,
    /// How many of a hundred requests are copied. Default 100.
    #[serde(default = "all")]
    pub percent: f64,
}

fn thirty_days() -> u32 {
    30 * 24 * 3600
}

fn yes() -> bool {
    true
}

fn all() -> f64 {
    100.0
}
