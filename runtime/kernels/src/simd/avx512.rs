//! AVX-512 with VNNI: 16 lanes, 32 registers, four 8-bit products a lane in one instruction.

use super::Simd;
use crate::instructions::Task;
use half::{bf16, f16};
use std::arch::x86_64::*;

/// The proof that the machine has the instructions.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

/// Runs a task with the instructions enabled.
///
/// # Safety
/// The machine must have them.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c")]
pub(crate) unsafe fn enter<T: Task>(task: T) -> T::Output {
    task.run(Avx512(()))
}

/// # Safety
/// The machine must have AVX-512 F.
#[inline(always)]
unsafe fn upper_half(a: __m512) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe { _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(a))) }
}

// === impl Avx512 ===

impl Simd for Avx512 {
    type Floats = __m512;
    type Integers = __m512i;
    type Weights = __m512i;
    type Quad = __m512i;

    const LANES: usize = 16;
    const FLOAT_ROWS: usize = 12;
    const INT8_ROWS: usize = 12;

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast())))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, values: Self::Floats) {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe { _mm512_storeu_ps(to, values) }
    }

    #[inline(always)]
    unsafe fn store_lowest_bytes(self, to: *mut i8, values: Self::Floats) {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_castps_si512(values))) }
    }

    #[inline(always)]
    fn prefetch(self, from: *const u8) {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    #[inline(always)]
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: Self::Floats, b: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn abs(self, a: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm512_abs_ps(a) }
    }

    #[inline(always)]
    fn by_sign(self, sign: Self::Floats, negative: Self::Floats, positive: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe {
            _mm512_mask_blend_ps(
                _mm512_cmplt_epi32_mask(_mm512_castps_si512(sign), _mm512_setzero_si512()),
                positive,
                negative,
            )
        }
    }

    #[inline(always)]
    fn scale(self, a: Self::Floats, n: Self::Floats) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm512_scalef_ps(a, n) }
    }

    #[inline(always)]
    fn sum_lanes(self, a: Self::Floats) -> f32 {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe {
            let eight = _mm256_add_ps(_mm512_castps512_ps256(a), upper_half(a));
            super::avx2::sum_of_eight(eight)
        }
    }

    #[inline(always)]
    fn greatest_lane(self, a: Self::Floats) -> f32 {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe {
            let eight = _mm256_max_ps(_mm512_castps512_ps256(a), upper_half(a));
            super::avx2::greatest_of_eight(eight)
        }
    }

    #[inline(always)]
    fn start(self, activations: i32) -> Self::Integers {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm512_set1_epi32(-128 * activations) }
    }

    #[inline(always)]
    unsafe fn load_weights(self, from: *const u8) -> Self::Weights {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn load_quad(self, from: *const i8) -> Self::Quad {
        // SAFETY: `self` exists only where the machine has these instructions; memory by the caller's promise.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    fn dot(self, sum: Self::Integers, weights: Self::Weights, activations: Self::Quad) -> Self::Integers {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm512_dpbusd_epi32(sum, weights, activations) }
    }

    #[inline(always)]
    fn to_floats(self, a: Self::Integers) -> Self::Floats {
        // SAFETY: `self` exists only where the machine has these instructions.
        unsafe { _mm512_cvtepi32_ps(a) }
    }
}
