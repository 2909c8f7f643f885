use std::time::{Duration, SystemTime};

use http::{
    HeaderMap,
    header::{DATE, HeaderName, RETRY_AFTER},
};

/// How long an answer asks us to wait (`Retry-After`, RFC 9110 section 10.2.3).
///
/// Seconds may have a fraction, which some servers send, and are rounded up. A date is compared with the answer's own
/// `Date`, not with our clock, which may differ from the server's; without a `Date` it says
/// nothing. Nothing is asked where the time has passed or the value cannot be read.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, &RETRY_AFTER)?;
    let wait = if value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let seconds: f64 = value.parse().ok()?;
        Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX)
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        let now: SystemTime = httpdate::parse_http_date(text(headers, &DATE)?).ok()?;
        until.duration_since(now).ok()?
    };
    (!wait.is_zero()).then_some(wait)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        retry_after(&headers)
    }

    #[test]
    fn seconds_may_have_a_fraction_and_are_rounded_up() {
        assert_eq!(asked("120", None), Some(Duration::from_mins(2)));
        assert_eq!(asked(" 0.25 ", None), Some(Duration::from_secs(1)));
        assert_eq!(asked("120.1", None), Some(Duration::from_secs(121)));
        assert_eq!(asked("120.0", None), Some(Duration::from_mins(2)));
    }

    #[test]
    fn a_date_is_compared_with_the_answers_own_clock() {
        let wait = asked("Fri, 31 Dec 1999 23:59:59 GMT", Some("Fri, 31 Dec 1999 23:59:29 GMT"));
        assert_eq!(wait, Some(Duration::from_secs(30)));
    }

    #[test]
    fn the_older_forms_of_a_date_are_read() {
        let date = Some("Fri, 31 Dec 1999 23:59:29 GMT");
        for until in ["Friday, 31-Dec-99 23:59:59 GMT", "Fri Dec 31 23:59:59 1999"] {
            assert_eq!(asked(until, date), Some(Duration::from_secs(30)), "{until}");
        }
    }

    #[test]
    fn a_date_beside_one_that_cannot_be_read_asks_nothing() {
        assert_eq!(asked("Fri, 31 Dec 1999 23:59:59 GMT", Some("yesterday")), None);
    }

    #[test]
    fn a_date_that_has_passed_or_has_no_reference_asks_nothing() {
        let date = "Fri, 31 Dec 1999 23:59:59 GMT";
        assert_eq!(asked(date, Some(date)), None);
        assert_eq!(asked(date, Some("Sat, 01 Jan 2000 00:00:00 GMT")), None);
        assert_eq!(asked(date, None), None);
    }

    #[test]
    fn an_absurd_number_is_a_very_long_time() {
        assert_eq!(asked("99999999999999999999999999", None), Some(Duration::MAX));
        assert_eq!(asked(&"9".repeat(400), None), Some(Duration::MAX));
    }

    #[test]
    fn what_cannot_be_read_asks_nothing() {
        for value in [
            "",
            "0",
            "-5",
            "soon",
            "1e9",
            "inf",
            "NaN",
            "1.2.3",
            ".",
            "+5",
            "0x10",
            "1 2",
            "invalid",
            "Fri, 32 Dec 1999 23:59:59 GMT",
        ] {
            assert_eq!(asked(value, None), None, "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
