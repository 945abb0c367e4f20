//! Numbers as the text that every wire agrees on.

/// A number of JSON: `10`, `10.0` and `1e1` are all `10`. `None` for what JSON does not call a number.
pub(crate) fn number_text(literal: &[u8]) -> Option<Vec<u8>> {
    let literal = std::str::from_utf8(literal).ok().filter(|_| is_json_number(literal))?;
    if let Ok(integer) = literal.parse::<i64>() {
        return Some(integer.to_string().into_bytes());
    }
    if let Ok(integer) = literal.parse::<u64>() {
        return Some(integer.to_string().into_bytes());
    }
    literal.parse::<f64>().ok().map(double_text)
}

/// RFC 8259, section 6: no plus sign, no leading zero, digits on both sides of a point.
pub(crate) fn is_json_number(literal: &[u8]) -> bool {
    let rest = literal.strip_prefix(b"-").unwrap_or(literal);
    let (whole, rest) = split_digits(rest);
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with(b"0")) {
        return false;
    }
    let rest = match rest.strip_prefix(b".").map(split_digits) {
        None => rest,
        Some(([], _)) => return false,
        Some((_, rest)) => rest,
    };
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', digits @ ..] | [b'e' | b'E', digits @ ..] => {
            !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// The whole number that a JSON literal or a text of digits is.
pub(crate) fn whole_number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(&number_text(text)?).ok()?.parse().ok()
}

/// A double.
pub fn double_text(value: f64) -> Vec<u8> {
    // `+ 0.0` makes −0 a 0.
    (value + 0.0).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_calls_a_number_is_one_and_nothing_else() {
        for good in ["0", "-0", "10", "1.5", "-1.25e-7", "1E5", "0.1e+2", "18446744073709551615"] {
            assert!(is_json_number(good.as_bytes()), "{good}");
            assert!(serde_json::from_str::<serde_json::Number>(good).is_ok(), "{good}");
        }
        for bad in ["", "-", "+1", "01", "1.", ".5", "1e", "1e+", "NaN", "Infinity", "-inf", "0x10", "1_000", "1 "] {
            assert!(!is_json_number(bad.as_bytes()), "{bad}");
        }
        for (text, number) in [("3", Some(3)), ("3.0", Some(3)), ("3.5", None), ("1e2", Some(100)), ("x", None)] {
            assert_eq!(whole_number(text.as_bytes()), number, "{text}");
        }
    }
}
