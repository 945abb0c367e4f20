//! What positions mean to attention, in each layer of a step.

use modelway_kernels::{Attention, Rotations};

use crate::formats::language::config::{Config, Positions, Rotary, Window};

/// For all layers.
pub(super) struct Places<'a> {
    /// Of layers without a window.
    attention: Attention<'a>,
    window: Option<&'a Window>,
    rotations: Option<Rotations>,
    /// Of layers with a window, if others.
    windowed: Option<Rotations>,
}

/// For one layer.
pub(super) struct Place<'a> {
    pub(super) attention: Attention<'a>,
    pub(super) rotations: Option<&'a Rotations>,
}

// === impl Places ===

impl<'a> Places<'a> {
    /// `at` has the place in its text of every new position.
    pub(super) fn new(config: &'a Config, slopes: Option<&'a [f32]>, at: &[usize]) -> Self {
        let Config { heads, attention_scale: scale, .. } = *config;
        let turn = |rotary: &Rotary| Rotations::new(&rotary.frequencies, rotary.scale, at);
        let rotations = match &config.positions {
            Positions::Alibi => None,
            Positions::Rotary(rotary) => Some(turn(rotary)),
        };
        let window = config.window.as_ref();
        let windowed = window.and_then(|window| window.rotary.as_ref()).map(turn);
        let attention = Attention { heads, scale, cap: config.caps.attention, slopes, window: None };
        Self { attention, window, rotations, windowed }
    }

    pub(super) fn of(&self, layer: usize) -> Place<'_> {
        let rotations = self.rotations.as_ref();
        match self.window {
            Some(window) if window.layers.get(layer).copied().unwrap_or_default() => Place {
                attention: Attention { window: Some(window.positions), ..self.attention },
                rotations: self.windowed.as_ref().or(rotations),
            },
            _ => Place { attention: self.attention, rotations },
        }
    }
}
