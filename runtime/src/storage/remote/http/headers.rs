//! What an answer's headers say of the file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use reqwest::Response;

use crate::storage::remote::checksum::Checksum;
use crate::storage::remote::store::Tag;

/// The file, as an answer describes it.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct FileHeaders {
    /// Bytes of the whole file.
    pub(super) size: Option<u64>,
    /// The first byte that the answer has; none where it is a part and does not say.
    pub(super) from: Option<u64>,
    pub(super) tag: Option<Tag>,
    pub(super) checksum: Option<Checksum>,
}

// === impl FileHeaders ===

impl FileHeaders {
    pub(super) fn read(answer: &Response) -> Self {
        Self::of(answer.status(), answer.headers())
    }

    fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let (from, size) = match status {
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
                text(CONTENT_RANGE).and_then(range).map_or((None, None), |(from, size)| (Some(from), size))
            }
            _ => (Some(0), text(CONTENT_LENGTH).and_then(|length| length.parse().ok())),
        };
        let etag = text(ETAG).filter(|etag| !etag.is_empty()).map(|etag| Tag::ETag(etag.to_owned()));
        let tag = etag.or_else(|| text(LAST_MODIFIED).map(|time| Tag::Modified(time.to_owned())));
        Self { size, from, tag, checksum: checksum(status, headers) }
    }
}

/// Whether there is no first byte because there is none at all.
pub(super) fn is_of_empty_file(answer: &Response) -> bool {
    FileHeaders::read(answer).size == Some(0)
}

/// `bytes 5-9/10`: the first byte, and how many there are in all. `bytes */0` of an empty file.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let from = match range {
        "*" => 0,
        range => range.split_once('-')?.0.parse().ok()?,
    };
    Some((from, size.parse().ok()))
}

/// `Repr-Digest` (RFC 9530) is of the whole file, also beside a part of it; `Content-MD5` of what the answer has.
fn checksum(status: StatusCode, headers: &HeaderMap) -> Option<Checksum> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let of_base64 = |text: &str| STANDARD.decode(text).ok();
    let digest = text(HeaderName::from_static("repr-digest")).and_then(|digests| {
        let digest = digests.split(',').find_map(|digest| digest.trim().strip_prefix("sha-256=:"))?;
        of_base64(digest.split(':').next()?)?.try_into().ok().map(Checksum::Sha256)
    });
    let md5 = || {
        let md5 = text(HeaderName::from_static("content-md5")).filter(|_| status == StatusCode::OK)?;
        of_base64(md5)?.try_into().ok().map(Checksum::Md5)
    };
    digest.or_else(md5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, headers: &[(&'static str, &str)]) -> FileHeaders {
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        FileHeaders::of(StatusCode::from_u16(status).unwrap(), &headers.collect())
    }

    #[test]
    fn sizes_are_those_of_whole_files() {
        let whole = of(200, &[("content-length", "10"), ("last-modified", "Tue")]);
        assert_eq!((whole.size, whole.from, whole.tag), (Some(10), Some(0), Some(Tag::Modified("Tue".to_owned()))));
        let part = of(206, &[("content-length", "5"), ("content-range", "bytes 5-9/10"), ("etag", "\"a\"")]);
        assert_eq!((part.size, part.from, part.tag), (Some(10), Some(5), Some(Tag::ETag("\"a\"".to_owned()))));
        assert_eq!(of(416, &[("content-range", "bytes */0")]).size, Some(0));
        let unclear = of(206, &[("content-range", "lines 1-2/3")]);
        assert_eq!((unclear.size, unclear.from), (None, None));
    }

    #[test]
    fn checksums_are_those_of_whole_files() {
        let sha256 = "sha-512=:AAAA:, sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
        let checksum = of(206, &[("repr-digest", sha256)]).checksum.unwrap();
        assert_eq!(format!("{checksum:?}"), "SHA-256 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        let md5 = [("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")];
        assert_eq!(format!("{:?}", of(200, &md5).checksum.unwrap()), "MD5 5d41402abc4b2a76b9719d911017c592");
        assert_eq!(of(206, &md5).checksum, None);
    }
}
