//! Plain loops over eight values, which compilers turn into what the target has (SSE2, NEON).

use super::Simd;
use half::{bf16, f16};

const LANES: usize = 8;

/// Needs nothing of the machine.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// Whether a fused multiply-add is an instruction of the target, and not a call of the C library.
const FUSED: bool = cfg!(target_arch = "aarch64");

#[inline(always)]
fn map2(a: [f32; LANES], b: [f32; LANES], function: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    let mut result = [0.0; LANES];
    for lane in 0..LANES {
        result[lane] = function(a[lane], b[lane]);
    }
    result
}

/// The upper half into the lower one, until one lane is left.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], function: impl Fn(f32, f32) -> f32) -> f32 {
    let mut count = LANES;
    while count > 1 {
        count /= 2;
        for lane in 0..count {
            lanes[lane] = function(lanes[lane], lanes[lane + count]);
        }
    }
    lanes[0]
}

/// 2^n for n in -126..=127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

/// f16 to f32 without branches, so that it becomes vector code; half's own asks for instructions each time.
#[inline(always)]
fn widen(value: f16) -> f32 {
    let bits = u32::from(value.to_bits());
    // The exponents differ by 112; a multiplication also normalises what is subnormal.
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((112 + 127) << 23);
    let infinite = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(magnitude.to_bits() | infinite | (bits & 0x8000) << 16)
}

// === impl Portable ===

impl Simd for Portable {
    type Floats = [f32; LANES];
    type Integers = [i32; LANES];
    type Weights = [u8; 4 * LANES];
    type Quad = [i8; 4];

    const LANES: usize = LANES;
    const FLOAT_ROWS: usize = 3;
    const INT8_ROWS: usize = 3;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Floats {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::Floats {
        // SAFETY: the caller's promise; no alignment is asked for.
        unsafe { from.cast::<[f32; LANES]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> Self::Floats {
        // SAFETY: the caller's promise; no alignment is asked for.
        unsafe { from.cast::<[f16; LANES]>().read_unaligned() }.map(widen)
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::Floats {
        // SAFETY: the caller's promise; no alignment is asked for.
        let values = unsafe { from.cast::<[bf16; LANES]>().read_unaligned() };
        values.map(|value| f32::from_bits(u32::from(value.to_bits()) << 16))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, values: Self::Floats) {
        // SAFETY: the caller's promise; no alignment is asked for.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(values) }
    }

    #[inline(always)]
    unsafe fn store_lowest_bytes(self, to: *mut i8, values: Self::Floats) {
        // SAFETY: the caller's promise; bytes need no alignment.
        unsafe { to.cast::<[i8; LANES]>().write(values.map(|value| value.to_bits() as i8)) }
    }

    #[inline(always)]
    fn prefetch(self, _from: *const u8) {}

    #[inline(always)]
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        map2(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        map2(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        map2(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        map2(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn fma(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        let mut result = c;
        for lane in 0..LANES {
            result[lane] = if FUSED { a[lane].mul_add(b[lane], c[lane]) } else { a[lane] * b[lane] + c[lane] };
        }
        result
    }

    #[inline(always)]
    fn max(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        map2(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        map2(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn abs(self, a: Self::Floats) -> Self::Floats {
        a.map(f32::abs)
    }

    #[inline(always)]
    fn by_sign(self, sign: Self::Floats, negative: Self::Floats, positive: Self::Floats) -> Self::Floats {
        let mut result = positive;
        for lane in 0..LANES {
            if sign[lane].is_sign_negative() {
                result[lane] = negative[lane];
            }
        }
        result
    }

    #[inline(always)]
    fn scale(self, a: Self::Floats, n: Self::Floats) -> Self::Floats {
        // In two steps, since 2^n itself may be out of range.
        map2(a, n, |a, n| {
            let n = n as i32;
            let half = n >> 1;
            a * power_of_two(half) * power_of_two(n - half)
        })
    }

    #[inline(always)]
    fn sum_lanes(self, a: Self::Floats) -> f32 {
        fold(a, |a, b| a + b)
    }

    #[inline(always)]
    fn greatest_lane(self, a: Self::Floats) -> f32 {
        // Not `f32::max`, which is several instructions for the sake of NaN.
        fold(a, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn start(self, _activations: i32) -> Self::Integers {
        [0; LANES]
    }

    #[inline(always)]
    unsafe fn load_weights(self, from: *const u8) -> Self::Weights {
        // SAFETY: the caller's promise; bytes need no alignment.
        unsafe { from.cast::<[u8; 4 * LANES]>().read() }
    }

    #[inline(always)]
    unsafe fn load_quad(self, from: *const i8) -> Self::Quad {
        // SAFETY: the caller's promise; bytes need no alignment.
        unsafe { from.cast::<[i8; 4]>().read() }
    }

    #[inline(always)]
    fn dot(self, sum: Self::Integers, weights: Self::Weights, activations: Self::Quad) -> Self::Integers {
        let mut result = sum;
        for lane in 0..LANES {
            for part in 0..4 {
                let weight = i32::from(weights[4 * lane + part]) - 128;
                result[lane] += weight * i32::from(activations[part]);
            }
        }
        result
    }

    #[inline(always)]
    fn to_floats(self, a: Self::Integers) -> Self::Floats {
        a.map(|value| value as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_widened_exactly() {
        for bits in 0..=u16::MAX {
            let half = f16::from_bits(bits);
            let (ours, expected) = (widen(half), half.to_f32());
            assert!(ours.to_bits() == expected.to_bits() || ours.is_nan() && expected.is_nan(), "{bits:#x}");
        }
    }
}
