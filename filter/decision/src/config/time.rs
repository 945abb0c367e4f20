//! Durations and points in time, as text.

use std::fmt;

use super::json::Node;
use super::read::{Place, Read};

/// A length of time: `500ms`, `10s`, `5m` or `1h`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Duration {
    /// Nanoseconds.
    pub nanoseconds: u64,
}

/// A point in time as RFC 3339 writes it: `2026-11-23T09:00:00Z`, `2026-11-23T17:00:00+08:00`.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Timestamp {
    /// Nanoseconds since 1970.
    pub nanoseconds: u64,
}

const SECOND: u64 = 1_000_000_000;

// === impl Duration ===

impl Duration {
    pub(crate) fn from_seconds(seconds: u64) -> Self {
        Self { nanoseconds: seconds * SECOND }
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, unit) = text.split_at_checked(digits)?;
        let factor = match unit.trim_start() {
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        let nanoseconds = number.parse::<f64>().ok()? * factor;
        (nanoseconds > 0.0 && nanoseconds < 1e18).then_some(Self { nanoseconds: nanoseconds as u64 })
    }
}

impl Read for Duration {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        let text = String::read(node, place)?;
        let duration = Self::parse(&text);
        if duration.is_none() {
            place.fault(format!("expected a duration such as 500ms, 10s or 5m, got '{text}'"));
        }
        duration
    }
}

// === impl Timestamp ===

impl Timestamp {
    fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.split_once(['T', 't', ' '])?;
        let mut date = date.splitn(3, '-').map(digits);
        let (year, month, day) = (date.next()??, date.next()??, date.next()??);
        let zone = time.find(['Z', 'z', '+', '-'])?;
        let (time, zone) = time.split_at_checked(zone)?;
        let mut time = time.splitn(3, ':');
        let (hour, minute) = (digits(time.next()?)?, digits(time.next()?)?);
        let second: f64 = time.next()?.parse().ok()?;
        let valid = (1970..=2200).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && (0.0..60.0).contains(&second);
        if !valid {
            return None;
        }
        let days = days_since_1970(year, month, day);
        let seconds = days * 86_400 + hour * 3600 + minute * 60 - zone_seconds(zone)?;
        let nanoseconds = u64::try_from(seconds).ok()?.checked_mul(SECOND)?;
        Some(Self { nanoseconds: nanoseconds + (second * 1e9) as u64 })
    }
}

impl std::str::FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| format!("expected a time such as 2026-11-23T09:00:00Z, got '{text}'"))
    }
}

impl Read for Timestamp {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        let text = String::read(node, place)?;
        text.parse().map_err(|fault: String| place.fault(fault)).ok()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.nanoseconds / SECOND;
        let (year, month, day) = date_of((seconds / 86_400) as i64);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let milliseconds = self.nanoseconds / 1_000_000 % 1000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
    }
}

fn digits(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// `Z`, or `+08:00`.
fn zone_seconds(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the civil calendar; years begin in March, so that the leap day is a year's last
/// (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

// === JSON Schema ===

#[cfg(feature = "schema")]
mod schema {
    use std::borrow::Cow;

    use super::{Duration, Timestamp};
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    impl JsonSchema for Duration {
        fn schema_name() -> Cow<'static, str> {
            "Duration".into()
        }

        fn inline_schema() -> bool {
            true
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"type": "string", "pattern": r"^[0-9.]+ *(ms|s|m|h)$"})
        }
    }

    impl JsonSchema for Timestamp {
        fn schema_name() -> Cow<'static, str> {
            "Timestamp".into()
        }

        fn inline_schema() -> bool {
            true
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"type": "string", "format": "date-time"})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        Timestamp::parse(text).map(|time| time.nanoseconds / SECOND)
    }

    #[test]
    fn a_time_has_a_zone() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2026-11-23T09:00:00Z"), Some(1_795_424_400));
        assert_eq!(seconds("2026-11-23T17:00:00+08:00"), Some(1_795_424_400));
        assert_eq!(seconds("2026-11-23 03:30:00.25-05:30"), Some(1_795_424_400));
        assert_eq!(seconds("2000-02-29T23:59:59Z"), Some(951_868_799));
        for wrong in [
            "2026-11-23T09:00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "23.11.2026",
            "",
            "T",
            "2026-11-23T24:00:00Z",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_is_written_as_it_is_read() {
        for day in 0..60_000 {
            let time = Timestamp { nanoseconds: (day * 86_400 + 3_661) * SECOND + 250_000_000 };
            assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        }
    }

    #[test]
    fn a_duration_has_a_unit() {
        let nanoseconds = |text| Duration::parse(text).map(|duration| duration.nanoseconds);
        assert_eq!(nanoseconds("500ms"), Some(500_000_000));
        assert_eq!(nanoseconds("1.5s"), Some(1_500_000_000));
        assert_eq!(nanoseconds("2 h"), Some(7_200 * SECOND));
        for wrong in ["5", "0s", "-1s", "1d", "s"] {
            assert_eq!(nanoseconds(wrong), None, "{wrong}");
        }
    }
}
