//! Checksums that stores give, so that what came is what was stored.

use std::fmt;

use md5::Digest as _;

/// A checksum of a file's bytes.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Checksum {
    Md5([u8; 16]),
    Sha256([u8; 32]),
}

/// Sums up bytes as they come.
pub(crate) enum Summing {
    Nothing,
    Md5(md5::Md5),
    Sha256(sha2::Sha256),
}

// === impl Checksum ===

impl Checksum {
    /// S3's ETag of an object that was uploaded in one part is its MD5; of others it is none.
    pub(crate) fn of_etag(etag: &str) -> Option<Self> {
        Self::md5_of_hex(etag.strip_prefix('"')?.strip_suffix('"')?)
    }

    pub(crate) fn md5_of_hex(text: &str) -> Option<Self> {
        bytes_of_hex(text).map(Self::Md5)
    }

    pub(crate) fn sha256_of_hex(text: &str) -> Option<Self> {
        bytes_of_hex(text).map(Self::Sha256)
    }

    /// The name of what it is.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Md5(_) => "MD5",
            Self::Sha256(_) => "SHA-256",
        }
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: &[u8] = match self {
            Self::Md5(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        };
        write!(f, "{} ", self.kind())?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn bytes_of_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

// === impl Summing ===

impl Summing {
    /// For comparing with this one.
    pub(crate) fn to_compare(checksum: Option<Checksum>) -> Self {
        match checksum {
            None => Self::Nothing,
            Some(Checksum::Md5(_)) => Self::Md5(md5::Md5::default()),
            Some(Checksum::Sha256(_)) => Self::Sha256(sha2::Sha256::default()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Nothing => {}
            Self::Md5(sum) => sum.update(bytes),
            Self::Sha256(sum) => sha2::Digest::update(sum, bytes),
        }
    }

    pub(crate) fn finish(self) -> Option<Checksum> {
        match self {
            Self::Nothing => None,
            Self::Md5(sum) => Some(Checksum::Md5(sum.finalize().into())),
            Self::Sha256(sum) => Some(Checksum::Sha256(sha2::Digest::finalize(sum).into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_a_checksum_when_it_looks_like_one() {
        let md5 = Checksum::of_etag("\"5d41402abc4b2a76b9719d911017c592\"").unwrap();
        let mut sum = Summing::to_compare(Some(md5));
        sum.update(b"hel");
        sum.update(b"lo");
        assert_eq!(sum.finish(), Some(md5));
        for none in ["\"5d41402abc4b2a76b9719d911017c592-2\"", "W/\"5d41402abc4b2a76b9719d911017c592\"", "\"x\"", ""] {
            assert_eq!(Checksum::of_etag(none), None, "{none}");
        }
    }
}
