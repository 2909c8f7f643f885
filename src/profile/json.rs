//! JSON text: strings and their escapes, compaction, removal of a prefix from keys.
//!
//! The text handed in was read by `serde_json` before, so it is valid; on text that is not, the
//! functions end with something meaningless but never panic.

use std::borrow::Cow;

use memchr::memchr2;

/// Writes a string with its quotes.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing a string into memory cannot fail");
}

/// The text of a string, or of an integer as its digits, which is never shortened by a number
/// type. `None` for any other value, and for strings that are no Unicode (lone surrogates).
pub(super) fn text(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes() {
        [b'"', inner @ .., b'"'] if memchr::memchr(b'\\', inner).is_none() => {
            Some(Cow::Borrowed(&raw[1..raw.len() - 1]))
        }
        [b'"', inner @ .., b'"'] => {
            let mut text = Vec::with_capacity(inner.len());
            unescape(inner, &mut text);
            String::from_utf8(text).ok().map(Cow::Owned)
        }
        [b'-', digits @ ..] | digits
            if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) =>
        {
            Some(Cow::Borrowed(raw))
        }
        _ => None,
    }
}

/// The place behind the closing quote of the string whose opening quote is at `start`.
pub(super) fn string_end(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(rest) = json.get(at..)
        && let Some(found) = memchr2(b'"', b'\\', rest)
    {
        if rest[found] == b'"' {
            return at + found + 1;
        }
        at += found + 2;
    }
    json.len()
}

/// Appends the text that the inside of a string stands for. A lone surrogate becomes the three
/// bytes that UTF-8 would give it, so that different strings stay different.
pub(super) fn unescape(mut inner: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', inner) {
        out.extend_from_slice(&inner[..at]);
        let escape = inner.get(at + 1).copied().unwrap_or(b'\\');
        inner = inner.get(at + 2..).unwrap_or_default();
        match escape {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => inner = unescape_unit(inner, out),
            other => out.push(other),
        }
    }
    out.extend_from_slice(inner);
}

/// Appends the JSON value without white space between its tokens, and without `prefix` at the
/// start of object keys. Strings and numbers stay as they are written.
pub(super) fn compact(json: &str, prefix: Option<&str>, out: &mut Vec<u8>) {
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = string_end(bytes, at);
                match prefix {
                    Some(prefix) if is_key(bytes, end) => {
                        write_without(prefix, &bytes[at..end], out);
                    }
                    _ => out.extend_from_slice(&bytes[at..end]),
                }
                at = end;
            }
            b' ' | b'\t' | b'\n' | b'\r' => at += 1,
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

/// Whether the string that ends here is an object key: in JSON only a key is followed by a colon.
fn is_key(json: &[u8], end: usize) -> bool {
    json[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':')
}

/// Writes a key, given with its quotes, without the prefix.
fn write_without(prefix: &str, literal: &[u8], out: &mut Vec<u8>) {
    let inner = &literal[1..literal.len().max(2) - 1];
    if let Some(rest) = inner.strip_prefix(prefix.as_bytes())
        && !prefix.contains('\\')
    {
        out.push(b'"');
        out.extend_from_slice(rest);
        out.push(b'"');
        return;
    }
    let mut key = Vec::new();
    unescape(inner, &mut key);
    match key.strip_prefix(prefix.as_bytes()).map(str::from_utf8) {
        Some(Ok(stripped)) => write_string(stripped, out),
        _ => out.extend_from_slice(literal),
    }
}

/// Reads the digits of `\uXXXX`, together with a following low surrogate, and returns the rest.
fn unescape_unit<'a>(inner: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let (unit, rest) = hex(inner);
    if (0xd800..0xdc00).contains(&unit)
        && let Some(low) = rest.strip_prefix(b"\\u")
        && let (low @ 0xdc00..0xe000, rest) = hex(low)
    {
        let point = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        push_point(point, out);
        return rest;
    }
    push_point(unit, out);
    rest
}

fn hex(digits: &[u8]) -> (u32, &[u8]) {
    let (digits, rest) = digits.split_at(digits.len().min(4));
    let value = digits
        .iter()
        .fold(0, |value, &digit| value << 4 | char::from(digit).to_digit(16).unwrap_or_default());
    (value, rest)
}

#[expect(clippy::cast_possible_truncation, reason = "each byte is masked to six bits or fewer")]
fn push_point(point: u32, out: &mut Vec<u8>) {
    match char::from_u32(point) {
        Some(character) => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        None => out.extend_from_slice(&[
            0xe0 | (point >> 12) as u8 & 0x0f,
            0x80 | (point >> 6) as u8 & 0x3f,
            0x80 | point as u8 & 0x3f,
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compacted(json: &str, prefix: Option<&str>) -> String {
        let mut out = Vec::new();
        compact(json, prefix, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn white_space_goes_and_literals_stay_as_they_are_written() {
        assert_eq!(
            compacted(" { \"a b\" : [ 1.50 , \"x \\\" { y\" ] ,\n\t\"é\\u00e9\" : 1e3 } ", None),
            r#"{"a b":[1.50,"x \" { y"],"é\u00e9":1e3}"#
        );
    }

    #[test]
    fn a_prefix_goes_from_keys_only() {
        assert_eq!(
            compacted(
                r#"{"xdm:a":"xdm:b","\u0078dm:c\n" : [{"xdm:xdm:d":["xdm:e"]}],"f":null}"#,
                Some("xdm:")
            ),
            r#"{"a":"xdm:b","c\n":[{"xdm:d":["xdm:e"]}],"f":null}"#
        );
    }

    #[test]
    fn text_is_a_string_or_an_integer_of_any_length() {
        let digits = "12345678901234567890123456789012345678";
        assert_eq!(text(digits).as_deref(), Some(digits));
        assert_eq!(text(&format!("\"{digits}\"")).as_deref(), Some(digits));
        assert_eq!(text("-7").as_deref(), Some("-7"));
        assert_eq!(text(r#""\u0041\ud83d\ude00\/\n""#).as_deref(), Some("A😀/\n"));
        for other in ["1.0", "1e3", "true", "null", "[]", "{}", "-", "", "\"", r#""\ud800""#] {
            assert_eq!(text(other), None, "{other}");
        }
    }

    #[test]
    fn lone_surrogates_stay_apart() {
        let unescaped = |inner: &str| {
            let mut out = Vec::new();
            unescape(inner.as_bytes(), &mut out);
            out
        };
        assert_ne!(unescaped(r"\ud800"), unescaped(r"\ud801"));
        assert_eq!(unescaped(r"\ud800\ud83d\ude00"), [unescaped(r"\ud800"), "😀".into()].concat());
        assert_eq!(unescaped(r"\ud800x"), [&unescaped(r"\ud800")[..], b"x"].concat());
    }
}
