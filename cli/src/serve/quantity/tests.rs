use super::{bytes, duration};
use std::time::Duration;

#[test]
fn sizes_have_binary_and_decimal_units() {
    assert_eq!(bytes("64MiB"), Ok(64 << 20));
    assert_eq!(bytes("5 MB"), Ok(5_000_000));
    assert_eq!(bytes("123"), Ok(123));
}

#[test]
fn times_are_seconds_without_a_unit() {
    assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
    assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
    assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
    assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
}

#[test]
fn what_cannot_be_read_says_what_was_expected() {
    assert!(bytes("64 stones").unwrap_err().contains("expected for instance 64MiB"));
    assert!(bytes("").unwrap_err().contains("is no size"));
    assert!(bytes("99999999999999999999").unwrap_err().contains("is no size"));
    assert!(bytes("18446744073709551615GiB").unwrap_err().contains("too large"));
    assert!(duration("-3s").is_err());
    assert!(duration("18446744073709551615m").unwrap_err().contains("too long"));
}
