use super::{decode, encode};
use crate::headers::Headers;

#[test]
fn a_map_survives_the_way_there_and_back_with_bytes_that_are_not_text() {
    let headers = Headers::new().with(":path", "/a").with("x-bytes", b"\xff\xfe\x00").with("x-empty", "");
    assert_eq!(decode(&encode(&headers)), headers);
}

#[test]
fn the_layout_is_counts_lengths_then_names_and_values_with_nul() {
    let bytes = encode(&Headers::new().with("ab", "c"));
    assert_eq!(bytes, b"\x01\0\0\0\x02\0\0\0\x01\0\0\0ab\0c\0");
}

#[test]
fn an_empty_map_is_no_bytes() {
    assert!(encode(&Headers::new()).is_empty());
    assert!(decode(b"").is_empty());
    assert!(decode(b"\0\0\0\0").is_empty());
}

#[test]
fn a_map_cut_short_yields_no_fields() {
    let bytes = encode(&Headers::new().with("ab", "c"));
    assert!(decode(&bytes[..bytes.len() - 2]).is_empty());
    assert!(decode(b"\xff\xff\xff\xff").is_empty());
}
