//! Sizes and times as people write them.

use std::time::Duration;

#[cfg(test)]
mod tests;

/// `64MiB`, `500kB`, `1048576`.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = split(text);
    let factor: usize = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("unknown unit '{unit}', expected for instance 64MiB")),
    };
    let count: usize = number.parse().map_err(|_| format!("'{text}' is no size, expected for instance 64MiB"))?;
    count.checked_mul(factor).ok_or_else(|| format!("'{text}' is too large"))
}

/// `30s`, `500ms`, `2m`, `30`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        _ => return Err(format!("unknown unit '{unit}', expected for instance 30s")),
    };
    let count: u64 = number.parse().map_err(|_| format!("'{text}' is no time, expected for instance 30s"))?;
    let total = count.checked_mul(milliseconds).ok_or_else(|| format!("'{text}' is too long"))?;
    Ok(Duration::from_millis(total))
}

fn split(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    (number, unit.trim_start())
}
