//! Keys and values of one layer and one text, on a device.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

/// Positions by which the room grows.
const BLOCK: usize = 64;

/// Positions are only ever added. A clone shares what there is, and copies it when it adds to it.
#[derive(Clone, Debug)]
pub(in crate::formats::language) struct KeyValues {
    device: Device,
    heads: usize,
    width: usize,
    length: usize,
    room: Option<Arc<Room>>,
}

/// Each `[heads, positions that there is room for, width]`.
#[derive(Debug)]
struct Room {
    keys: Tensor,
    values: Tensor,
    positions: usize,
}

// === impl KeyValues ===

impl KeyValues {
    pub(in crate::formats::language) fn new(device: &Device, heads: usize, width: usize) -> Self {
        Self { device: device.clone(), heads, width, length: 0, room: None }
    }

    pub(in crate::formats::language) fn device(&self) -> &Device {
        &self.device
    }

    pub(in crate::formats::language) fn heads(&self) -> usize {
        self.heads
    }

    pub(in crate::formats::language) fn width(&self) -> usize {
        self.width
    }

    pub(in crate::formats::language) fn len(&self) -> usize {
        self.length
    }

    pub(in crate::formats::language) fn size_bytes(&self) -> usize {
        // Of room that others share, as much as it would take by itself.
        let positions = match &self.room {
            Some(room) if Arc::strong_count(room) == 1 => room.positions,
            Some(_) => self.length,
            None => 0,
        };
        Self::bytes_for(self.heads, self.width, positions)
    }

    pub(in crate::formats::language) fn bytes_for(heads: usize, width: usize, positions: usize) -> usize {
        2 * heads * width * positions.next_multiple_of(BLOCK) * size_of::<f32>()
    }

    /// One that begins with so many positions of this one.
    pub(in crate::formats::language) fn prefix(&self, length: usize) -> Self {
        Self { length: length.min(self.length), ..self.clone() }
    }

    /// Adds positions: keys and values as `[heads, positions, width]`.
    pub(in crate::formats::language) fn append(&mut self, keys: &Tensor, values: &Tensor) -> Result<()> {
        let (_, added, _) = keys.dims3()?;
        let wanted = self.length + added;
        let is_own = self.room.as_mut().and_then(Arc::get_mut).is_some_and(|room| room.positions >= wanted);
        if !is_own {
            self.room = Some(Arc::new(self.grown(wanted.next_multiple_of(BLOCK))?));
        }
        if let Some(room) = &self.room {
            room.keys.slice_set(&keys.contiguous()?, 1, self.length)?;
            room.values.slice_set(&values.contiguous()?, 1, self.length)?;
        }
        self.length = wanted;
        Ok(())
    }

    /// All keys and values, each `[heads, positions, width]`.
    pub(in crate::formats::language) fn all(&self) -> Result<(Tensor, Tensor)> {
        match &self.room {
            Some(room) => Ok((room.keys.narrow(1, 0, self.length)?, room.values.narrow(1, 0, self.length)?)),
            None => {
                let none = Tensor::zeros((self.heads, 0, self.width), DType::F32, &self.device)?;
                Ok((none.clone(), none))
            }
        }
    }

    /// More room, or room of its own, with what there is.
    fn grown(&self, positions: usize) -> Result<Room> {
        let grown = |tensor: Option<&Tensor>| -> Result<Tensor> {
            let room = Tensor::zeros((self.heads, positions, self.width), DType::F32, &self.device)?;
            if let Some(tensor) = tensor.filter(|_| self.length > 0) {
                room.slice_set(&tensor.narrow(1, 0, self.length)?.contiguous()?, 1, 0)?;
            }
            Ok(room)
        };
        let room = self.room.as_deref();
        Ok(Room { keys: grown(room.map(|room| &room.keys))?, values: grown(room.map(|room| &room.values))?, positions })
    }
}
