//! A claim as the gateway hands it over: bytes without their kind.

use modelway_decision::header::Headers;

/// The claim as text: a text as it is, a number or a boolean as JSON writes it, the elements of a
/// list with commas between. `None` for an object, which is not compared with anything.
///
/// What reads as text is text. A number of eight bytes that are all printable is taken for one too;
/// among whole numbers below 2⁴⁴ there is none.
pub(super) fn text(raw: Vec<u8>) -> Option<Vec<u8>> {
    let is_text = std::str::from_utf8(&raw).is_ok_and(|text| !text.contains(char::is_control));
    match raw.as_slice() {
        _ if is_text => Some(raw),
        [0] => Some(b"false".to_vec()),
        [1] => Some(b"true".to_vec()),
        _ => match <[u8; 8]>::try_from(raw.as_slice()) {
            Ok(bytes) => Some(modelway_decision::double_text(f64::from_le_bytes(bytes))),
            Err(_) => list(raw),
        },
    }
}

/// A list comes as pairs, as headers do, with the elements as names and nothing as values.
fn list(raw: Vec<u8>) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    let mut is_first = true;
    for (element, value) in crate::host::pairs(raw)?.iter() {
        if !value.is_empty() {
            return None;
        }
        if !is_first {
            joined.push(b',');
        }
        is_first = false;
        joined.extend(text(element.to_vec())?);
    }
    (!is_first).then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &[u8]) -> Option<String> {
        text(raw.to_vec()).map(|text| String::from_utf8(text).unwrap())
    }

    fn pairs(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut raw = u32::try_from(pairs.len()).unwrap().to_le_bytes().to_vec();
        for (name, value) in pairs {
            raw.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
            raw.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        }
        for (name, value) in pairs {
            raw.extend([name, &b"\0"[..], value, b"\0"].concat());
        }
        raw
    }

    #[test]
    fn every_kind_of_claim_becomes_the_text_that_a_rule_names() {
        assert_eq!(read(b"user-17"), Some("user-17".to_owned()));
        assert_eq!(read("grün".as_bytes()), Some("grün".to_owned()));
        assert_eq!(read(b"gold-one"), Some("gold-one".to_owned()), "eight bytes of text are text");
        assert_eq!(read(b""), Some(String::new()));
        assert_eq!(read(&42.0_f64.to_le_bytes()), Some("42".to_owned()));
        assert_eq!(read(&1_234_567_890_123.0_f64.to_le_bytes()), Some("1234567890123".to_owned()));
        assert_eq!(read(&2.5_f64.to_le_bytes()), Some("2.5".to_owned()));
        assert_eq!(read(&[1]), Some("true".to_owned()));
        assert_eq!(read(&[0]), Some("false".to_owned()));
        assert_eq!(read(&pairs(&[(b"tester", b""), (b"staff", b"")])), Some("tester,staff".to_owned()));
        assert_eq!(read(&pairs(&[(&1.0_f64.to_le_bytes(), b""), (&[1], b"")])), Some("1,true".to_owned()));
        assert_eq!(read(&pairs(&[(b"org", b"a")])), None);
        assert_eq!(read(b"\x02\0\0\0\xff"), None);
    }
}
