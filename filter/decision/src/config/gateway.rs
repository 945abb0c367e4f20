//! Settings of the gateway as a whole.

use serde::Deserialize;

/// A part of the gateway with models of its own.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scope {
    /// The scope's name, for `models[].scope`.
    pub name: String,
    /// Requests whose path begins so belong to it: `/serving/team-a` takes `/serving/team-a/v2/…`.
    #[serde(default)]
    pub path_prefix: Option<String>,
    /// Hosts, without the port, whose requests belong to it; `*.example.com` takes every host below.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Whether the upstream gets paths without the prefix. Default true.
    #[serde(default = "yes")]
    pub strip_prefix: bool,
}

/// Names of the headers that upstreams and routes read.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HeaderNames {
    /// Headers of neighbours that are set as well.
    pub presets: Vec<HeaderPreset>,
    /// Instead of `x-modelway-model`.
    pub model: Option<String>,
    /// Instead of `x-modelway-variant`.
    pub variant: Option<String>,
    /// Instead of `x-modelway-target`. Modelway's runtime goes by that name.
    pub target: Option<String>,
    /// Instead of `x-modelway-version`. Modelway's runtime goes by that name.
    pub version: Option<String>,
    /// Instead of `x-modelway-affinity`.
    pub affinity: Option<String>,
    /// Instead of `x-modelway-pool`.
    pub pool: Option<String>,
    /// Instead of `x-modelway-cluster`.
    pub cluster: Option<String>,
}

/// A neighbour whose routes go by a header of its own; it gets the upstream's name of the model.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum HeaderPreset {
    /// `x-gateway-model-name`: Gateway API Inference Extension and KServe.
    GatewayApi,
    /// `x-ai-eg-model`: Envoy AI Gateway.
    EnvoyAiGateway,
    /// `seldon-model`: Seldon Core 2.
    Seldon,
    /// `mm-vmodel-id`: KServe ModelMesh.
    ModelMesh,
}

/// Where an earlier filter has left the claims of the sender's token.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Claims {
    /// The namespace of the dynamic metadata. Default: that of Envoy's `jwt_authn`.
    pub namespace: String,
    /// The key in it: `payload_in_metadata` of the provider. Default `payload`.
    pub payload: String,
}

/// What testers may do who know the secret and send it as `x-modelway-secret`: ask for a variant by
/// `x-modelway-force: NAME`, and for the reasons of a decision by `x-modelway-explain: true`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Testers {
    /// At least 16 characters.
    pub secret: String,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Stats {
    /// Whether requests are counted by model and variant. Default true.
    pub enabled: bool,
    /// How many names that no entry lists by itself get series of their own; the others share `other`. Default 200.
    pub most_names: u32,
}

/// Records of who was in which arm, for the access log.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Exposures {
    /// The part of the units whose requests are recorded, from 0 to 1. Default 1.
    pub sample: f64,
}

// === impl Claims ===

impl Default for Claims {
    fn default() -> Self {
        Self { namespace: "envoy.filters.http.jwt_authn".to_owned(), payload: "payload".to_owned() }
    }
}

// === impl Stats ===

impl Default for Stats {
    fn default() -> Self {
        Self { enabled: true, most_names: 200 }
    }
}

// === impl Exposures ===

impl Default for Exposures {
    fn default() -> Self {
        Self { sample: 1.0 }
    }
}

fn yes() -> bool {
    true
}
