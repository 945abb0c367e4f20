//! A map of headers as the gateway serialises it, read in place.

use modelway_decision::header::Headers;

/// Headers in the ABI's form: a count, the sizes of every name and value, then the bytes of each
/// with a zero behind it. Numbers are 32 bits, little-endian.
#[derive(Debug, Default)]
pub(crate) struct HeaderMap(Vec<u8>);

/// Walks the sizes and the bytes side by side.
struct Pairs<'a> {
    left: usize,
    sizes: &'a [u8],
    bytes: &'a [u8],
}

// === impl HeaderMap ===

impl HeaderMap {
    pub(super) fn new(serialized: Vec<u8>) -> Self {
        Self(serialized)
    }
}

impl Headers for HeaderMap {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        pairs(&self.0).into_iter().flatten()
    }
}

/// The pairs of a map in the ABI's form; `None` if it is none.
pub(crate) fn pairs(serialized: &[u8]) -> Option<impl Iterator<Item = (&[u8], &[u8])>> {
    Pairs::of(serialized)
}

// === impl Pairs ===

impl<'a> Pairs<'a> {
    fn of(mut serialized: &'a [u8]) -> Option<Self> {
        let left = take_size(&mut serialized)?;
        let (sizes, bytes) = serialized.split_at_checked(left.checked_mul(8)?)?;
        Some(Self { left, sizes, bytes })
    }

    fn take_bytes(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(size)?;
        self.bytes = rest.get(1..)?;
        Some(taken)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name_size = take_size(&mut self.sizes)?;
        let value_size = take_size(&mut self.sizes)?;
        Some((self.take_bytes(name_size)?, self.take_bytes(value_size)?))
    }
}

fn take_size(from: &mut &[u8]) -> Option<usize> {
    let (size, rest) = from.split_first_chunk()?;
    *from = rest;
    usize::try_from(u32::from_le_bytes(*size)).ok()
}

/// Headers in the ABI's form, for the host.
pub(super) fn serialized(headers: &[(&str, &[u8])]) -> Vec<u8> {
    let mut serialized = Vec::new();
    serialized.extend_from_slice(&(headers.len() as u32).to_le_bytes());
    for (name, value) in headers {
        serialized.extend_from_slice(&(name.len() as u32).to_le_bytes());
        serialized.extend_from_slice(&(value.len() as u32).to_le_bytes());
    }
    for (name, value) in headers {
        serialized.extend_from_slice(name.as_bytes());
        serialized.push(0);
        serialized.extend_from_slice(value);
        serialized.push(0);
    }
    serialized
}
