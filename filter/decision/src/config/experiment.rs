//! Experiments and the layers that they share.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ScalarText, StickyKey, Weight};

/// Units (users, sessions) that are given to arms, over one model or several.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Experiment {
    /// The experiment's name, in exposure records.
    pub name: String,
    /// What identifies a unit; the first one that the request has. A request with none of them is not in it.
    pub by: Vec<StickyKey>,
    /// Experiments with different salts are independent. Default: the name.
    #[serde(default)]
    pub salt: Option<String>,
    /// The layer whose units it shares with others. Experiments over the same model must be in one layer.
    #[serde(default)]
    pub layer: Option<String>,
    /// The part of the layer's units that is in the experiment. Default: all of them.
    #[serde(default)]
    pub traffic: Traffic,
    /// Percent of its units that get no arm, for comparison. Growing it only takes units out. Default 0.
    #[serde(default)]
    pub hold_out: f64,
    /// Units that are in it whatever `traffic` says.
    #[serde(default)]
    pub allow: Vec<ScalarText>,
    /// Units that are never in it.
    #[serde(default)]
    pub deny: Vec<ScalarText>,
    /// Its arms.
    pub arms: Vec<Arm>,
}

/// One side of an experiment.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Arm {
    /// The arm's name, in exposure records.
    pub name: String,
    /// Its part of the experiment's units, relative to the other arms'. Default 1.
    #[serde(default)]
    pub weight: Weight,
    /// For each model, by its entry's name, the variant that the arm's units get.
    pub variants: BTreeMap<String, String>,
    /// Units that always get this arm.
    #[serde(default)]
    pub allow: Vec<ScalarText>,
}

/// A stretch of a layer's units, in percent. Stretches of a layer's experiments must not overlap, and
/// moving an end only moves the units between the old end and the new.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Traffic {
    /// Where it begins. Default 0.
    #[serde(default)]
    pub from: f64,
    /// Where it ends. Default 100.
    #[serde(default = "hundred")]
    pub to: f64,
}

/// Units that several experiments share, each unit in at most one of them.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Layer {
    /// The layer's name.
    pub name: String,
    /// Layers with different salts are independent. Default: the name.
    #[serde(default)]
    pub salt: Option<String>,
    /// Percent of all units that are in none of its experiments. Default 0.
    #[serde(default)]
    pub hold_out: f64,
}

// === impl Traffic ===

impl Default for Traffic {
    fn default() -> Self {
        Self { from: 0.0, to: hundred() }
    }
}

fn hundred() -> f64 {
    100.0
}
