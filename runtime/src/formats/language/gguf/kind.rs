//! What a tensor's values are: floats, or blocks of a few bits for each and scales.
//!
//! Numbers and layouts are ggml's (`ggml_type`); candle has the arithmetic of the blocks.

use std::borrow::Cow;
use std::io;

use candle_core::CpuStorage;
use candle_core::quantized::GgmlDType;
use modelway_kernels::Precision;

/// How values are stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::formats::language) struct Kind {
    name: &'static str,
    dtype: GgmlDType,
}

/// Those that are served, by ggml's number.
const SERVED: [(u32, Kind); 13] = [
    (0, Kind::new("F32", GgmlDType::F32)),
    (1, Kind::new("F16", GgmlDType::F16)),
    (30, Kind::new("BF16", GgmlDType::BF16)),
    (8, Kind::new("Q8_0", GgmlDType::Q8_0)),
    (2, Kind::new("Q4_0", GgmlDType::Q4_0)),
    (3, Kind::new("Q4_1", GgmlDType::Q4_1)),
    (6, Kind::new("Q5_0", GgmlDType::Q5_0)),
    (7, Kind::new("Q5_1", GgmlDType::Q5_1)),
    (10, Kind::new("Q2_K", GgmlDType::Q2K)),
    (11, Kind::new("Q3_K", GgmlDType::Q3K)),
    (12, Kind::new("Q4_K", GgmlDType::Q4K)),
    (13, Kind::new("Q5_K", GgmlDType::Q5K)),
    (14, Kind::new("Q6_K", GgmlDType::Q6K)),
];

/// Names of others that files have.
const OTHERS: [(u32, &str); 21] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

// === impl Kind ===

impl Kind {
    const fn new(name: &'static str, dtype: GgmlDType) -> Self {
        Self { name, dtype }
    }

    /// By ggml's number.
    ///
    /// # Errors
    /// It is not served; the text says what it is and what is.
    pub(super) fn of(number: u32) -> Result<Self, String> {
        if let Some((_, kind)) = SERVED.iter().find(|(own, _)| *own == number) {
            return Ok(*kind);
        }
        let served: Vec<_> = SERVED.iter().map(|(_, kind)| kind.name).collect();
        let other = OTHERS.iter().find(|(own, _)| *own == number);
        let found = other.map_or_else(|| format!("the type {number}"), |(_, name)| (*name).to_owned());
        Err(format!("{found}, expected one of {}", served.join(", ")))
    }

    #[cfg(test)]
    pub(super) fn number(self) -> u32 {
        SERVED.iter().find(|(_, kind)| *kind == self).map_or(u32::MAX, |(number, _)| *number)
    }

    /// Values of a block.
    pub(super) fn block(self) -> usize {
        self.dtype.block_size()
    }

    /// Bytes of so many values, if these are whole blocks.
    pub(super) fn bytes(self, values: usize) -> Option<usize> {
        let blocks = values.is_multiple_of(self.block()).then(|| values / self.block())?;
        blocks.checked_mul(self.dtype.type_size())
    }

    /// What holds its values as near as need be: blocks have at most 8 bits a value.
    pub(in crate::formats::language) fn precision(self) -> Precision {
        match self.dtype {
            GgmlDType::F32 => Precision::F32,
            GgmlDType::F16 => Precision::F16,
            GgmlDType::BF16 => Precision::Bf16,
            _ => Precision::Int8,
        }
    }

    /// The values of these bytes.
    pub(super) fn decode(self, bytes: &[u8], to: &mut [f32]) -> io::Result<()> {
        if to.is_empty() {
            return Ok(());
        }
        // candle asserts what holds only if this does.
        if self.bytes(to.len()) != Some(bytes.len()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let values = self.dtype.from_data(Cow::Borrowed(bytes)).dequantize(to.len()).map_err(io::Error::other)?;
        match values {
            CpuStorage::F32(values) if values.len() == to.len() => {
                to.copy_from_slice(&values);
                Ok(())
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
