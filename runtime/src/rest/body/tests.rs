use super::*;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::Write;

const LIMIT: usize = 1000;

fn headers(members: &[(&'static str, &str)]) -> HeaderMap {
    members.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn chunked(chunks: &[&'static [u8]]) -> Body {
    let chunks: Vec<_> = chunks.iter().map(|chunk| Ok::<_, io::Error>(Bytes::from_static(chunk))).collect();
    Body::from_stream(futures_util::stream::iter(chunks))
}

#[tokio::test]
async fn a_body_in_chunks_is_put_together() {
    let body = chunked(&[b"ab", b"", b"cd", b"e"]);
    assert_eq!(read(&headers(&[]), body, LIMIT).await.unwrap(), "abcde");
    assert_eq!(read(&headers(&[]), Body::empty(), LIMIT).await.unwrap(), "");
    assert_eq!(read(&headers(&[("content-length", "3")]), chunked(&[b"abc"]), LIMIT).await.unwrap(), "abc");
}

#[tokio::test]
async fn a_body_of_the_limit_passes_and_one_byte_more_does_not() {
    let all: &'static [u8] = &[b'x'; LIMIT];
    let half: &'static [u8] = &[b'x'; LIMIT / 2];
    assert_eq!(read(&headers(&[]), Body::from(all), LIMIT).await.unwrap().len(), LIMIT);
    assert_eq!(read(&headers(&[]), chunked(&[half, half]), LIMIT).await.unwrap().len(), LIMIT);
    for body in [chunked(&[half, half, b"x"]), chunked(&[all, b"x"])] {
        let error = read(&headers(&[]), body, LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert_eq!(error.message(), "the body is larger than the limit of 1000 bytes");
    }
    let error = read(&headers(&[("content-length", "1001")]), chunked(&[all, b"x"]), LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn compressed_bodies_are_read() {
    for (encoding, compressed) in [
        ("gzip", gzip(b"hello")),
        ("GZip", gzip(b"hello")),
        ("deflate", zlib(b"hello")),
        ("deflate", deflate(b"hello")),
    ] {
        let headers = headers(&[("content-encoding", encoding)]);
        assert_eq!(read(&headers, Body::from(compressed), LIMIT).await.unwrap(), "hello", "{encoding}");
    }
    let headers = headers(&[("content-encoding", "identity")]);
    assert_eq!(read(&headers, Body::from("hello"), LIMIT).await.unwrap(), "hello");
}

#[tokio::test]
async fn the_limit_holds_for_what_comes_out_of_the_compression() {
    let headers = headers(&[("content-encoding", "gzip")]);
    assert_eq!(read(&headers, Body::from(gzip(&[0; LIMIT])), LIMIT).await.unwrap().len(), LIMIT);
    let bomb = gzip(&vec![0; LIMIT * 500]);
    assert!(bomb.len() < LIMIT);
    assert_eq!(read(&headers, Body::from(bomb), LIMIT).await.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_broken_or_unknown_compression_is_refused() {
    let mut cut = gzip(b"hello, hello, hello");
    cut.truncate(15);
    let broken = headers(&[("content-encoding", "gzip")]);
    for body in [cut, b"plain".to_vec(), Vec::new()] {
        let error = read(&broken, Body::from(body), LIMIT).await.unwrap_err();
        assert!(error.message().starts_with("the body is not gzip"), "{error}");
    }
    let unknown = headers(&[("content-encoding", "br")]);
    let error = read(&unknown, Body::from("x"), LIMIT).await.unwrap_err();
    assert_eq!(error.message(), "unknown content-encoding 'br', expected gzip, deflate or identity");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_clients_mistake() {
    let chunks = [Ok(Bytes::from_static(b"ab")), Err(io::Error::other("reset"))];
    let body = Body::from_stream(futures_util::stream::iter(chunks));
    let error = read(&headers(&[]), body, LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("cut short"), "{error}");
}
