//! Rules and what they match.

use super::read::{settings, words};
use super::{ScalarText, Weight};

settings! {
    /// Requests that match go where the rule says instead of by the model's split.
    pub struct Rule {
        /// The rule's name, for people.
        pub name: String [required],
        /// What a request must have; all of it.
        pub conditions: Conditions [required as "match"],
        /// The variant that it goes to. Either this or `split`.
        pub variant: Option<String>,
        /// A split of the rule's own, with the model's sticky keys.
        pub split: Vec<SplitShare>,
    }
}

settings! {
    /// A variant's part of a rule's split.
    pub struct SplitShare {
        /// The variant.
        pub variant: String [required],
        /// Its part, relative to the others'. Default 1.
        pub weight: Weight,
    }
}

settings! {
    /// What a request must have for a rule to match; all of it.
    #[derive(Default)]
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
}

words! {
    /// A way of asking.
    pub enum Protocol {
        /// The Open Inference Protocol over REST.
        Rest "REST",
        /// The Open Inference Protocol over gRPC.
        Grpc "gRPC",
        /// OpenAI's: `/v1/chat/completions` and its like.
        OpenAi "OpenAI",
        /// KServe's first protocol: `/v1/models/NAME:predict`.
        V1 "V1",
    }
}

words! {
    /// How the elements of tensors are written.
    pub enum Encoding {
        /// JSON's `data`.
        Json "JSON",
        /// Typed contents: gRPC's `contents`, or protobuf's JSON of it.
        Contents "Contents",
        /// Bytes behind a JSON header, over REST.
        Binary "Binary",
        /// gRPC's `raw_input_contents`.
        Raw "Raw",
    }
}

settings! {
    /// What one input must be; all of it.
    pub struct InputMatch {
        /// Its name. Default: any.
        pub name: Option<String>,
        /// Its datatype, such as `FP32`. Default: any.
        pub datatype: Option<String>,
        /// Its dimensions; -1 stands for any size. Default: any.
        pub shape: Option<Vec<f64>>,
    }
}

settings! {
    /// Numbers from one to another, both included.
    #[derive(Copy)]
    pub struct Range {
        /// The least. Default 0.
        pub min: f64,
        /// The greatest. Default: no bound.
        pub max: Option<f64>,
    }
}

settings! {
    /// One header, cookie, parameter or label, and what its value must be.
    pub struct Match {
        /// Its name.
        pub name: String [required],
        /// How the value is compared.
        pub kind: MatchKind [as "type"],
        /// What it is compared with; none for `In` and `Present`.
        pub value: Option<ScalarText>,
        /// For `In`: the values, one of which it must be.
        pub values: Vec<ScalarText>,
    }
}

words! {
    /// How a value is compared. What comes several times matches if one of its values does.
    pub enum MatchKind {
        /// The whole value, byte by byte. The default.
        Exact "Exact",
        /// The value begins so.
        Prefix "Prefix",
        /// The whole value matches this regular expression (no look-around, no back-references).
        RegularExpression "RegularExpression",
        /// The whole value is one of several.
        In "In",
        /// There is one, whatever its value.
        Present "Present",
    }
}
