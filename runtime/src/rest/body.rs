//! A request's body, whole, decompressed and within the limit.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use futures_util::StreamExt;
use http::{HeaderMap, header};

use crate::error::{Error, ErrorKind};
use crate::rest::offload;

#[cfg(test)]
mod tests;

/// How long a body that is refused may go on coming, so that its sender reads the refusal and not
/// a reset connection.
const FAREWELL: Duration = Duration::from_secs(5);

/// And how much of it, in multiples of the limit.
const FAREWELL_LIMITS: usize = 4;

/// What `content-encoding` names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Encoding {
    Identity,
    Gzip,
    Deflate,
}

/// Reads the body.
pub(super) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Error> {
    let encoding = Encoding::from_headers(headers)?;
    let body = collect(headers, body, limit).await?;
    match encoding {
        Encoding::Identity => Ok(body),
        // Compressed bodies may grow a thousandfold.
        Encoding::Gzip | Encoding::Deflate => {
            offload::run(usize::MAX, move || decompress(encoding, &body, limit)).await
        }
    }
}

async fn collect(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Error> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    let mut chunks = body.into_data_stream();
    if announced.is_some_and(|length| length > limit) {
        // A client that asks first has not sent anything, and must not be told to go on.
        if !headers.contains_key(header::EXPECT) {
            discard(&mut chunks, limit).await;
        }
        return Err(too_large(limit));
    }
    let cut_short = |error: axum::Error| Error::invalid(format!("the body was cut short: {error}"));
    let Some(first) = chunks.next().await else { return Ok(Bytes::new()) };
    let first = first.map_err(cut_short)?;
    if announced == Some(first.len()) {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(announced.unwrap_or(first.len() * 2));
    let mut next = Some(Ok(first));
    while let Some(chunk) = next {
        let chunk = chunk.map_err(cut_short)?;
        if whole.len() + chunk.len() > limit {
            discard(&mut chunks, limit).await;
            return Err(too_large(limit));
        }
        whole.extend_from_slice(&chunk);
        next = chunks.next().await;
    }
    Ok(whole.freeze())
}

async fn discard(chunks: &mut axum::body::BodyDataStream, limit: usize) {
    let rest = async {
        let mut discarded = 0;
        while let Some(Ok(chunk)) = chunks.next().await {
            discarded += chunk.len();
            if discarded > limit.saturating_mul(FAREWELL_LIMITS) {
                return;
            }
        }
    };
    // Either way the refusal follows.
    let _ = tokio::time::timeout(FAREWELL, rest).await;
}

fn too_large(limit: usize) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the body is larger than the limit of {limit} bytes"))
}

fn decompress(encoding: Encoding, body: &[u8], limit: usize) -> Result<Bytes, Error> {
    match encoding {
        Encoding::Identity => Ok(Bytes::copy_from_slice(body)),
        Encoding::Gzip => inflate(GzDecoder::new(body), limit, "gzip"),
        // RFC 9110 means zlib's frame; some clients send the bare stream. A zlib frame begins with
        // method 8 in the low half of its first byte and is a multiple of 31 as two bytes.
        Encoding::Deflate => match body {
            [first, second, ..] if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0 => {
                inflate(ZlibDecoder::new(body), limit, "deflate")
            }
            _ => inflate(DeflateDecoder::new(body), limit, "deflate"),
        },
    }
}

fn inflate(decoder: impl Read, limit: usize, name: &str) -> Result<Bytes, Error> {
    let mut whole = Vec::new();
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(one_more).read_to_end(&mut whole).map_err(|error: io::Error| {
        Error::invalid(format!("the body is not {name}, as content-encoding says: {error}"))
    })?;
    if whole.len() > limit {
        return Err(too_large(limit));
    }
    Ok(Bytes::from(whole))
}

// === impl Encoding ===

impl Encoding {
    fn from_headers(headers: &HeaderMap) -> Result<Self, Error> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(Self::Identity) };
        let name = value.as_bytes().to_ascii_lowercase();
        match name.as_slice() {
            b"" | b"identity" => Ok(Self::Identity),
            b"gzip" | b"x-gzip" => Ok(Self::Gzip),
            b"deflate" => Ok(Self::Deflate),
            other => Err(Error::invalid(format!(
                "unknown content-encoding '{}', expected gzip, deflate or identity",
                String::from_utf8_lossy(other)
            ))),
        }
    }
}
