//! Which vector instructions are used: the best that this machine has, found once.

use crate::simd::{Portable, Simd};
use std::fmt;
use std::sync::OnceLock;

/// A set of instructions that this machine has: a value can only be had by asking the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Instructions(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// AVX-512 F, BW and VNNI (Intel since Cascade Lake, AMD since Zen 4).
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2, FMA and F16C (Intel since Haswell, AMD since Zen).
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What the compiler makes of plain loops for the target.
    Portable,
}

/// Something to compute, written once for every set of instructions. `run` is inlined into a
/// function for which the set is enabled, so it must be `#[inline(always)]` and so must all that it
/// calls with vectors; closures are not, and do not become vector code.
pub(crate) trait Task {
    type Output;

    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

// === impl Instructions ===

impl Instructions {
    /// The best that this machine has.
    pub fn best() -> Self {
        static BEST: OnceLock<Instructions> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().into_iter().next().unwrap_or(Self(Level::Portable)))
    }

    /// All that this machine has, best first. The last one is portable.
    pub fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
            let avx512 = avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni");
            if avx512 {
                levels.push(Self(Level::Avx512));
            }
            if avx2 {
                levels.push(Self(Level::Avx2));
            }
        }
        levels.push(Self(Level::Portable));
        levels
    }

    /// How many rows the float kernel holds in registers at a time.
    pub(crate) fn float_rows(self) -> usize {
        self.run(FloatRows)
    }

    /// How many rows the 8-bit kernel holds in registers at a time.
    pub(crate) fn int8_rows(self) -> usize {
        self.run(Int8Rows)
    }

    pub(crate) fn run<T: Task>(self, task: T) -> T::Output {
        match self.0 {
            // SAFETY: the level exists only where `available` has found these instructions.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { crate::simd::avx512::enter(task) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { crate::simd::avx2::enter(task) },
            Level::Portable => task.run(Portable),
        }
    }
}

impl fmt::Debug for Instructions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

struct FloatRows;

impl Task for FloatRows {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> usize {
        S::FLOAT_ROWS
    }
}

struct Int8Rows;

impl Task for Int8Rows {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> usize {
        S::INT8_ROWS
    }
}
