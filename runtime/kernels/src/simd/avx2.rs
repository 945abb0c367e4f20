//! AVX2 with FMA and F16C: 8 lanes, 16 registers.

use super::Simd;
use crate::instructions::Task;
use half::{bf16, f16};
use std::arch::x86_64::*;

/// The proof that the machine has the instructions.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// Runs a task with the instructions enabled.
///
/// # Safety
/// The machine must have them.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn enter<T: Task>(task: T) -> T::Output {
    task.run(Avx2(()))
}

/// # Safety
/// The machine must have AVX2.
#[inline(always)]
pub(super) unsafe fn sum_of_eight(a: __m256) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}

/// # Safety
/// The machine must have AVX2.
#[inline(always)]
pub(super) unsafe fn greatest_of_eight(a: __m256) -> f32 {
    // SAFETY: the caller's promise.
    unsafe {
        let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
        let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
    }
}

// === impl Avx2 ===

impl Simd for Avx2 {
    type Floats = __m256;
    type Integers = __m256i;
    /// Magnitudes, and the weights themselves for their signs.
    type Weights = (__m256i, __m256i);
    type Quad = __m256i;

    const LANES: usize = 8;
    const FLOAT_ROWS: usize = 6;
    const INT8_ROWS: usize = 4;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast())))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, values: Self::Floats) {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe { _mm256_storeu_ps(to, values) }
    }

    #[inline(always)]
    unsafe fn store_lowest_bytes(self, to: *mut i8, values: Self::Floats) {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe {
            // The lowest bytes of four values into the lowest four bytes of each half.
            let order = _mm_set_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 12, 8, 4, 0);
            let bytes = _mm256_shuffle_epi8(_mm256_castps_si256(values), _mm256_broadcastsi128_si256(order));
            let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
            _mm_storel_epi64(to.cast(), _mm_unpacklo_epi32(low, high));
        }
    }

    #[inline(always)]
    fn prefetch(self, from: *const u8) {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    #[inline(always)]
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    fn abs(self, a: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
    }

    #[inline(always)]
    fn by_sign(self, sign: Self::Floats, negative: Self::Floats, positive: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm256_blendv_ps(positive, negative, sign) }
    }

    #[inline(always)]
    fn scale(self, a: Self::Floats, n: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe {
            // In two steps, since 2^n itself may be out of range.
            let n = _mm256_cvtps_epi32(n);
            let half = _mm256_srai_epi32::<1>(n);
            let rest = _mm256_sub_epi32(n, half);
            let bias = _mm256_set1_epi32(127);
            let first = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(half, bias)));
            let second = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_add_epi32(rest, bias)));
            _mm256_mul_ps(_mm256_mul_ps(a, first), second)
        }
    }

    #[inline(always)]
    fn sum_lanes(self, a: Self::Floats) -> f32 {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { sum_of_eight(a) }
    }

    #[inline(always)]
    fn greatest_lane(self, a: Self::Floats) -> f32 {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { greatest_of_eight(a) }
    }

    #[inline(always)]
    fn start(self, _activations: i32) -> Self::Integers {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn load_weights(self, from: *const u8) -> Self::Weights {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe {
            let signed = _mm256_xor_si256(_mm256_loadu_si256(from.cast()), _mm256_set1_epi8(-128));
            (_mm256_abs_epi8(signed), signed)
        }
    }

    #[inline(always)]
    unsafe fn load_quad(self, from: *const i8) -> Self::Quad {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    fn dot(self, sum: Self::Integers, weights: Self::Weights, activations: Self::Quad) -> Self::Integers {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe {
            // Both factors are at most 127, so that two products fit into 16 bits and none saturates.
            let products = _mm256_maddubs_epi16(weights.0, _mm256_sign_epi8(activations, weights.1));
            _mm256_add_epi32(sum, _mm256_madd_epi16(products, _mm256_set1_epi16(1)))
        }
    }

    #[inline(always)]
    fn to_floats(self, a: Self::Integers) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm256_cvtepi32_ps(a) }
    }
}
