//! Header maps as they cross the boundary: `count`, then `count` pairs of lengths, then names and values, each with
//! a NUL behind it; all numbers are 32-bit little-endian (proxy-wasm ABI 0.2.1).

use crate::headers::Headers;

/// The bytes of a map. An empty map is no bytes at all, as Envoy hands it over.
pub(crate) fn encode(headers: &Headers) -> Vec<u8> {
    if headers.is_empty() {
        return Vec::new();
    }
    let mut bytes = length(headers.len()).to_vec();
    for (name, value) in headers.iter() {
        bytes.extend(length(name.len()));
        bytes.extend(length(value.len()));
    }
    for (name, value) in headers.iter() {
        bytes.extend(name);
        bytes.push(0);
        bytes.extend(value);
        bytes.push(0);
    }
    bytes
}

/// The map in these bytes; a map cut short yields no fields, as in Envoy.
pub(crate) fn decode(bytes: &[u8]) -> Headers {
    decode_fields(bytes).unwrap_or_default()
}

fn decode_fields(bytes: &[u8]) -> Option<Headers> {
    let count = number_at(bytes, 0)?;
    let mut content = 4 + count.checked_mul(8)?;
    let mut headers = Headers::new();
    for index in 0..count {
        let name_length = number_at(bytes, 4 + index * 8)?;
        let value_length = number_at(bytes, 8 + index * 8)?;
        let name = bytes.get(content..content + name_length)?;
        content += name_length + 1;
        let value = bytes.get(content..content + value_length)?;
        content += value_length + 1;
        headers.add(name, value);
    }
    Some(headers)
}

fn number_at(bytes: &[u8], offset: usize) -> Option<usize> {
    let digits = bytes.get(offset..offset + 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(digits) as usize)
}

fn length(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests;
