//! What the configuration says of a variant's part in a split.

use modelway_decision::config::Variant;

/// Its weight, before its ramp begins.
pub(crate) fn weight(variant: &Variant) -> f64 {
    let default = if variant.ramp.is_some() { 0.0 } else { 1.0 };
    variant.weight.map_or(default, |weight| weight.0)
}

/// The greatest weight that it has at any time.
pub(crate) fn greatest_weight(variant: &Variant) -> f64 {
    let steps = variant.ramp.iter().flat_map(|ramp| &ramp.steps);
    steps.map(|step| step.weight.0).fold(weight(variant), f64::max)
}
