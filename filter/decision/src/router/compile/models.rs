//! Models, variants and keys.

use super::Compiler;
use crate::assign::Salt;
use crate::brake::{Gate, Guard};
use crate::config::{self, ModelEntry, Rewrite, ScalarText, StickyKey};
use crate::router::BrakePlace;
use crate::router::entry::{Brake, CookieSettings, Entry, Shadow, Variant};
use crate::router::key::{Key, Keys};
use crate::router::positions::{MOST_VARIANTS, Positions};
use crate::router::ramp::Ramp;
use crate::router::split::{Split, Stake};

/// The default version that stands for the highest.
const LATEST: &str = "latest";

impl Compiler<'_> {
    pub(super) fn entry(&mut self, model: &ModelEntry, index: usize) -> Entry {
        let path = &format!("models[{index}]");
        let (name, is_pattern) = match model.name.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (model.name.as_str(), false),
        };
        if name.contains('*') {
            self.fault(format!("{path}.name"), "expected `*` only at the end of a name");
        }
        self.name(model, &model.name, &format!("{path}.name"));
        for (index, alias) in model.aliases.iter().enumerate() {
            let path = format!("{path}.aliases[{index}]");
            if alias.contains('*') || is_pattern {
                self.fault(&path, "expected an exact name for an exact name: patterns have no aliases");
            }
            self.name(model, alias, &path);
        }
        let (variants, split) = self.variants(model, index);
        let names: Vec<&[u8]> = variants.iter().map(|variant| variant.name.as_slice()).collect();
        let rules = model.rules.iter().enumerate();
        let rules = rules.map(|(index, rule)| self.rule(rule, &names, &format!("{path}.rules[{index}]"))).collect();
        let labels = model.labels.iter();
        let sticky = model.sticky.as_ref();
        let salt = sticky.and_then(|sticky| sticky.salt.as_ref()).unwrap_or(&model.name);
        Entry {
            name: name.as_bytes().to_vec(),
            is_pattern,
            labels: labels.map(|(label, value)| (label.as_bytes().to_vec(), value.0.as_bytes().to_vec())).collect(),
            default: self.default_version(model, &variants, path),
            variants,
            split,
            salt: Salt::new(salt.as_bytes()),
            keys: self.sticky_keys(model, path),
            cookie: sticky.and_then(|sticky| sticky.cookie.as_ref()).map(|cookie| CookieSettings {
                name: cookie.name.clone(),
                max_age_seconds: cookie.max_age_seconds,
                secure: cookie.secure,
            }),
            rules,
            trials: Vec::new(),
            shadow: self.shadow_settings(model, &format!("{path}.shadow")),
            latency_histogram: model.latency_histogram,
            reads_bodies: false,
        }
    }

    /// A name that stands for one model of its scope.
    fn name(&mut self, model: &ModelEntry, name: &str, path: &str) {
        self.header_value(name, path);
        if let Some(before) = self.seen.insert((model.scope.clone(), name.to_owned()), path.to_owned()) {
            self.fault(path, format!("the name '{name}' already stands at {before}"));
        }
    }

    fn variants(&mut self, model: &ModelEntry, entry: usize) -> (Vec<Variant>, Split) {
        let path = format!("models[{entry}].variants");
        if model.variants.is_empty() {
            let variant = Variant::named(b"default");
            return (vec![variant], Split(vec![Stake::new(0, b"default", 1.0)]));
        }
        if model.variants.len() > MOST_VARIANTS {
            self.fault(&path, format!("expected at most {MOST_VARIANTS} variants, got {}", model.variants.len()));
        }
        let mut variants = Vec::with_capacity(model.variants.len());
        let mut split = Split::default();
        for (index, variant) in model.variants.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if model.variants.iter().take(index).any(|other| other.name == variant.name) {
                self.fault(format!("{path}.name"), format!("the variant '{}' already exists", variant.name));
            }
            let default = if variant.ramp.is_some() { 0.0 } else { 1.0 };
            let weight = variant.weight.map_or(default, |weight| weight.0);
            let mut stake = Stake::new(index, variant.name.as_bytes(), weight);
            stake.ramp = variant.ramp.as_ref().map(|ramp| self.ramp(ramp, &format!("{path}.ramp")));
            split.0.push(stake);
            let mut compiled = self.variant(variant, &path);
            compiled.brake = variant.brake.as_ref().map(|brake| {
                self.brake(brake, &format!("{path}.brake"));
                let scope = model.scope.as_deref().unwrap_or_default();
                let name = [scope, &model.name, &variant.name].join("\0").into_bytes();
                self.brakes.push(BrakePlace { entry, position: index, name });
                Brake { number: self.brakes.len() - 1, guard: Guard::new(brake), gate: Gate::default() }
            });
            variants.push(compiled);
        }
        if !split.0.iter().any(Stake::may_win) {
            self.fault(path, "expected a weight above 0 on at least one variant");
        }
        (variants, split)
    }

    fn variant(&mut self, variant: &config::Variant, path: &str) -> Variant {
        self.header_value(&variant.name, &format!("{path}.name"));
        let optional = [
            ("model", &variant.model),
            ("pool", &variant.pool),
            ("affinity", &variant.affinity),
            ("cluster", &variant.cluster),
            ("authority", &variant.authority),
        ];
        for (field, value) in optional {
            if let Some(value) = value {
                self.header_value(value, &format!("{path}.{field}"));
            }
        }
        if let Some(ScalarText(version)) = &variant.version {
            self.header_value(version, &format!("{path}.version"));
        }
        for (index, label) in variant.version_labels.iter().enumerate() {
            self.header_value(label, &format!("{path}.versionLabels[{index}]"));
        }
        let bytes = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
        Variant {
            model: bytes(&variant.model),
            version: variant.version.as_ref().map(|version| version.0.as_bytes().to_vec()),
            version_labels: variant.version_labels.iter().map(|label| label.as_bytes().to_vec()).collect(),
            pool: bytes(&variant.pool),
            affinity: bytes(&variant.affinity),
            cluster: bytes(&variant.cluster),
            authority: bytes(&variant.authority),
            ..Variant::named(variant.name.as_bytes())
        }
    }

    fn ramp(&mut self, ramp: &config::Ramp, path: &str) -> Ramp {
        if ramp.steps.is_empty() {
            self.fault(
                format!("{path}.steps"),
                "expected at least one step, such as {at: 2026-11-23T09:00:00Z, weight: 10}",
            );
        }
        for (index, pair) in ramp.steps.windows(2).enumerate() {
            if let [earlier, later] = pair
                && later.at <= earlier.at
            {
                self.fault(format!("{path}.steps[{}].at", index + 1), "expected a time after that of the step before");
            }
        }
        self.freezes(&ramp.freezes, &format!("{path}.freezes"));
        Ramp::new(ramp, self.freezes)
    }

    fn brake(&mut self, brake: &config::Brake, path: &str) {
        match (brake.error_rate, brake.latency) {
            (None, None) => self.fault(path, "expected an `errorRate`, such as 0.05, or a `latency`, such as 500ms"),
            (Some(rate), _) => {
                self.part(rate, 1.0, &format!("{path}.errorRate"));
            }
            _ => {}
        }
        self.part(brake.slow_rate, 1.0, &format!("{path}.slowRate"));
        if brake.window.nanoseconds < 1_000_000_000 {
            self.fault(format!("{path}.window"), "expected at least 1s");
        }
    }

    fn default_version(&mut self, model: &ModelEntry, variants: &[Variant], path: &str) -> Positions {
        let Some(ScalarText(wanted)) = &model.default_version else { return Positions::of(variants, |_| true) };
        let number = |variant: &Variant| std::str::from_utf8(variant.version.as_deref()?).ok()?.parse::<u64>().ok();
        let path = format!("{path}.defaultVersion");
        let chosen = if wanted == LATEST {
            let highest = variants.iter().filter_map(number).max();
            Positions::of(variants, |variant| highest.is_some() && number(variant) == highest)
        } else {
            let wanted = wanted.as_bytes();
            Positions::of(variants, |variant| {
                variant.version.as_deref() == Some(wanted) || variant.version_labels.iter().any(|label| label == wanted)
            })
        };
        if chosen.is_empty() {
            let expected = if wanted == LATEST {
                "a variant with a whole number as its version"
            } else {
                "a version or a version label of a variant"
            };
            self.fault(path, format!("expected {expected}, there is none for '{wanted}'"));
        }
        chosen
    }

    fn sticky_keys(&mut self, model: &ModelEntry, path: &str) -> Keys {
        let Some(sticky) = &model.sticky else { return Keys::default() };
        if sticky.by.is_empty() && sticky.cookie.is_none() {
            self.fault(format!("{path}.sticky.by"), "expected at least one key, such as {header: x-user-id}");
        }
        let mut keys = self.keys(&sticky.by, &format!("{path}.sticky.by"));
        if let Some(cookie) = &sticky.cookie {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if cookie.name.is_empty() || !cookie.name.bytes().all(is_token) {
                self.fault(
                    format!("{path}.sticky.cookie.name"),
                    format!("expected a cookie's name, got '{}'", cookie.name),
                );
            }
            keys.0.push(Key::Cookie(cookie.name.as_bytes().to_vec()));
        }
        keys
    }

    pub(super) fn keys(&mut self, keys: &[StickyKey], path: &str) -> Keys {
        let mut compiled = Vec::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if let StickyKey::Cookie(name) | StickyKey::Parameter(name) | StickyKey::Claim(name) = key {
                self.header_value(name, &path);
            }
            compiled.push(match key {
                StickyKey::Header(name) => {
                    self.header_name(name, &path);
                    Key::Header(name.to_ascii_lowercase().into_bytes())
                }
                StickyKey::Cookie(name) => Key::Cookie(name.as_bytes().to_vec()),
                StickyKey::Claim(name) => Key::Claim(name.as_bytes().to_vec()),
                StickyKey::Parameter(name) => Key::Parameter(self.parameter_number(name), name.as_bytes().to_vec()),
                StickyKey::RequestId => Key::RequestId,
                StickyKey::SourceAddress => Key::SourceAddress,
            });
        }
        Keys(compiled)
    }

    fn shadow_settings(&mut self, model: &ModelEntry, path: &str) -> Option<Shadow> {
        let shadow = model.shadow.as_ref()?;
        let part = self.part(shadow.percent, 100.0, &format!("{path}.percent"));
        match model.variants.iter().position(|variant| variant.name == shadow.variant) {
            Some(position) => Some(Shadow { position, part }),
            None => {
                self.fault(format!("{path}.variant"), format!("there is no variant '{}'", shadow.variant));
                None
            }
        }
    }

    /// Envoy's mirror sends the path and the message of the original: the upstream of the copy must be able to
    /// tell its model by other means.
    pub(super) fn shadow(&mut self, entry: &Entry, rewrite: Rewrite, path: &str) {
        let Some(shadow) = entry.shadow.as_ref().and_then(|shadow| entry.variants.get(shadow.position)) else { return };
        if shadow.cluster.is_none() {
            self.fault(
                format!("{path}.variant"),
                "expected a variant with a `cluster`: the gateway's mirroring goes by it",
            );
        }
        let is_same = |variant: &Variant| variant.model == shadow.model && variant.version == shadow.version;
        if rewrite != Rewrite::Headers && !entry.variants.iter().all(is_same) {
            self.fault(
                path,
                "the copy has the path and the message of the original, so its upstream could not tell that another model is \
                 meant; give the shadow the same `model` and `version` as the others, in a cluster of its own, or set \
                 `rewrite: Headers` where upstreams go by x-modelway-target, as Modelway's runtime does",
            );
        }
    }
}

impl Variant {
    fn named(name: &[u8]) -> Self {
        Self {
            number: 0,
            name: name.to_vec(),
            model: None,
            version: None,
            version_labels: Vec::new(),
            pool: None,
            affinity: None,
            cluster: None,
            authority: None,
            brake: None,
        }
    }
}
