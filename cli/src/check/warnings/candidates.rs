//! What the version that a request names leaves to choose from.
//!
//! Those of that version, else those that have it as a label, else those that name none; without a
//! version the default ones. What can be reached is asked for each of these sets.

use modelway_decision::config::{ModelEntry, ScalarText, Variant};

/// A set of variants among which a request may have to choose.
pub(super) struct Candidates {
    asked: AskedFor,
    /// By their positions.
    pub(super) variants: Vec<usize>,
}

enum AskedFor {
    Nothing,
    /// A version or a label that a variant has.
    Version(String),
    /// A version that none has.
    Other,
}

/// Every set for a model.
pub(super) fn of(model: &ModelEntry) -> Vec<Candidates> {
    let positions = |wanted: &dyn Fn(&Variant) -> bool| -> Vec<usize> {
        model.variants.iter().enumerate().filter(|(_, variant)| wanted(variant)).map(|(position, _)| position).collect()
    };
    let mut sets = vec![Candidates { asked: AskedFor::Nothing, variants: by_default(model) }];
    let versions =
        model.variants.iter().filter_map(|variant| variant.version.as_ref().map(|version| version.0.as_str()));
    let labels = model.variants.iter().flat_map(|variant| variant.version_labels.iter().map(String::as_str));
    let mut seen = Vec::new();
    for name in versions.clone().chain(labels) {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let of_version = positions(&|variant| variant.version.as_ref().is_some_and(|version| version.0 == name));
        let of_label = positions(&|variant| variant.version_labels.iter().any(|label| label == name));
        let variants = if of_version.is_empty() { of_label } else { of_version };
        sets.push(Candidates { asked: AskedFor::Version(name.to_owned()), variants });
    }
    let unversioned = positions(&|variant| variant.version.is_none());
    if !unversioned.is_empty() {
        sets.push(Candidates { asked: AskedFor::Other, variants: unversioned });
    }
    sets
}

fn by_default(model: &ModelEntry) -> Vec<usize> {
    let all = model.variants.iter().enumerate();
    let Some(ScalarText(wanted)) = &model.default_version else { return all.map(|(position, _)| position).collect() };
    let number = |variant: &Variant| variant.version.as_ref().and_then(|version| version.0.parse::<u64>().ok());
    let highest = model.variants.iter().filter_map(number).max();
    let is_default = |variant: &Variant| match wanted.as_str() {
        "latest" => number(variant) == highest,
        wanted => {
            variant.version.as_ref().is_some_and(|version| version.0 == wanted)
                || variant.version_labels.iter().any(|label| label == wanted)
        }
    };
    all.filter(|(_, variant)| is_default(variant)).map(|(position, _)| position).collect()
}

// === impl Candidates ===

impl Candidates {
    /// Whether a request that leaves these can ask for one of `versions`; none: any will do.
    pub(super) fn allows(&self, versions: &[ScalarText], model: &ModelEntry) -> bool {
        if versions.is_empty() {
            return true;
        }
        let is_listed = |asked: &ScalarText| {
            model
                .variants
                .iter()
                .any(|variant| variant.version.as_ref() == Some(asked) || variant.version_labels.contains(&asked.0))
        };
        match &self.asked {
            AskedFor::Nothing => false,
            AskedFor::Version(asked) => versions.iter().any(|version| version.0 == *asked),
            AskedFor::Other => versions.iter().any(|version| !is_listed(version)),
        }
    }

    /// Who of these can win a split: those with a weight, or the first if none has one.
    pub(super) fn winners(&self, split: &[(usize, f64)]) -> Vec<usize> {
        let among: Vec<&(usize, f64)> = split.iter().filter(|(position, _)| self.variants.contains(position)).collect();
        if among.iter().any(|(_, weight)| *weight > 0.0) {
            return among.iter().filter(|(_, weight)| *weight > 0.0).map(|(position, _)| *position).collect();
        }
        among.first().map(|(position, _)| *position).into_iter().collect()
    }
}
