//! Settings of the gateway as a whole.

use super::read::{settings, words};

settings! {
    /// A part of the gateway with models of its own.
    pub struct Scope {
        /// The scope's name, for `models[].scope`.
        pub name: String [required],
        /// Requests whose path begins so belong to it: `/serving/team-a` takes `/serving/team-a/v2/…`. Upstreams get
        /// the path with it; a route's `prefix_rewrite` takes it off.
        pub path_prefix: Option<String>,
        /// Hosts, without the port, whose requests belong to it; `*.example.com` takes every host below.
        pub hosts: Vec<String>,
    }
}

settings! {
    /// Names of the headers that upstreams and routes read.
    #[derive(Default)]
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
}

words! {
    /// A neighbour whose routes go by a header of its own; it gets the upstream's name of the model.
    pub enum HeaderPreset {
        /// `x-gateway-model-name`: Gateway API Inference Extension and KServe.
        GatewayApi "GatewayApi",
        /// `x-ai-eg-model`: Envoy AI Gateway.
        EnvoyAiGateway "EnvoyAiGateway",
        /// `seldon-model`: Seldon Core 2.
        Seldon "Seldon",
        /// `mm-vmodel-id`: KServe ModelMesh, with `mm-balanced: true`; its other names for a model (`mm-model-id` and
        /// the like) are removed from what clients send.
        ModelMesh "ModelMesh",
    }
}

settings! {
    /// Where an earlier filter has left the claims of the sender's token.
    pub struct Claims {
        /// The namespace of the dynamic metadata. Default: that of Envoy's `jwt_authn`.
        pub namespace: String [or jwt_authn "jwt_authn"],
        /// The key in it: `payload_in_metadata` of the provider. Default `payload`.
        pub payload: String [or payload "payload"],
    }
}

settings! {
    /// What testers may do who know the secret and send it as `x-modelway-secret`: ask for a variant by
    /// `x-modelway-force: NAME`, and for the reasons of a decision by `x-modelway-explain: true`.
    pub struct Testers {
        /// At least 16 characters.
        pub secret: String [required],
    }
}

settings! {
    /// What is counted.
    #[derive(Copy)]
    pub struct Stats {
        /// Whether requests are counted by model and variant. Default true.
        pub enabled: bool [or yes "yes"],
        /// How many names that no entry lists by itself get series of their own; the others share `other`. Default 200.
        pub most_names: u32 [or two_hundred "two_hundred"],
    }
}

settings! {
    /// Records of who was in which arm, for the access log.
    #[derive(Copy)]
    pub struct Exposures {
        /// The part of the units whose requests are recorded, from 0 to 1. Default 1.
        pub sample: f64 [or one "one"],
    }
}

// === impl Claims ===

impl Default for Claims {
    fn default() -> Self {
        Self { namespace: jwt_authn(), payload: payload() }
    }
}

// === impl Stats ===

impl Default for Stats {
    fn default() -> Self {
        Self { enabled: yes(), most_names: two_hundred() }
    }
}

fn jwt_authn() -> String {
    "envoy.filters.http.jwt_authn".to_owned()
}

fn payload() -> String {
    "payload".to_owned()
}

fn two_hundred() -> u32 {
    200
}

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}
