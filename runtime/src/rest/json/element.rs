//! One tensor element from one JSON value.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use half::{bf16, f16};

use crate::rest::json::Dialect;

/// A type of tensor element. Each reader gives `None` for a value that this type cannot hold
/// exactly; floating-point types take the nearest value, and none that overflows to infinity.
pub(super) trait Element: Sized {
    fn of_bool(_value: bool) -> Option<Self> {
        None
    }

    fn of_u64(_value: u64) -> Option<Self> {
        None
    }

    fn of_i64(_value: i64) -> Option<Self> {
        None
    }

    fn of_f64(_value: f64) -> Option<Self> {
        None
    }

    /// From a JSON string. `share` gives its bytes, without a copy where the text had no escapes.
    fn of_text(text: &str, dialect: Dialect, share: impl FnOnce() -> Bytes) -> Option<Self>;
}

macro_rules! integers {
    ($($integer:ty),+) => {$(
        impl Element for $integer {
            fn of_u64(value: u64) -> Option<Self> {
                value.try_into().ok()
            }

            fn of_i64(value: i64) -> Option<Self> {
                value.try_into().ok()
            }

            // `8.0` and `1e2` are integers, `0.5` is not; beyond 2^53 a double has lost digits.
            fn of_f64(value: f64) -> Option<Self> {
                let is_exact = value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0;
                if is_exact { (value as i64).try_into().ok() } else { None }
            }

            fn of_text(text: &str, dialect: Dialect, _share: impl FnOnce() -> Bytes) -> Option<Self> {
                number_of_text(text, dialect)
            }
        }
    )+};
}

integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! floats {
    ($($float:ty: $from_f64:expr),+) => {$(
        impl Element for $float {
            fn of_u64(value: u64) -> Option<Self> {
                Self::of_f64(value as f64)
            }
            fn of_i64(value: i64) -> Option<Self> {
                Self::of_f64(value as f64)
            }

            fn of_f64(value: f64) -> Option<Self> {
                let nearest: Self = $from_f64(value);
                (nearest.is_finite() || !value.is_finite()).then_some(nearest)
            }

            fn of_text(text: &str, dialect: Dialect, _share: impl FnOnce() -> Bytes) -> Option<Self> {
                match text {
                    "NaN" => Self::of_f64(f64::NAN),
                    "Infinity" => Self::of_f64(f64::INFINITY),
                    "-Infinity" => Self::of_f64(f64::NEG_INFINITY),
                    number => number_of_text(number, dialect),
                }
            }
        }
    )+};
}

floats!(f16: f16::from_f64, bf16: bf16::from_f64, f32: |value: f64| value as f32, f64: |value: f64| value);

impl Element for bool {
    fn of_bool(value: bool) -> Option<Self> {
        Some(value)
    }

    fn of_u64(value: u64) -> Option<Self> {
        match value {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn of_text(_text: &str, _dialect: Dialect, _share: impl FnOnce() -> Bytes) -> Option<Self> {
        None
    }
}

impl Element for Bytes {
    fn of_text(text: &str, dialect: Dialect, share: impl FnOnce() -> Bytes) -> Option<Self> {
        match dialect {
            Dialect::Data => Some(share()),
            Dialect::Contents | Dialect::RawContents => decode_base64(text.as_bytes()),
        }
    }
}

/// Base64 in either alphabet, padded or not, as protobuf's JSON allows.
pub(super) fn decode_base64(text: &[u8]) -> Option<Bytes> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);
    let is_url_safe = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = if is_url_safe { &URL_SAFE } else { &STANDARD };
    engine.decode(text).ok().map(Bytes::from)
}

/// Only protobuf's JSON has numbers in strings, and they look as JSON numbers do.
fn number_of_text<T: Element>(text: &str, dialect: Dialect) -> Option<T> {
    let looks_numeric = text.strip_prefix('-').unwrap_or(text).starts_with(|first: char| first.is_ascii_digit());
    if dialect == Dialect::Data || !looks_numeric {
        return None;
    }
    if let Ok(value) = text.parse::<u64>() {
        return T::of_u64(value);
    }
    if let Ok(value) = text.parse::<i64>() {
        return T::of_i64(value);
    }
    T::of_f64(text.parse::<f64>().ok().filter(|value| value.is_finite())?)
}

/// A JSON value in an error text, short.
pub(super) struct Shown<T>(pub(super) T);

impl fmt::Display for Shown<&str> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 32;
        match self.0.char_indices().nth(LONGEST) {
            Some((end, _)) => write!(f, "\"{}…\"", self.0.get(..end).unwrap_or_default()),
            None => write!(f, "\"{}\"", self.0),
        }
    }
}
