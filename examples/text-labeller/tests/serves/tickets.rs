//! The texts that are asked, and what the rules in `models/` say of them.

use std::path::{Path, PathBuf};

/// The second is of another label in the second version of the rules.
pub(crate) const TEXTS: [&str; 3] = ["Where is my parcel?", "I want a refund, it is broken", "hello"];
pub(crate) const LABELS: [&str; 3] = ["shipping", "billing", "other"];
pub(crate) const LABELS_OF_V2: [&str; 3] = ["shipping", "returns", "other"];
pub(crate) const SCORES: [f32; 3] = [1.0, 1.0, 0.0];

pub(crate) fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// The texts as the protocol has BYTES in a raw tensor: a length, little-endian, before each.
pub(crate) fn raw_texts() -> Vec<u8> {
    let length = |text: &str| u32::try_from(text.len()).expect("short").to_le_bytes();
    TEXTS.iter().flat_map(|text| [&length(text), text.as_bytes()].concat()).collect()
}

/// The same the other way.
pub(crate) fn texts_in(mut raw: &[u8]) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some((length, rest)) = raw.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).expect("a length");
        let (text, rest) = rest.split_at(length);
        texts.push(String::from_utf8(text.to_vec()).expect("text"));
        raw = rest;
    }
    texts
}

pub(crate) fn scores_in(raw: &[u8]) -> Vec<f32> {
    raw.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four"))).collect()
}
