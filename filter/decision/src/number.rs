//! Numbers as the text that every wire agrees on.

/// A literal of JSON: `10`, `10.0` and `1e1` are all `10`.
pub(crate) fn number_text(literal: &str) -> Option<Vec<u8>> {
    if let Ok(integer) = literal.parse::<i64>() {
        return Some(integer.to_string().into_bytes());
    }
    if let Ok(integer) = literal.parse::<u64>() {
        return Some(integer.to_string().into_bytes());
    }
    literal.parse::<f64>().ok().map(double_text)
}

/// A double.
pub(crate) fn double_text(value: f64) -> Vec<u8> {
    // `+ 0.0` makes −0 a 0.
    (value + 0.0).to_string().into_bytes()
}
