//! Whether one of sixteen bytes is one of those that end a scan: in one vector where there are any, else in two words.

#[cfg(target_feature = "simd128")]
use core::arch::wasm32::{u8x16_eq, u8x16_splat, u64x2, v128, v128_any_true, v128_or};

/// Sixteen bytes.
pub(super) type Block = [u8; 16];

/// A string, a bracket, or what JSON has no use for; see [`super::structure`].
#[cfg(target_feature = "simd128")]
#[inline(always)]
pub(super) fn has_structure(block: &Block) -> bool {
    let block = vector(block);
    let quotes = v128_or(equal(block, 0x01, b'#'), equal(block, 0x08, b'/'));
    v128_any_true(v128_or(equal(block, 0x26, 0x7f), quotes))
}

/// The end of a string, or an escape.
#[cfg(target_feature = "simd128")]
#[inline(always)]
pub(super) fn has_end(block: &Block) -> bool {
    let block = vector(block);
    v128_any_true(v128_or(equal(block, 0, b'"'), equal(block, 0, b'\\')))
}

#[cfg(target_feature = "simd128")]
#[inline(always)]
fn vector(block: &Block) -> v128 {
    let both = u128::from_le_bytes(*block);
    u64x2(both as u64, (both >> 64) as u64)
}

/// Which bytes are this one once these bits are set.
#[cfg(target_feature = "simd128")]
#[inline(always)]
fn equal(block: v128, bits: u8, byte: u8) -> v128 {
    u8x16_eq(v128_or(block, u8x16_splat(bits)), u8x16_splat(byte))
}

/// A string, a bracket, or what JSON has no use for; see [`super::structure`].
#[cfg(not(target_feature = "simd128"))]
pub(super) fn has_structure(block: &Block) -> bool {
    has(block, super::structure)
}

/// The end of a string, or an escape.
#[cfg(not(target_feature = "simd128"))]
pub(super) fn has_end(block: &Block) -> bool {
    has(block, super::end)
}

#[cfg(not(target_feature = "simd128"))]
fn has(block: &Block, marks: impl Fn(u64) -> u64) -> bool {
    let words = block.as_chunks::<8>().0;
    words.iter().fold(0, |found, word| found | marks(u64::from_le_bytes(*word))) != 0
}
