//! The compressions that joblib puts around a whole file, told by the first bytes.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use crate::formats::LoadError;

/// What a file of any size may inflate to; beyond it a ratio is asked for.
const FREE_BYTES: u64 = 64 << 20;
/// Deflate reaches 1,000 on zeros; support vectors reach 2 to 20.
const MAX_RATIO: u64 = 100;

/// The compressions that are recognised in order to say their names.
const OTHERS: [(&[u8], &str); 6] = [
    (b"BZ", "bz2"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
    (&[0x5d, 0x00], "lzma"),
    (&[0x04, 0x22, 0x4d, 0x18], "lz4"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (b"ZF", "the zlib form of joblib before 0.10"),
];

/// The pickle in the file: the bytes themselves, or what they inflate to, `max_bytes` at most.
pub(super) fn inflate(file: &[u8], max_bytes: u64) -> Result<Cow<'_, [u8]>, LoadError> {
    if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| file.starts_with(magic)) {
        return Err(LoadError::Unsupported(format!(
            "compressed with {name}; zlib and gzip are read: save it again with joblib.dump(..., compress=0) or compress=3"
        )));
    }
    let compressed = u64::try_from(file.len()).unwrap_or(u64::MAX);
    let limit = FREE_BYTES.saturating_add(compressed.saturating_mul(MAX_RATIO)).min(max_bytes);
    match file {
        [0x1f, 0x8b, ..] => gzip(file, limit).map(Cow::Owned),
        // The first two bytes of a zlib stream are a multiple of 31, whatever its level and window.
        &[method @ (0x78 | 0x68 | 0x58 | 0x48), flags, ..] if u16::from_be_bytes([method, flags]) % 31 == 0 => {
            zlib(file, limit).map(Cow::Owned)
        }
        _ => Ok(Cow::Borrowed(file)),
    }
}

fn gzip(file: &[u8], limit: u64) -> Result<Vec<u8>, LoadError> {
    let mut inflated = Vec::new();
    MultiGzDecoder::new(file)
        .take(limit.saturating_add(1))
        .read_to_end(&mut inflated)
        .map_err(|error| damaged("gzip", &error.to_string()))?;
    match u64::try_from(inflated.len()) {
        Ok(length) if length <= limit => Ok(inflated),
        _ => Err(too_large(limit)),
    }
}

fn zlib(file: &[u8], limit: u64) -> Result<Vec<u8>, LoadError> {
    let mut state = Decompress::new(true);
    let mut inflated = Vec::with_capacity(file.len().saturating_mul(2).min(1 << 20));
    loop {
        let read = state.total_in();
        let written = state.total_out();
        if written > limit {
            return Err(too_large(limit));
        }
        inflated.reserve(64 << 10);
        let rest = usize::try_from(read).ok().and_then(|read| file.get(read..)).unwrap_or_default();
        let status = state
            .decompress_vec(rest, &mut inflated, FlushDecompress::None)
            .map_err(|error| damaged("zlib", &error.to_string()))?;
        if status == Status::StreamEnd {
            return if state.total_out() <= limit { Ok(inflated) } else { Err(too_large(limit)) };
        }
        if state.total_in() == read && state.total_out() == written {
            return Err(damaged("zlib", "it ends too early"));
        }
    }
}

fn damaged(name: &str, reason: &str) -> LoadError {
    LoadError::Malformed(format!("the {name} compression is truncated or damaged: {reason}"))
}

fn too_large(limit: u64) -> LoadError {
    LoadError::Malformed(format!(
        "inflates to more than {limit} bytes, the most that is accepted of a file of this size; \
         if it is what it should be, save it uncompressed"
    ))
}
