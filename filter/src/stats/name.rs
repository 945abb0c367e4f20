//! A series' name as Envoy keeps it, with its labels in it as Istio writes them:
//! `model=.=iris;.;variant=.=canary;.;modelway_requests_total`.
//!
//! The gateway cuts the labels out by `stats_tags` (docs/observability.md), so a value must hold
//! nothing that those expressions could take for the end of it.

/// A longer value is cut.
const LONGEST_VALUE: usize = 128;

/// A name in the making.
#[derive(Default)]
pub(super) struct StatName(Vec<u8>);

// === impl StatName ===

impl StatName {
    pub(super) fn tag(mut self, tag: &str, value: &[u8]) -> Self {
        self.0.extend_from_slice(tag.as_bytes());
        self.0.extend_from_slice(b"=.=");
        put_escaped(value, &mut self.0);
        self.0.extend_from_slice(b";.;");
        self
    }

    pub(super) fn named(mut self, name: &str) -> Vec<u8> {
        self.0.extend_from_slice(name.as_bytes());
        self.0
    }
}

/// Anything but letters, digits and a few signs is percent-encoded.
fn put_escaped(value: &[u8], into: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |digit: u8| HEX.get(usize::from(digit)).copied().unwrap_or_default();
    for &byte in value.get(..LONGEST_VALUE).unwrap_or(value) {
        if byte.is_ascii_alphanumeric() || b"_.-/@:".contains(&byte) {
            into.push(byte);
        } else {
            into.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}
