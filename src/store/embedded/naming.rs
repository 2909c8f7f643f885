//! Whether a text that someone else wrote names a person.

use crate::store::{DeadLetter, InvalidRecord};

/// Bytes of an identifier that name a person where the rest is cut off.
const CUT_OFF: usize = 4;

/// The identifiers of a person, in the forms in which JSON may write them.
///
/// Generous: an identifier counts wherever it stands by itself, whatever it is the value of. A
/// record that is set aside may be cut off or no JSON at all, so it is not parsed.
#[derive(Debug, Default)]
pub(super) struct Needles(Vec<Vec<u8>>);

impl Needles {
    pub(super) fn new(identifiers: impl IntoIterator<Item = String>) -> Self {
        let mut needles: Vec<Vec<u8>> = identifiers
            .into_iter()
            .filter(|identifier| !identifier.is_empty())
            .flat_map(|identifier| {
                [escaped(&identifier, false), escaped(&identifier, true)]
                    .into_iter()
                    .chain([identifier.into_bytes()])
            })
            .map(|needle| needle.to_ascii_lowercase())
            .collect();
        needles.sort_unstable();
        needles.dedup();
        Self(needles)
    }

    pub(super) fn are_in_record(&self, record: &InvalidRecord) -> bool {
        self.are_in(&record.excerpt)
            || self.begin_at_end_of(&record.excerpt)
            || self.are_in(record.reason.as_bytes())
    }

    pub(super) fn are_in_letter(&self, letter: &DeadLetter) -> bool {
        self.are_in(&letter.answer)
            || self.are_in(letter.reason.as_bytes())
            || letter.headers.iter().any(|(_, value)| self.are_in(value.as_bytes()))
    }

    /// Whether the text was cut off inside an identifier.
    fn begin_at_end_of(&self, text: &[u8]) -> bool {
        let text = text.to_ascii_lowercase();
        self.0
            .iter()
            .any(|needle| (CUT_OFF..needle.len()).any(|length| text.ends_with(&needle[..length])))
    }

    fn are_in(&self, text: &[u8]) -> bool {
        let text = text.to_ascii_lowercase();
        self.0.iter().any(|needle| stands_in(needle, &text))
    }
}

/// Whether the needle is in the text and no part of a longer word.
fn stands_in(needle: &[u8], text: &[u8]) -> bool {
    let joins = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let mut from = 0;
    while let Some(at) = memchr::memmem::find(&text[from..], needle).map(|at| from + at) {
        let end = at + needle.len();
        let (first, last) = (needle.first(), needle.last());
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        if !(joins(before) && joins(first) || joins(last) && joins(text.get(end))) {
            return true;
        }
        from = at + 1;
    }
    false
}

/// The text as it stands in a JSON string: with what has to be escaped, or with everything that is
/// not ASCII too.
fn escaped(text: &str, ascii: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend([b'\\', c as u8]),
            c if u32::from(c) < 0x20 || ascii && !c.is_ascii() => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(identifier: &str, text: &str) -> bool {
        Needles::new([identifier.to_owned()]).are_in(text.as_bytes())
    }

    #[test]
    fn an_identifier_counts_wherever_it_stands_by_itself() {
        assert!(names("c-7", r#"{"identityMap":{"crmid":[{"id":"c-7"}"#));
        assert!(names("7", r#"{"id":7,"#));
        assert!(names("Ann@acme.example", "mailto:ann@ACME.example?x"));
        assert!(names("c-7", "c-7"));
        assert!(names("c-7", "c-71 c-7"));
    }

    #[test]
    fn a_part_of_a_longer_word_is_another_identifier() {
        for text in ["c-71", "abc-7", "17", ""] {
            assert!(!names("c-7", text), "{text}");
        }
        assert!(!names("7", r#"{"id":70,"n":17}"#));
    }

    #[test]
    fn a_record_that_was_cut_off_inside_an_identifier_names_it() {
        let needles = Needles::new(["customer-1".to_owned()]);
        assert!(needles.begin_at_end_of(br#"{"id":"custom"#));
        assert!(!needles.begin_at_end_of(br#"{"id":"cus"#));
    }

    #[test]
    fn escapes_do_not_hide_it() {
        assert!(names("zoë\"\\", r#"{"id":"zoë\"\\"}"#));
        assert!(names("zoë", r#"{"id":"zo\u00eb"}"#));
        assert!(names("zo😀", r#"{"id":"zo\uD83D\uDE00"}"#));
    }
}
