//! Timestamps, read leniently and written strictly.

use std::fmt::Display;

use jiff::Timestamp;

/// Reads an ISO 8601 timestamp with an offset: `Z`, `+00:00` or `+0000`, with or without
/// fractions. `None` for everything else.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    // Years of more than four digits, which carry a sign, cannot be written as RFC 3339.
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Microseconds since the epoch in RFC 3339, in UTC with `Z`; `None` outside of what it can say.
pub(super) fn rfc3339(micros: i64) -> Option<impl Display> {
    Timestamp::from_microsecond(micros).ok()
}

#[cfg(test)]
mod tests {
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
        ] {
            let micros = parse(text).unwrap().as_microsecond();
            assert_eq!(rfc3339(micros).unwrap().to_string(), written, "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp_with_an_offset_is_not_read() {
        for text in ["", "yesterday", "2024-01-02", "2024-01-02T03:04:05", "1700000000"] {
            assert!(parse(text).is_none(), "{text}");
        }
        assert!(parse("-002024-01-02T03:04:05Z").is_none());
    }
}
