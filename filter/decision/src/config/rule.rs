//! Rules and what they match.

use serde::Deserialize;

use super::{ScalarText, Weight};

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
    /// Claims of the sender's token, which an earlier filter has verified.
    pub claims: Vec<Match>,
    /// Inputs that the request must have, each at least once. They need the body tier.
    pub inputs: Vec<InputMatch>,
    /// The batch size: the first dimension of the first input. Needs the body tier.
    pub batch_size: Option<Range>,
    /// How tensors are written, one of which it must be. Needs the body tier, unless `Binary` alone is named.
    pub encodings: Vec<Encoding>,
    /// The length of the body in bytes, as the `content-length` header tells it.
    pub content_length: Option<Range>,
    /// Networks, in one of which the sender must be: `10.0.0.0/8`, `2001:db8::/32` or one address.
    pub source_addresses: Vec<String>,
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

/// How the elements of tensors are written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Encoding {
    /// JSON's `data`.
    #[serde(rename = "JSON")]
    Json,
    /// Typed contents: gRPC's `contents`, or protobuf's JSON of it.
    Contents,
    /// Bytes behind a JSON header, over REST.
    Binary,
    /// gRPC's `raw_input_contents`.
    Raw,
}

/// What one input must be; all of it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InputMatch {
    /// Its name. Default: any.
    #[serde(default)]
    pub name: Option<String>,
    /// Its datatype, such as `FP32`. Default: any.
    #[serde(default)]
    pub datatype: Option<String>,
    /// Its dimensions; -1 stands for any size. Default: any.
    #[serde(default)]
    pub shape: Option<Vec<f64>>,
}

/// Numbers from one to another, both included.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Range {
    /// The least. Default 0.
    #[serde(default)]
    pub min: f64,
    /// The greatest. Default: no bound.
    #[serde(default)]
    pub max: Option<f64>,
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
