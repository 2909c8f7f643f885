use bytes::Bytes;
use memchr::memchr_iter;

use crate::record::{Place, Record};

/// The lines of NDJSON in `text` that are not blank, as slices of it. `number` counts lines,
/// blank ones included, and stands at the number of lines before `text`.
pub(super) fn records<'a>(
    text: &'a Bytes,
    number: &'a mut u64,
) -> impl Iterator<Item = Record> + 'a {
    let mut start = 0;
    let ends = memchr_iter(b'\n', text).map(|end| end + 1);
    let rest = text.last().is_some_and(|last| *last != b'\n').then_some(text.len());
    ends.chain(rest).filter_map(move |end| {
        let line = text[start..end].trim_ascii();
        start = end;
        *number += 1;
        (!line.is_empty())
            .then(|| Record { json: text.slice_ref(line), place: Place::Line(*number) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &'static str) -> Vec<(String, String)> {
        let (text, mut number) = (Bytes::from(text), 0);
        records(&text, &mut number)
            .map(|r| (r.place.to_string(), String::from_utf8_lossy(&r.json).into_owned()))
            .collect()
    }

    #[test]
    fn blank_lines_and_line_ends_are_not_part_of_records() {
        let expected = [("line 1", "{}"), ("line 4", "[ 1 ]"), ("line 5", "x")]
            .map(|(place, json)| (place.to_owned(), json.to_owned()));
        assert_eq!(split("{}\r\n\n \t\r\n [ 1 ]\nx"), expected);
        assert_eq!(split("{}\r\n\n \t\r\n [ 1 ]\nx\n\n"), expected);
        assert_eq!(split(""), []);
    }
}
