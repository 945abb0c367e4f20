//! Dates as Python's `strftime` writes them, in English and in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::{Error, ErrorKind};

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A moment by the calendar. Months and days count from 1, weekdays from Monday as 0.
struct Moment {
    year: i64,
    month: usize,
    day: u64,
    day_of_year: u64,
    weekday: usize,
    second_of_day: u64,
}

/// The moment in this format.
pub(super) fn write(time: SystemTime, format: &str) -> Result<String, Error> {
    let moment = Moment::of(time);
    let mut written = String::new();
    let mut rest = format.chars();
    while let Some(character) = rest.next() {
        if character != '%' {
            written.push(character);
            continue;
        }
        let mut directive = rest.next();
        let is_bare = directive == Some('-');
        if is_bare {
            directive = rest.next();
        }
        let text = directive.and_then(|directive| moment.part(directive)).ok_or_else(|| {
            let directive = directive.map_or_else(String::new, String::from);
            Error::new(ErrorKind::InvalidOperation, format!("strftime_now: '%{directive}' is not known"))
        })?;
        let bare = text.trim_start_matches('0');
        written.push_str(match bare {
            _ if !is_bare => &text,
            "" => "0",
            bare => bare,
        });
    }
    Ok(written)
}

// === impl Moment ===

impl Moment {
    fn of(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let days = seconds / 86_400;
        let mut year = 1970;
        let mut day = days;
        while day >= days_of(year) {
            day -= days_of(year);
            year += 1;
        }
        let day_of_year = day + 1;
        let mut month = 1;
        while day >= days_in(year, month) {
            day -= days_in(year, month);
            month += 1;
        }
        // The first day of 1970 was a Thursday.
        let weekday = (days + 3) as usize % 7;
        Self { year, month, day: day + 1, day_of_year, weekday, second_of_day: seconds % 86_400 }
    }

    /// What a directive stands for.
    fn part(&self, directive: char) -> Option<String> {
        let name = |names: &[&'static str], index: usize| names.get(index).copied().unwrap_or_default();
        let (day, month) = (name(&DAYS, self.weekday), name(&MONTHS, self.month - 1));
        let (hour, minute, second) = (self.second_of_day / 3600, self.second_of_day / 60 % 60, self.second_of_day % 60);
        let short = |name: &str| name.get(..3).unwrap_or_default().to_owned();
        Some(match directive {
            'Y' => self.year.to_string(),
            'y' => format!("{:02}", self.year % 100),
            'm' => format!("{:02}", self.month),
            'd' => format!("{:02}", self.day),
            'e' => format!("{:2}", self.day),
            'j' => format!("{:03}", self.day_of_year),
            'B' => month.to_owned(),
            'b' | 'h' => short(month),
            'A' => day.to_owned(),
            'a' => short(day),
            'u' => (self.weekday + 1).to_string(),
            'w' => ((self.weekday + 1) % 7).to_string(),
            'H' => format!("{hour:02}"),
            'I' => format!("{:02}", (hour + 11) % 12 + 1),
            'M' => format!("{minute:02}"),
            'S' => format!("{second:02}"),
            'p' => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
            'F' => format!("{}-{:02}-{:02}", self.year, self.month, self.day),
            'D' => format!("{:02}/{:02}/{:02}", self.month, self.day, self.year % 100),
            'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            'R' => format!("{hour:02}:{minute:02}"),
            'z' => "+0000".to_owned(),
            'Z' => "UTC".to_owned(),
            'n' => "\n".to_owned(),
            't' => "\t".to_owned(),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of(year: i64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_in(year: i64, month: usize) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
