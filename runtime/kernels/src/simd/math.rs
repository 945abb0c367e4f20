//! Functions of vectors that machines have no instruction for.

use super::Simd;

/// Adding and taking this away rounds to a whole number, ties to even, for magnitudes below 2^22.
/// The lowest bits are the number then, in two's complement.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// ln 2 in two parts: the first has few enough bits that its product with a whole number is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;

/// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2, highest power first (Cephes, `expf`).
const EXP: [f32; 6] = [1.987_569_2e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// erfcx(z) / t in powers of t = 1 / (1 + z / 2), highest first: a minimax fit for z in 0..=10.5,
/// within 2.2e-8 of it.
const ERFCX: [f32; 10] = [
    0.010_813_766,
    -0.115_460_13,
    0.411_105_17,
    -0.647_018_13,
    0.402_860_54,
    -0.088_868_454,
    0.222_443_24,
    0.239_269_04,
    0.282_787_13,
    0.282_067_8,
];

/// (tanh(x) - x) / x^3 in powers of x^2 for |x| <= 0.625, highest power first (Cephes, `tanhf`).
const TANH: [f32; 5] = [-5.704_988_7e-3, 2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1];

#[inline(always)]
fn polynomial<S: Simd>(simd: S, coefficients: &[f32], x: S::Floats) -> S::Floats {
    let mut result = simd.splat(0.0);
    for coefficient in coefficients {
        result = simd.fma(result, x, simd.splat(*coefficient));
    }
    result
}

/// e^x within two units in the last place; 0 for what is too small, infinity for what is too great.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::Floats) -> S::Floats {
    // The bounds stand first, so that NaN stays what it is.
    let x = simd.min(simd.splat(89.0), simd.max(simd.splat(-104.0), x));
    let n = simd.fma(x, simd.splat(std::f32::consts::LOG2_E), simd.splat(ROUND));
    let n = simd.sub(n, simd.splat(ROUND));
    let r = simd.fma(n, simd.splat(-LN2_HIGH), x);
    let r = simd.fma(n, simd.splat(-LN2_LOW), r);
    let tail = polynomial(simd, &EXP, r);
    let mantissa = simd.add(simd.fma(simd.mul(r, r), tail, r), simd.splat(1.0));
    simd.scale(mantissa, n)
}

/// e^(z^2) erfc(z) for z >= 0 (up to 10.5), within 3e-7 of it.
#[inline(always)]
pub(crate) fn erfcx<S: Simd>(simd: S, z: S::Floats) -> S::Floats {
    let one = simd.splat(1.0);
    let t = simd.div(one, simd.fma(z, simd.splat(0.5), one));
    simd.mul(t, polynomial(simd, &ERFCX, t))
}

/// tanh(x) within three units in the last place.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::Floats) -> S::Floats {
    let one = simd.splat(1.0);
    let square = simd.mul(x, x);
    let small = simd.fma(simd.mul(polynomial(simd, &TANH, square), square), x, x);
    // 1 - 2 / (1 + e^2|x|) loses what is close to 0, where the polynomial is good.
    let magnitude = simd.abs(x);
    let growing = exp(simd, simd.add(magnitude, magnitude));
    let large = simd.sub(one, simd.div(simd.splat(2.0), simd.add(growing, one)));
    let large = simd.by_sign(x, simd.sub(simd.splat(0.0), large), large);
    simd.by_sign(simd.sub(magnitude, simd.splat(0.625)), small, large)
}
