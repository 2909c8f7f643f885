//! Timestamps, read leniently and written strictly.

use std::fmt::Display;

use jiff::Timestamp;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Reads an ISO 8601 timestamp with an offset: `Z`, `+00:00` or `+0000`, with or without
/// fractions. `None` for everything else.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    // Years of more than four digits, which carry a sign, cannot be written as RFC 3339.
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Reads a timestamp in microseconds since the epoch, finer fractions cut off.
pub(super) fn micros(text: &str) -> Option<i64> {
    usual(text.as_bytes()).or_else(|| parse(text).map(Timestamp::as_microsecond))
}

/// Microseconds since the epoch in RFC 3339, in UTC with `Z`; `None` outside of what it can say.
pub(super) fn rfc3339(micros: i64) -> Option<impl Display> {
    Timestamp::from_microsecond(micros).ok()
}

/// Reads `2024-01-02T03:04:05Z` with or without fractions of up to six digits, the form that
/// nearly every sender uses: a record carries one for each membership, and reading them in full
/// generality would be a tenth of all that a record costs. `None` for other forms, also for days
/// that not every month has.
fn usual(text: &[u8]) -> Option<i64> {
    let (whole, rest) = text.split_at_checked(19)?;
    let fraction = match rest {
        [b'Z'] => 0,
        [b'.', digits @ .., b'Z'] if matches!(digits.len(), 1..=6) => {
            let missing = u32::try_from(6 - digits.len()).ok()?;
            number(digits)? * 10_i64.pow(missing)
        }
        _ => return None,
    };
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1] =
        *whole
    else {
        return None;
    };
    let year = number(&[y0, y1, y2, y3])?;
    let [month, day, hour, minute, second] = [
        number(&[m0, m1])?,
        number(&[d0, d1])?,
        number(&[h0, h1])?,
        number(&[n0, n1])?,
        number(&[s0, s1])?,
    ];
    let plain = year >= 1970
        && (1..=12).contains(&month)
        && (1..=28).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !plain {
        return None;
    }
    // Days are counted in years that begin in March, so that the leap day is the last of a year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_year = 365 * year + year / 4 - year / 100 + year / 400;
    let before_month = (153 * month + 2) / 5;
    // 719,468 days lie between 1 March of the year 0 and 1 January 1970.
    let days = before_year + before_month + day - 1 - 719_468;
    Some(days * DAY + ((hour * 60 + minute) * 60 + second) * SECOND + fraction)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_are_read_leniently_and_written_as_rfc_3339() {
        for (text, written) in [
            ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z"),
            ("2017-09-26T15:52:25+00:00", "2017-09-26T15:52:25Z"),
            ("2017-09-26T15:52:25+0000", "2017-09-26T15:52:25Z"),
            ("2017-09-26T17:52:25.000+0200", "2017-09-26T15:52:25Z"),
            ("2017-09-26T15:52:25.250-00:30", "2017-09-26T16:22:25.25Z"),
            ("2023-12-31T23:59:59.123456789Z", "2023-12-31T23:59:59.123456Z"),
            ("2023-12-31T23:59:59.5Z", "2023-12-31T23:59:59.5Z"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
        ] {
            let read = micros(text).unwrap();
            assert_eq!(rfc3339(read).unwrap().to_string(), written, "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp_with_an_offset_is_not_read() {
        for text in [
            "",
            "yesterday",
            "2024-01-02",
            "2024-01-02T03:04:05",
            "1700000000",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-00T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "2024-01-01T00:00:00.Z",
            "-002024-01-02T03:04:05Z",
        ] {
            assert!(micros(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_usual_form_is_read_as_in_full_generality(
            at in 0..253_402_300_800_000_000_i64
        ) {
            let text = rfc3339(at).unwrap().to_string();
            prop_assert_eq!(micros(&text), Some(at));
            prop_assert_eq!(parse(&text).map(Timestamp::as_microsecond), Some(at));
        }
    }
}
