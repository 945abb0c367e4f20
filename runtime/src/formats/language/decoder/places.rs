//! What positions mean to attention, in each layer of a step.

use modelway_kernels::Attention;

use super::{Row, Span};
use crate::formats::language::compute::{ComputeError, Processor, Rotations, Sight};
use crate::formats::language::config::{Config, Positions, Rotary, Window};

/// For all layers.
pub(super) struct Places<'a> {
    /// Of layers without a window.
    attention: Attention<'a>,
    window: Option<&'a Window>,
    rotations: Option<Rotations>,
    /// Of layers with a window, if others.
    windowed: Option<Rotations>,
    /// On a device: what each row sees.
    sights: Vec<Sight>,
}

/// For one layer.
pub(super) struct Place<'a> {
    pub(super) attention: Attention<'a>,
    pub(super) rotations: Option<&'a Rotations>,
    pub(super) sights: &'a [Sight],
}

// === impl Places ===

impl<'a> Places<'a> {
    /// Of the new positions of all rows.
    pub(super) fn new(
        processor: &Processor,
        config: &'a Config,
        slopes: Option<&'a [f32]>,
        rows: &[Row<'_>],
        spans: &[Span],
    ) -> Result<Self, ComputeError> {
        let Config { heads, attention_scale: scale, .. } = *config;
        let of_row = |(row, span): (&Row<'_>, &Span)| row.cache.length()..row.cache.length() + span.length;
        let at: Vec<usize> = rows.iter().zip(spans).flat_map(of_row).collect();
        let turn = |rotary: &Rotary| processor.rotations(&rotary.frequencies, rotary.scale, &at);
        let rotations = match &config.positions {
            Positions::Alibi => None,
            Positions::Rotary(rotary) => Some(turn(rotary)?),
        };
        let window = config.window.as_ref();
        let windowed = window.and_then(|window| window.rotary.as_ref()).map(turn).transpose()?;
        let attention = Attention {
            heads,
            scale,
            cap: config.caps.attention,
            slopes,
            window: None,
            distances: None,
            is_bidirectional: false,
        };
        let before = |(row, span): (&Row<'_>, &Span)| (row.cache.length(), span.length);
        let window_length = window.map(|window| window.positions);
        let sights = match processor {
            Processor::Host => Vec::new(),
            Processor::Device(device) => {
                Sight::of_all(device, rows.iter().zip(spans).map(before), slopes, window_length)?
            }
        };
        Ok(Self { attention, window, rotations, windowed, sights })
    }

    pub(super) fn of(&self, layer: usize) -> Place<'_> {
        let (rotations, sights) = (self.rotations.as_ref(), self.sights.as_slice());
        match self.window {
            Some(window) if window.layers.get(layer).copied().unwrap_or_default() => Place {
                attention: Attention { window: Some(window.positions), ..self.attention },
                rotations: self.windowed.as_ref().or(rotations),
                sights,
            },
            _ => Place { attention: self.attention, rotations, sights },
        }
    }
}
