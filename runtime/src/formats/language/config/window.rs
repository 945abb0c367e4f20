//! Layers of which a query sees only so many positions.

use super::Rotary;
use crate::formats::LoadError;

#[derive(Clone, Debug, PartialEq)]
pub(in crate::formats::language) struct Window {
    /// How many, the query's own and those right before it.
    pub(in crate::formats::language) positions: usize,
    /// Whether a layer is one of them, for each.
    pub(in crate::formats::language) layers: Vec<bool>,
    /// How positions turn in these layers, if in another way than elsewhere.
    pub(in crate::formats::language) rotary: Option<Rotary>,
}

// === impl Window ===

impl Window {
    /// `layer_types` says which layers; files from before it leave that to the family.
    pub(super) fn read(
        positions: Option<usize>,
        layers: usize,
        layer_types: Option<&[String]>,
        otherwise: impl Fn(usize) -> bool,
    ) -> Result<Option<Self>, LoadError> {
        let malformed = |text: String| Err(LoadError::Malformed(text));
        let layers: Vec<bool> = match layer_types {
            None => (0..layers).map(otherwise).collect(),
            Some(types) if types.len() == layers => {
                types.iter().map(|kind| is_windowed(kind)).collect::<Result<_, _>>()?
            }
            Some(types) => return malformed(format!("layer_types: expected {layers}, got {}", types.len())),
        };
        match positions {
            Some(0) => malformed("sliding_window: expected at least 1, got 0".to_owned()),
            Some(positions) if layers.contains(&true) => Ok(Some(Self { positions, layers, rotary: None })),
            _ => Ok(None),
        }
    }
}

pub(in crate::formats::language) fn is_windowed(kind: &str) -> Result<bool, LoadError> {
    match kind {
        "full_attention" => Ok(false),
        "sliding_attention" => Ok(true),
        other => {
            let text = format!("layer_types: expected full_attention or sliding_attention, got '{other}'");
            Err(LoadError::Unsupported(text))
        }
    }
}
