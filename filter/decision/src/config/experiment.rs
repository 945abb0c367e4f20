//! Experiments and the layers that they share.

use std::collections::BTreeMap;

use super::read::settings;
use super::{ScalarText, StickyKey, Weight};

settings! {
    /// Units (users, sessions) that are given to arms, over one model or several.
    pub struct Experiment {
        /// The experiment's name, in exposure records.
        pub name: String [required],
        /// What identifies a unit; the first one that the request has. A request with none of them is not in it.
        pub by: Vec<StickyKey> [required],
        /// Experiments with different salts are independent. Default: the name.
        pub salt: Option<String>,
        /// The layer whose units it shares with others. Experiments over the same model must be in one layer.
        pub layer: Option<String>,
        /// The part of the layer's units that is in the experiment. Default: all of them.
        pub traffic: Traffic,
        /// Percent of its units that get no arm, for comparison. Growing it only takes units out. Default 0.
        pub hold_out: f64,
        /// Units that are in it whatever `traffic` says.
        pub allow: Vec<ScalarText>,
        /// Units that are never in it.
        pub deny: Vec<ScalarText>,
        /// Its arms.
        pub arms: Vec<Arm> [required],
    }
}

settings! {
    /// One side of an experiment.
    pub struct Arm {
        /// The arm's name, in exposure records.
        pub name: String [required],
        /// Its part of the experiment's units, relative to the other arms'. Default 1.
        pub weight: Weight,
        /// For each model, by its entry's name, the variant that the arm's units get.
        pub variants: BTreeMap<String, String> [required],
        /// Units that always get this arm.
        pub allow: Vec<ScalarText>,
    }
}

settings! {
    /// A stretch of a layer's units, in percent. Stretches of a layer's experiments must not overlap, and
    /// moving an end only moves the units between the old end and the new.
    #[derive(Copy)]
    pub struct Traffic {
        /// Where it begins. Default 0.
        pub from: f64,
        /// Where it ends. Default 100.
        pub to: f64 [or hundred "hundred"],
    }
}

settings! {
    /// Units that several experiments share, each unit in at most one of them.
    pub struct Layer {
        /// The layer's name.
        pub name: String [required],
        /// Layers with different salts are independent. Default: the name.
        pub salt: Option<String>,
        /// Percent of all units that are in none of its experiments. Default 0.
        pub hold_out: f64,
    }
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
