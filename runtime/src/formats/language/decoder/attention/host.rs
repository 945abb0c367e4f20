//! On the host: heads are read where they stand.

use modelway_kernels::{RotaryLayout, Span as Attending, attend};

use super::{Attention, HeadNorms, Layout};
use crate::formats::language::cache::Layer;
use crate::formats::language::compute::{ComputeError, Rotations, Rows, States};
use crate::formats::language::decoder::places::Place;
use crate::formats::language::decoder::{Row, Span};

impl Attention {
    pub(super) fn on_host(
        &self,
        mut mixed: Rows,
        number: usize,
        rows: &mut [Row<'_>],
        spans: &[Span],
        place: &Place<'_>,
    ) -> Result<Rows, ComputeError> {
        let layout = self.layout;
        if let Some(norms) = &self.head_norms {
            norms.apply(&mut mixed.values, layout)?;
        }
        match place.rotations {
            Some(Rotations::Host(rotations)) => {
                let (queries, half) = (&mut mixed.values, RotaryLayout::HalfSplit);
                rotations.apply(half, queries, layout.row, layout.heads, layout.stride)?;
                let keys = mixed.values.get_mut(layout.key..).unwrap_or_default();
                rotations.apply(half, keys, layout.row, layout.kv_heads, layout.stride)?;
            }
            Some(Rotations::Device { .. }) => return Err(ComputeError::Elsewhere),
            None => {}
        }
        for (row, span) in rows.iter_mut().zip(spans) {
            let own = mixed.values.get(span.start * layout.row..).unwrap_or_default();
            let (keys, values) = (layout.heads_at(own, layout.key), layout.heads_at(own, layout.value));
            row.cache.append(number, span.length, keys, values)?;
        }
        let texts: Vec<Attending<'_>> = rows
            .iter()
            .zip(spans)
            .filter_map(|(row, span)| match row.cache.layers.get(number)? {
                Layer::Host(cache) => Some(Attending { cache, rows: span.length }),
                Layer::Device(_) => None,
            })
            .collect();
        let width = layout.heads * layout.width;
        let mut attended = vec![0.0; mixed.values.len() / layout.row.max(1) * width];
        attend(&place.attention, layout.heads_at(&mixed.values, 0), &texts, &mut attended)?;
        Ok(Rows { values: attended, width })
    }
}

// === impl HeadNorms ===

impl HeadNorms {
    fn apply(&self, mixed: &mut [f32], layout: Layout) -> Result<(), ComputeError> {
        for (norm, first, heads) in [(&self.query, 0, layout.heads), (&self.key, layout.key, layout.kv_heads)] {
            let starts = (0..mixed.len() / layout.row)
                .flat_map(|row| (0..heads).map(move |head| row * layout.row + first + head * layout.stride));
            let mut values = Vec::with_capacity(mixed.len() / layout.row * heads * layout.width);
            for start in starts.clone() {
                values.extend_from_slice(mixed.get(start..start + layout.width).unwrap_or_default());
            }
            let normed = norm.apply(&States::Host(Rows { values, width: layout.width }))?.into_values()?;
            for (start, head) in starts.zip(normed.chunks(layout.width)) {
                mixed.get_mut(start..start + layout.width).unwrap_or_default().copy_from_slice(head);
            }
        }
        Ok(())
    }
}
