//! Models, their variants and who gets which.

use std::collections::BTreeMap;

use super::json::Node;
use super::read::{Fields, Place, Read, settings};
use super::{Brake, Ramp, Rule, ScalarText, Weight};

settings! {
    /// A model by the name that clients call.
    pub struct ModelEntry {
        /// The name that clients call. A trailing `*` takes every name that begins so; an exact name
        /// wins over a pattern, a longer pattern over a shorter one.
        pub name: String [required],
        /// Other names for the same model.
        pub aliases: Vec<String>,
        /// The scope under which it is called. Default: under all of them, and outside of them.
        pub scope: Option<String>,
        /// Facts about the model, for people and for rules.
        pub labels: BTreeMap<String, ScalarText>,
        /// Where a request may go. Without any, it goes to the upstream's model of the same name.
        pub variants: Vec<Variant>,
        /// What a request that names no version gets: `latest` is the highest version number among the
        /// variants; anything else is a version or a version label. Default: the split over all variants.
        pub default_version: Option<ScalarText>,
        /// Who always gets the same variant. Without it every request is assigned at random.
        pub sticky: Option<Sticky>,
        /// Before the split; the first that matches wins.
        pub rules: Vec<Rule>,
        /// A part of the requests that is copied to another variant, whose answer nobody gets.
        pub shadow: Option<Shadow>,
        /// Whether a histogram of latencies is kept for each variant. Default false.
        pub latency_histogram: bool,
    }
}

settings! {
    /// One of the places where a request for a model may go.
    pub struct Variant {
        /// The variant's name, in headers, metrics and rules.
        pub name: String [required],
        /// The upstream's name of the model. Default: the name that was asked for, aliases resolved.
        pub model: Option<String>,
        /// The upstream's version of the model. A client that names this version gets this variant.
        pub version: Option<ScalarText>,
        /// Names for its version, such as `prod`: a client that names one as the version gets this variant.
        pub version_labels: Vec<String>,
        /// Its part of the split, relative to the other variants' weights. Default 1, or 0 with a ramp; 0: only
        /// by rule, by version or in an experiment.
        pub weight: Option<Weight>,
        /// Weights to come, by time.
        pub ramp: Option<Ramp>,
        /// When it loses its traffic.
        pub brake: Option<Brake>,
        /// For the route: a pool of hosts, sent as `x-modelway-pool`.
        pub pool: Option<String>,
        /// For the gateway's consistent hashing, sent as `x-modelway-affinity`. Default: the upstream's name of the model.
        pub affinity: Option<String>,
        /// Envoy's cluster, sent as `x-modelway-cluster` for a route with `cluster_header`.
        pub cluster: Option<String>,
        /// The host that the upstream gets as `:authority`, which routes may match.
        pub authority: Option<String>,
    }
}

settings! {
    /// Keys that make an assignment stick.
    pub struct Sticky {
        /// The first one that the request has is used; with none of them it is assigned at random.
        pub by: Vec<StickyKey>,
        /// Splits with different salts are independent. Default: the entry's name.
        pub salt: Option<String>,
        /// A cookie that the filter sets where a request has none of the keys, so that the next one sticks.
        pub cookie: Option<StickyCookie>,
    }
}

/// Where a request carries the key that it is assigned by.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "camelCase"))]
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

impl Read for StickyKey {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        if let Node::Text(_) = node {
            let words = [Self::RequestId, Self::SourceAddress];
            return words.get(place.word(node, &["requestId", "sourceAddress"])?).cloned();
        }
        let mut fields = Fields::of(node, place)?;
        let header = fields.optional("header", place).map(Self::Header);
        let cookie = fields.optional("cookie", place).map(Self::Cookie);
        let claim = fields.optional("claim", place).map(Self::Claim);
        let parameter = fields.optional("parameter", place).map(Self::Parameter);
        let found: Vec<Self> = [header, cookie, claim, parameter].into_iter().flatten().collect();
        let unknown = fields.finish(place);
        if found.len() != 1 && !unknown {
            place.fault("expected one key, such as {header: x-user-id}");
        }
        found.into_iter().next()
    }
}

settings! {
    /// A cookie that the filter sets.
    pub struct StickyCookie {
        /// Its name; it is also the last of the keys.
        pub name: String [required],
        /// How long it is kept, in seconds. Default: 30 days.
        pub max_age_seconds: u32 [or thirty_days "thirty_days"],
        /// Whether browsers send it over TLS only. Default true.
        pub secure: bool [or yes "yes"],
    }
}

settings! {
    /// A part of the requests that is copied by Envoy's mirroring.
    pub struct Shadow {
        /// The variant that gets the copies; it must have a `cluster`.
        pub variant: String [required],
        /// How many of a hundred requests are copied. Default 100.
        pub percent: f64 [or all "all"],
    }
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
