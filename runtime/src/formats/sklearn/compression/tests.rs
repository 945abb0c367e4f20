//! Whole streams, cut streams and other streams.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::inflate;

const PLENTY: u64 = 1 << 30;

fn zlib(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn content() -> Vec<u8> {
    (0..200_000_u32).flat_map(|number| (number.wrapping_mul(2_654_435_761) >> 20).to_le_bytes()).collect()
}

#[test]
fn zlib_of_every_level_and_gzip_are_inflated() {
    let content = content();
    for level in 0..=9 {
        assert_eq!(inflate(&zlib(&content, level), PLENTY).unwrap(), content, "level {level}");
    }
    assert_eq!(inflate(&gzip(&content), PLENTY).unwrap(), content);
    assert!(inflate(&zlib(&[], 3), PLENTY).unwrap().is_empty());
}

#[test]
fn other_bytes_are_left_as_they_are() {
    for bytes in [&b"\x80\x04N."[..], b"", b"x", b"xx"] {
        assert_eq!(inflate(bytes, PLENTY).unwrap(), bytes);
    }
}

#[test]
fn a_cut_or_damaged_stream_is_refused() {
    let content = content();
    for stream in [zlib(&content[..3000], 3), gzip(&content[..3000])] {
        for length in 2..stream.len() {
            let error = inflate(&stream[..length], PLENTY).unwrap_err().to_string();
            assert!(error.contains("compression is truncated or damaged"), "{length}: {error}");
        }
        let mut damaged = stream.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        assert!(inflate(&damaged, PLENTY).is_err());
    }
}

#[test]
fn the_limit_holds_to_the_byte() {
    let content = content();
    let length = u64::try_from(content.len()).unwrap();
    for stream in [zlib(&content, 6), gzip(&content)] {
        assert_eq!(inflate(&stream, length).unwrap(), content);
        let error = inflate(&stream, length - 1).unwrap_err().to_string();
        assert!(error.starts_with(&format!("inflates to more than {} bytes", length - 1)), "{error}");
    }
}
