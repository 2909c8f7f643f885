//! JSON numbers as exact decimals, from their text. A conversion to `f64` would make two different
//! customer numbers equal, and expanding `1e999999999` would not fit into memory.

/// A number as `digits × 10^exponent`, with the digits still split at the point.
struct Decimal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// `None` beyond 18 digits.
    exponent: Option<i64>,
}

impl<'a> Decimal<'a> {
    /// Splits the text of a valid JSON number.
    fn parse(text: &'a [u8]) -> Self {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let (mantissa, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
            Some(at) => (&text[..at], parse_exponent(&text[at + 1..])),
            None => (text, Some(0)),
        };
        let (whole, fraction) = match memchr::memchr(b'.', mantissa) {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, &[][..]),
        };
        Self { negative, whole, fraction, exponent }
    }

    fn digits(&self) -> impl DoubleEndedIterator<Item = u8> + Clone {
        self.whole.iter().chain(self.fraction).copied()
    }

    fn is_zero(&self) -> bool {
        self.digits().all(|digit| digit == b'0')
    }

    /// The power of ten of the last digit.
    fn scale(&self) -> Option<i64> {
        self.exponent?.checked_sub(i64::try_from(self.fraction.len()).ok()?)
    }
}

/// Appends the canonical form of the number: equal for equal values, however they are written.
/// Returns whether it is one; a number whose exponent has more than 18 digits stands for itself.
pub(super) fn canonical(text: &[u8], out: &mut Vec<u8>) -> bool {
    let decimal = Decimal::parse(text);
    if decimal.is_zero() {
        out.push(b'0');
        return true;
    }
    let Some(scale) = decimal.scale() else {
        out.extend_from_slice(text);
        return false;
    };
    let start = out.len();
    out.extend(decimal.digits().skip_while(|&digit| digit == b'0'));
    let mut exponent = scale;
    while out.len() > start && out.ends_with(b"0") {
        out.pop();
        exponent += 1;
    }
    // Of fixed length, so that digits and exponent cannot run into each other.
    out.extend_from_slice(&exponent.to_le_bytes());
    out.push(u8::from(decimal.negative));
    true
}

/// The number in billionths, finer digits cut off; `None` when that does not fit.
pub(super) fn billionths(text: &[u8]) -> Option<i128> {
    let decimal = Decimal::parse(text);
    if decimal.is_zero() {
        return Some(0);
    }
    let digits = decimal.digits().skip_while(|&digit| digit == b'0');
    let places = i64::try_from(digits.clone().count()).ok()?;
    // How many digits stand before the point once it is moved by nine places.
    let wanted = places.checked_add(decimal.scale()?)?.checked_add(9)?;
    let wanted = usize::try_from(wanted.max(0)).ok()?;
    let mut value = 0_i128;
    for digit in digits.chain(std::iter::repeat(b'0')).take(wanted) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    Some(if decimal.negative { -value } else { value })
}

fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    let digits = &digits[zeros..];
    if digits.len() > 18 {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        canonical(text.as_bytes(), &mut out);
        out
    }

    #[test]
    fn equal_numbers_have_one_form_however_they_are_written() {
        for same in [
            &["1", "1.0", "1e0", "1.000e+00", "10e-1", "0.1E1", "0.0001e4"][..],
            &["0", "-0", "0.00", "0e7", "0e99999999999999999999999999"],
            &["-1250", "-1.25e3", "-1250.00", "-0.00125e6"],
            &["1e1000000", "10e999999", "1.0e+1000000"],
            &["123456789012345678901234567890", "1.2345678901234567890123456789e29"],
        ] {
            for text in same {
                assert_eq!(form(text), form(same[0]), "{text}");
            }
        }
    }

    #[test]
    fn different_numbers_have_different_forms() {
        let texts = [
            "0",
            "1",
            "-1",
            "10",
            "0.1",
            "1e10",
            "1e-10",
            "11",
            "9007199254740992",
            "9007199254740993",
            "123456789012345678901234567890",
            "123456789012345678901234567891",
            "1e99999999999999999999",
            "1e99999999999999999998",
        ];
        for (i, a) in texts.iter().enumerate() {
            for b in &texts[..i] {
                assert_ne!(form(a), form(b), "{a} {b}");
            }
        }
    }

    #[test]
    fn a_number_in_billionths_is_exact_or_out_of_range() {
        let value = |text: &str| billionths(text.as_bytes());
        assert_eq!(value("7"), Some(7_000_000_000));
        assert_eq!(value("-1.5"), Some(-1_500_000_000));
        assert_eq!(value("1.7e12"), Some(1_700_000_000_000_000_000_000));
        assert_eq!(value("0.0000000019"), Some(1));
        assert_eq!(value("1e-400"), Some(0));
        assert_eq!(value("0e99999999999999999999"), Some(0));
        assert_eq!(value("1e400"), None);
        assert_eq!(value("1e999999999999999999"), None);
        assert_eq!(value("1e99999999999999999999"), None);
    }
}
