use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, header};
use memchr::memchr;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::super::lines;
use crate::record::{Place, Record};

/// The media types in use for NDJSON; none is registered.
const NDJSON: [&str; 6] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/jsonlines",
    "application/x-jsonlines",
];

/// How a gzip member begins (RFC 1952 section 2.3.1); no JSON does.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How records stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A record in each line, because `Content-Type` says so.
    Lines,
    /// An object, an array or lines: whatever it looks like.
    Look,
}

impl Format {
    /// Reads `Content-Type`. Only NDJSON is told by it: `application/json` is also what many
    /// senders write above NDJSON.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(header::CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes());
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if NDJSON.iter().any(|ndjson| essence.eq_ignore_ascii_case(ndjson.as_bytes())) {
            Self::Lines
        } else {
            Self::Look
        }
    }
}

/// The records of a body, or why nothing in it can be read, naming the place.
pub(super) fn records(body: &Bytes, format: Format) -> Result<Vec<Record>, String> {
    match (body.trim_ascii_start().first(), format) {
        (None, _) => Err("the body is empty".to_owned()),
        _ if body.starts_with(&GZIP) => {
            Err("the body is compressed; say so with `Content-Encoding: gzip`".to_owned())
        }
        (Some(b'['), Format::Look) => array(body),
        (Some(_), Format::Look) => object_or_lines(body),
        (Some(_), Format::Lines) => {
            let records = lines_of(body);
            // One line that parses is enough to tell records from something else.
            if records.iter().any(|record| is_json(&record.json)) {
                Ok(records)
            } else {
                Err(format!("no line parses; {}", first_error(body, &records)))
            }
        }
    }
}

fn array(body: &Bytes) -> Result<Vec<Record>, String> {
    let items: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|error| format!("the array does not parse: {}", At::start(&error)))?;
    let record = |(item, number): (&RawValue, u64)| Record {
        json: body.slice_ref(item.get().as_bytes()),
        place: Place::Item(number),
    };
    Ok(items.into_iter().zip(1..).map(record).collect())
}

fn object_or_lines(body: &Bytes) -> Result<Vec<Record>, String> {
    let text = body.trim_ascii();
    if let Some(end) = memchr(b'\n', text)
        && is_json(&text[..end])
    {
        return Ok(lines_of(body));
    }
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => Ok(vec![Record { json: body.slice_ref(text), place: Place::Whole }]),
        Err(error) => {
            // NDJSON whose first line is damaged? A piece of an object that was written over
            // several lines is indented, so only a line that begins with its object tells.
            let records = lines_of(body);
            let is_line = |record: &&Record| {
                let start = offset(body, record);
                (start == 0 || body[start - 1] == b'\n') && record.json.starts_with(b"{")
            };
            if records.iter().filter(is_line).any(|record| is_json(&record.json)) {
                Ok(records)
            } else {
                Err(format!("the record does not parse: {}", At::start(&error)))
            }
        }
    }
}

fn lines_of(body: &Bytes) -> Vec<Record> {
    lines::records(body, &mut 0).collect()
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

fn first_error(body: &Bytes, records: &[Record]) -> String {
    let Some(record) = records.first() else { return String::new() };
    let Err(error) = serde_json::from_slice::<IgnoredAny>(&record.json) else {
        return String::new();
    };
    let start = offset(body, record);
    let lines = memchr::memchr_iter(b'\n', &body[..start]).count();
    let columns = start - memchr::memrchr(b'\n', &body[..start]).map_or(0, |end| end + 1);
    At { error: &error, lines, columns }.to_string()
}

/// Where in the body a record begins.
fn offset(body: &Bytes, record: &Record) -> usize {
    record.json.as_ptr() as usize - body.as_ptr() as usize
}

/// Shows an error with its place in the body, of which `lines` and `columns` were not parsed.
struct At<'a> {
    error: &'a serde_json::Error,
    lines: usize,
    columns: usize,
}

impl<'a> At<'a> {
    fn start(error: &'a serde_json::Error) -> Self {
        Self { error, lines: 0, columns: 0 }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = (self.error.line(), self.error.column());
        let text = self.error.to_string();
        let text = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        write!(f, "line {} column {}: {text}", line + self.lines, column + self.columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, format: Format) -> Result<Vec<(String, String)>, String> {
        let text = |r: Record| (r.place.to_string(), String::from_utf8_lossy(&r.json).into_owned());
        let body = Bytes::copy_from_slice(body.as_bytes());
        Ok(records(&body, format)?.into_iter().map(text).collect())
    }

    fn looks_like(body: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(p, j)| ((*p).to_owned(), (*j).to_owned())).collect();
        assert_eq!(read(body, Format::Look), Ok(expected), "{body}");
    }

    #[test]
    fn compression_that_was_not_announced_is_named() {
        let body = Bytes::from_static(b"\x1f\x8b\x08\0\0\0\0\0");
        for format in [Format::Look, Format::Lines] {
            assert!(records(&body, format).unwrap_err().contains("Content-Encoding: gzip"));
        }
    }

    #[test]
    fn a_body_is_an_object_an_array_or_lines_by_what_it_looks_like() {
        looks_like(" {\"a\": 1} \n", &[("the record", "{\"a\": 1}")]);
        looks_like("{\n \"a\": {}\n}\n", &[("the record", "{\n \"a\": {}\n}")]);
        looks_like("\n[ {\"a\":1} ,\n2]", &[("item 1", "{\"a\":1}"), ("item 2", "2")]);
        looks_like("[]", &[]);
        looks_like("{}\n\n{\"a\":1}", &[("line 1", "{}"), ("line 3", "{\"a\":1}")]);
    }

    #[test]
    fn a_bad_line_among_good_ones_does_not_fail_the_rest_wherever_it_stands() {
        looks_like("{}\n{\"a\n", &[("line 1", "{}"), ("line 2", "{\"a")]);
        looks_like("{\"a\n{}\n", &[("line 1", "{\"a"), ("line 2", "{}")]);
        let lines = read("oops\n\n [1]\n", Format::Lines);
        assert_eq!(
            lines,
            Ok(vec![("line 1".into(), "oops".into()), ("line 3".into(), "[1]".into())])
        );
    }

    #[test]
    fn nothing_readable_names_the_place() {
        let fails = |body: &str, format, message: &str| {
            assert_eq!(read(body, format), Err(message.to_owned()));
        };
        fails(" \n", Format::Look, "the body is empty");
        fails(
            "[{},\n {\"a\" 1}]",
            Format::Look,
            "the array does not parse: line 2 column 7: expected `:`",
        );
        fails(
            "{\n  \"a\": [\n    {}\n  ],\n  oops\n}",
            Format::Look,
            "the record does not parse: line 5 column 3: key must be a string",
        );
        fails(
            "\n  oops\nstill\n",
            Format::Lines,
            "no line parses; line 2 column 3: expected value",
        );
    }

    #[test]
    fn records_are_slices_of_the_body() {
        let body = Bytes::from_static(b"[{\"a\":1}]");
        let records = records(&body, Format::Look).unwrap();
        assert_eq!(records[0].json.as_ptr(), body[1..].as_ptr());
    }
}
