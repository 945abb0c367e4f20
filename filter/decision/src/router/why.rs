//! Why a decision is what it is: for testers, the command line and records.

use std::fmt::Write;

use super::Decision;
use crate::config::Timestamp;
use crate::reply::shown;

/// What a variant was chosen by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason<'a> {
    /// The model is not listed: it goes on as it was asked for.
    Unlisted,
    /// The model has one variant.
    Only,
    /// The version asked for leaves this variant, or these.
    Version,
    /// A rule, by its name.
    Rule(&'a [u8]),
    /// An experiment's arm.
    Experiment {
        /// The experiment's name.
        experiment: &'a [u8],
        /// The arm's name.
        arm: &'a [u8],
    },
    /// A tester asked for it.
    Forced,
    /// The model's split.
    Split,
}

/// A unit's part in an experiment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exposure<'a> {
    /// The experiment's name.
    pub experiment: &'a [u8],
    /// The arm's name; none for a unit that is held out.
    pub arm: Option<&'a [u8]>,
    /// The unit's key, hashed with the experiment's salt.
    pub unit: u64,
}

/// Why a decision is what it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Why<'a> {
    /// What the variant was chosen by.
    pub reason: Reason<'a>,
    /// The kind and the name of the key that was drawn by; none where nothing was drawn, or at random.
    pub key: Option<(&'static str, &'a [u8])>,
    /// The unit that was drawn for: the key, hashed with the salt, or random.
    pub draw: Option<u64>,
    /// The variant that it would have got, had that not been braked.
    pub avoided: Option<&'a [u8]>,
}

// === impl Decision ===

impl Decision<'_> {
    /// The decision and its reasons in one line: `variant=canary; reason=split; key=header x-user-id; draw=…`.
    pub fn explanation(&self) -> String {
        let mut text = String::new();
        put(&mut text, "model", &shown(&self.model));
        if let Some(variant) = self.variant {
            put(&mut text, "variant", &shown(variant));
        }
        put(&mut text, "target", &shown(&self.target));
        put(&mut text, "reason", &self.why.reason.text());
        if let Some((kind, name)) = self.why.key {
            put(&mut text, "key", &format!("{kind}{}", shown(name)));
        }
        if let Some(draw) = self.why.draw {
            let by = if self.why.key.is_some() { "" } else { " (random)" };
            put(&mut text, "draw", &format!("{draw:016x}{by}"));
        }
        if let Some(avoided) = self.why.avoided {
            put(&mut text, "braked", &shown(avoided));
        }
        if let Some(shadow) = &self.shadow {
            put(&mut text, "shadow", &shown(shadow.variant));
        }
        text
    }

    /// What an access log needs to join answers with units, as JSON with fixed fields; `None` outside of experiments.
    /// `now` is in nanoseconds since 1970.
    pub fn exposure_record(&self, now: u64) -> Option<String> {
        let exposure = self.exposure.as_ref()?;
        let mut record = String::from("{\"time\":\"");
        let _ = write!(record, "{}", Timestamp { nanoseconds: now });
        record.push('"');
        let reason = if exposure.arm.is_some() { self.why.reason.kind() } else { "held out" };
        let fields = [
            ("experiment", Some(exposure.experiment)),
            ("arm", exposure.arm),
            ("model", Some(&*self.model)),
            ("variant", self.variant),
            ("reason", Some(reason.as_bytes())),
        ];
        for (name, value) in fields {
            let _ = write!(record, ",\"{name}\":");
            match value {
                Some(value) => put_json_text(&mut record, &shown(value)),
                None => record.push_str("null"),
            }
        }
        let _ = write!(record, ",\"unit\":\"{:016x}\"}}", exposure.unit);
        Some(record)
    }
}

// === impl Reason ===

impl Reason<'_> {
    /// One word for its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unlisted => "unlisted",
            Self::Only => "only variant",
            Self::Version => "version",
            Self::Rule(_) => "rule",
            Self::Experiment { .. } => "experiment",
            Self::Forced => "forced",
            Self::Split => "split",
        }
    }

    /// Its kind with the names that belong to it.
    pub fn text(&self) -> String {
        match self {
            Self::Rule(name) => format!("rule '{}'", shown(name)),
            Self::Experiment { experiment, arm } => {
                format!("experiment '{}', arm '{}'", shown(experiment), shown(arm))
            }
            other => other.kind().to_owned(),
        }
    }
}

fn put(text: &mut String, name: &str, value: &str) {
    if !text.is_empty() {
        text.push_str("; ");
    }
    text.push_str(name);
    text.push('=');
    // A header's value has no room for control characters.
    text.extend(value.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }));
}

/// A JSON string with its quotes.
pub(crate) fn put_json_text(json: &mut String, text: &str) {
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            control if control < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(control));
            }
            other => json.push(other),
        }
    }
    json.push('"');
}
