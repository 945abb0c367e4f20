//! Vectors of numbers: one trait, of which every kernel is written once, and one type for each set
//! of instructions.
//!
//! A value of such a type is the proof that the machine has the instructions: it is only made by
//! `enter`, which `Instructions::run` calls. That is why arithmetic is safe to call; only what takes
//! a pointer is not.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
mod math;
mod portable;

pub(crate) use math::{ROUND, erfcx, exp, tanh};
pub(crate) use portable::Portable;

use half::{bf16, f16};

/// The most lanes that any set of instructions has.
pub(crate) const MAX_LANES: usize = 16;

/// Vectors of `LANES` f32, of as many i32, and of four times as many bytes.
pub(crate) trait Simd: Copy + Send + Sync {
    /// `LANES` f32.
    type Floats: Copy;
    /// `LANES` i32.
    type Integers: Copy;
    /// `4 * LANES` bytes, in the form that `dot` takes weights in.
    type Weights: Copy;
    /// Four activations, in every lane.
    type Quad: Copy;

    const LANES: usize;
    /// Rows for which two accumulators each fit into registers beside two weights.
    const FLOAT_ROWS: usize;
    /// The same for the 8-bit kernel.
    const INT8_ROWS: usize;

    fn splat(self, value: f32) -> Self::Floats;

    /// # Safety
    /// `LANES` values must be readable.
    unsafe fn load(self, from: *const f32) -> Self::Floats;
    /// # Safety
    /// `LANES` values must be readable.
    unsafe fn load_f16(self, from: *const f16) -> Self::Floats;
    /// # Safety
    /// `LANES` values must be readable.
    unsafe fn load_bf16(self, from: *const bf16) -> Self::Floats;
    /// # Safety
    /// `LANES` values must be writable.
    unsafe fn store(self, to: *mut f32, values: Self::Floats);
    /// # Safety
    /// `LANES` bytes must be writable.
    unsafe fn store_lowest_bytes(self, to: *mut i8, values: Self::Floats);
    /// Asks for a cache line ahead of its use, into the second cache. Any address is allowed: it is only a hint.
    fn prefetch(self, from: *const u8);

    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn sub(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn div(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b + c`, in one rounding where the machine can.
    fn fma(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// The greater one; `b` if either is NaN.
    fn max(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// The lesser one; `b` if either is NaN.
    fn min(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn abs(self, a: Self::Floats) -> Self::Floats;
    /// `negative` where `sign` is less than zero (or is -0), `positive` elsewhere.
    fn by_sign(self, sign: Self::Floats, negative: Self::Floats, positive: Self::Floats) -> Self::Floats;
    /// `a * 2^n` for whole `n` in -252..=254.
    fn scale(self, a: Self::Floats, n: Self::Floats) -> Self::Floats;

    /// The sum of all lanes: the upper half is added to the lower one until one lane is left.
    fn sum_lanes(self, a: Self::Floats) -> f32;
    /// The greatest of all lanes, none of which is NaN.
    fn greatest_lane(self, a: Self::Floats) -> f32;

    /// What `dot` has to start with, for activations whose sum is `activations`: some instructions
    /// take weights only without a sign, so that each counts 128 too much.
    fn start(self, activations: i32) -> Self::Integers;
    /// # Safety
    /// `4 * LANES` bytes must be readable.
    unsafe fn load_weights(self, from: *const u8) -> Self::Weights;
    /// # Safety
    /// 4 bytes must be readable.
    unsafe fn load_quad(self, from: *const i8) -> Self::Quad;
    /// Adds to each lane the products of its four weights with the four activations.
    fn dot(self, sum: Self::Integers, weights: Self::Weights, activations: Self::Quad) -> Self::Integers;
    fn to_floats(self, a: Self::Integers) -> Self::Floats;

    /// The first `LANES` values of `from`.
    #[inline(always)]
    fn read(self, from: &[f32]) -> Self::Floats {
        assert!(from.len() >= Self::LANES, "a vector's worth of values");
        // SAFETY: as many values as are read, by the assertion.
        unsafe { self.load(from.as_ptr()) }
    }

    /// Writes the first `LANES` values of `to`.
    #[inline(always)]
    fn write(self, to: &mut [f32], values: Self::Floats) {
        assert!(to.len() >= Self::LANES, "a vector's worth of values");
        // SAFETY: as many values as are written, by the assertion.
        unsafe { self.store(to.as_mut_ptr(), values) }
    }

    /// Writes the lowest byte of each value's bits.
    #[inline(always)]
    fn write_lowest_bytes(self, to: &mut [i8], values: Self::Floats) {
        assert!(to.len() >= Self::LANES, "a vector's worth of values");
        // SAFETY: as many bytes as are written, by the assertion.
        unsafe { self.store_lowest_bytes(to.as_mut_ptr(), values) }
    }
}

/// A type that weights are kept in, exactly representable in f32.
pub(crate) trait Float: crate::buffer::Plain {
    /// # Safety
    /// `LANES` values must be readable.
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::Floats;

    fn from_f32(value: f32) -> Self;

    fn to_f32(self) -> f32;

    /// The values themselves, if they are f32.
    fn as_f32(_values: &[Self]) -> Option<&[f32]> {
        None
    }
}

impl Float for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe { simd.load(from) }
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    fn as_f32(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }
}

impl Float for f16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe { simd.load_f16(from) }
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        f16::from_f32(value)
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
}

impl Float for bf16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::Floats {
        // SAFETY: the caller's promise.
        unsafe { simd.load_bf16(from) }
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        bf16::from_f32(value)
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        bf16::to_f32(self)
    }
}
