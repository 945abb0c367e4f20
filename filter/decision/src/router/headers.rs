//! The headers that carry a decision to upstreams and routes.

use super::Decision;
use crate::config::{HeaderNames, HeaderPreset};
use crate::header;

/// A part of a decision that a header carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Field {
    /// The model by the name that was asked for.
    Model,
    /// The variant chosen.
    Variant,
    /// The upstream's name of the model.
    Target,
    /// The version.
    Version,
    /// What the gateway hashes.
    Affinity,
    /// What a route may match.
    Pool,
    /// Envoy's cluster.
    Cluster,
    /// The host that the upstream gets.
    Authority,
    /// Envoy's cluster for a copy.
    ShadowCluster,
    /// The copy's variant.
    ShadowVariant,
    /// The copy's target.
    ShadowTarget,
    /// The copy's version.
    ShadowVersion,
    /// Says to ModelMesh that the gateway has balanced the load.
    Balanced,
}

/// Every field with the name of its header.
#[derive(Debug)]
pub(super) struct OutgoingHeaders {
    names: Vec<(Field, String)>,
    /// Those of `names` that do not begin with our prefix, and others that would undo what they say.
    foreign: Vec<Vec<u8>>,
}

/// By these, too, ModelMesh takes the name of a model, or refuses a request that has one of them beside ours.
const NAMES_TO_MODELMESH: [&str; 4] = ["mm-model-id", "mm-model-id-bin", "mm-vmodel-id-bin", "tas-model-id"];

// === impl OutgoingHeaders ===

impl OutgoingHeaders {
    pub(super) fn new(config: &HeaderNames) -> Self {
        let named = |name: &Option<String>, default: &str| {
            name.as_ref().map_or_else(|| default.to_owned(), |name| name.to_ascii_lowercase())
        };
        let mut names = vec![
            (Field::Model, named(&config.model, header::MODEL)),
            (Field::Variant, named(&config.variant, header::VARIANT)),
            (Field::Target, named(&config.target, header::TARGET)),
            (Field::Version, named(&config.version, header::VERSION)),
            (Field::Affinity, named(&config.affinity, header::AFFINITY)),
            (Field::Pool, named(&config.pool, header::POOL)),
            (Field::Cluster, named(&config.cluster, header::CLUSTER)),
            (Field::Authority, ":authority".to_owned()),
            (Field::ShadowCluster, header::SHADOW_CLUSTER.to_owned()),
            (Field::ShadowVariant, header::SHADOW_VARIANT.to_owned()),
            (Field::ShadowTarget, header::SHADOW_TARGET.to_owned()),
            (Field::ShadowVersion, header::SHADOW_VERSION.to_owned()),
        ];
        names.extend(config.presets.iter().map(|preset| (Field::Target, preset.header().to_owned())));
        let is_modelmesh = config.presets.contains(&HeaderPreset::ModelMesh);
        if is_modelmesh {
            names.push((Field::Balanced, "mm-balanced".to_owned()));
        }
        let is_foreign = |name: &&String| !name.as_bytes().starts_with(header::PREFIX) && !name.starts_with(':');
        let foreign = names.iter().map(|(_, name)| name).filter(is_foreign).map(|name| name.as_bytes().to_vec());
        let mut foreign: Vec<Vec<u8>> = foreign.collect();
        if is_modelmesh {
            foreign.extend(NAMES_TO_MODELMESH.map(|name| name.as_bytes().to_vec()));
        }
        Self { foreign, names }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Field, &str)> {
        self.names.iter().map(|(field, name)| (*field, name.as_str()))
    }

    pub(super) fn is_ours(&self, name: &[u8]) -> bool {
        let begins = |ours: &[u8]| name.get(..ours.len()).is_some_and(|start| is_same_name(start, ours));
        (header::may_be_ours(name) && begins(header::PREFIX))
            || self.foreign.iter().any(|foreign| is_same_name(name, foreign))
    }
}

/// To upstreams behind CGI or WSGI an underscore is a hyphen.
fn is_same_name(name: &[u8], ours: &[u8]) -> bool {
    let is_same = |(byte, ours): (&u8, &u8)| byte == ours || (*byte == b'_' && *ours == b'-');
    name.len() == ours.len() && name.iter().zip(ours).all(is_same)
}

// === impl HeaderPreset ===

impl HeaderPreset {
    fn header(self) -> &'static str {
        match self {
            Self::GatewayApi => "x-gateway-model-name",
            Self::EnvoyAiGateway => "x-ai-eg-model",
            Self::Seldon => "seldon-model",
            Self::ModelMesh => "mm-vmodel-id",
        }
    }
}

// === impl Decision ===

impl Decision<'_> {
    /// What the header of this field holds; `None`: there is no such header.
    pub fn field(&self, field: Field) -> Option<&[u8]> {
        let shadow = self.shadow.as_ref();
        match field {
            Field::Model => Some(&self.model),
            Field::Variant => self.variant,
            Field::Target => Some(&self.target),
            Field::Version => self.version.as_deref(),
            Field::Affinity => Some(&self.affinity),
            Field::Pool => self.pool,
            Field::Cluster => self.cluster,
            Field::Authority => self.authority,
            Field::ShadowCluster => shadow.map(|shadow| shadow.cluster),
            Field::ShadowVariant => shadow.map(|shadow| shadow.variant),
            Field::ShadowTarget => shadow.map(|shadow| &*shadow.target),
            Field::ShadowVersion => shadow.and_then(|shadow| shadow.version),
            Field::Balanced => Some(b"true"),
        }
    }
}
