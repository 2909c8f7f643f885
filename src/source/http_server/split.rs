use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, header};
use memchr::memchr;
use serde::{
    Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::super::{json::Unread, lines};
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

/// The media types in use for MessagePack; the first is registered.
const MESSAGE_PACK: [&str; 3] =
    ["application/vnd.msgpack", "application/msgpack", "application/x-msgpack"];

/// What a body is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json(Form),
    MessagePack,
}

/// How records stand in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A record in each line, because `Content-Type` says so.
    Lines,
    /// An object, an array or lines: whatever it looks like.
    Look,
}

impl Format {
    /// Reads `Content-Type`. Of JSON only NDJSON is told by it: `application/json` is also what
    /// many senders write above NDJSON.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(header::CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes());
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |name: &&str| essence.eq_ignore_ascii_case(name.as_bytes());
        if NDJSON.iter().any(is) {
            Self::Json(Form::Lines)
        } else if MESSAGE_PACK.iter().any(is) {
            Self::MessagePack
        } else {
            Self::Json(Form::Look)
        }
    }
}

/// The records of a body, or why nothing in it can be read, naming the place. They take at most
/// `room` bytes of memory besides the body.
pub(super) fn records(body: &Bytes, form: Form, room: usize) -> Result<Vec<Record>, Unread> {
    let most = room / size_of::<Record>();
    match split(body, form, most) {
        Ok(records) if records.len() > most => Err(Unread::Full),
        Ok(records) => Ok(records),
        Err(reason) => Err(Unread::Malformed(reason)),
    }
}

/// One record more than `most` stands for all that are too many.
fn split(body: &Bytes, form: Form, most: usize) -> Result<Vec<Record>, String> {
    match (body.trim_ascii_start().first(), form) {
        (None, _) => Err("the body is empty".to_owned()),
        _ if body.starts_with(&GZIP) => {
            Err("the body is compressed; say so with `Content-Encoding: gzip`".to_owned())
        }
        (Some(b'['), Form::Look) => array(body, most),
        (Some(_), Form::Look) => object_or_lines(body, most),
        (Some(_), Form::Lines) => {
            let records = lines_of(body, most);
            // One line that parses is enough to tell records from something else.
            if records.iter().any(|record| is_json(&record.json)) {
                Ok(records)
            } else {
                Err(format!("no line parses; {}", first_error(body, &records)))
            }
        }
    }
}

fn array(body: &Bytes, most: usize) -> Result<Vec<Record>, String> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let records = json.deserialize_seq(Items { body, most });
    records
        .and_then(|records| json.end().map(|()| records))
        .map_err(|error| format!("the array does not parse: {}", At::start(&error)))
}

/// The items of an array.
struct Items<'b> {
    body: &'b Bytes,
    most: usize,
}

impl<'b> Visitor<'b> for Items<'b> {
    type Value = Vec<Record>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<S: SeqAccess<'b>>(self, mut items: S) -> Result<Vec<Record>, S::Error> {
        let mut records = Vec::new();
        while let Some(item) = items.next_element()? {
            if records.len() <= self.most {
                records.push(item_of(self.body, item, records.len()));
            }
        }
        Ok(records)
    }
}

fn item_of(body: &Bytes, item: &RawValue, before: usize) -> Record {
    Record { json: body.slice_ref(item.get().as_bytes()), place: Place::Item(before as u64 + 1) }
}

fn object_or_lines(body: &Bytes, most: usize) -> Result<Vec<Record>, String> {
    let text = body.trim_ascii();
    if let Some(end) = memchr(b'\n', text)
        && is_json(&text[..end])
    {
        return Ok(lines_of(body, most));
    }
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => Ok(vec![Record { json: body.slice_ref(text), place: Place::Whole }]),
        Err(error) => {
            if let Some(records) = one_after_the_other(body, most) {
                return Ok(records);
            }
            // NDJSON whose first line is damaged? A piece of an object that was written over
            // several lines is indented, so only a line that begins with its object tells.
            let records = lines_of(body, most);
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

/// Objects with nothing in between, as Fluent Bit writes them with `format json_stream`.
fn one_after_the_other(body: &Bytes, most: usize) -> Option<Vec<Record>> {
    let mut records = Vec::new();
    for item in serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>() {
        let item = item.ok()?;
        if records.len() <= most {
            records.push(item_of(body, item, records.len()));
        }
    }
    Some(records)
}

fn lines_of(body: &Bytes, most: usize) -> Vec<Record> {
    lines::records(body, &mut 0).take(most + 1).collect()
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

    fn read(body: &str, form: Form) -> Result<Vec<(String, String)>, String> {
        let text = |r: Record| (r.place.to_string(), String::from_utf8_lossy(&r.json).into_owned());
        let body = Bytes::copy_from_slice(body.as_bytes());
        Ok(split(&body, form, 100)?.into_iter().map(text).collect())
    }

    fn looks_like(body: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|(p, j)| ((*p).to_owned(), (*j).to_owned())).collect();
        assert_eq!(read(body, Form::Look), Ok(expected), "{body}");
    }

    #[test]
    fn compression_that_was_not_announced_is_named() {
        let body = Bytes::from_static(b"\x1f\x8b\x08\0\0\0\0\0");
        for format in [Form::Look, Form::Lines] {
            assert!(split(&body, format, 100).unwrap_err().contains("Content-Encoding: gzip"));
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
        let lines = read("oops\n\n [1]\n", Form::Lines);
        assert_eq!(
            lines,
            Ok(vec![("line 1".into(), "oops".into()), ("line 3".into(), "[1]".into())])
        );
    }

    #[test]
    fn objects_with_nothing_between_them_are_taken() {
        let items = [("item 1", "{\"a\":1}"), ("item 2", "{\"b\":\n2}"), ("item 3", "{}")];
        looks_like("{\"a\":1}{\"b\":\n2} {}", &items);
    }

    #[test]
    fn very_many_very_small_records_are_too_much() {
        for body in ["[0,0,0,0,0,0,0,0]", "0\n0\n0\n0\n0\n0\n0\n0\n", "{}{}{}{}{}{}{}{}"] {
            let body = Bytes::from_static(body.as_bytes());
            assert_eq!(records(&body, Form::Look, 8 * size_of::<Record>()).unwrap().len(), 8);
            let over = records(&body, Form::Look, 8 * size_of::<Record>() - 1);
            assert_eq!(over.unwrap_err(), Unread::Full);
        }
    }

    #[test]
    fn nothing_readable_names_the_place() {
        let fails = |body: &str, format, message: &str| {
            assert_eq!(read(body, format), Err(message.to_owned()));
        };
        fails(" \n", Form::Look, "the body is empty");
        fails(
            "[{},\n {\"a\" 1}]",
            Form::Look,
            "the array does not parse: line 2 column 7: expected `:`",
        );
        fails(
            "{\n  \"a\": [\n    {}\n  ],\n  oops\n}",
            Form::Look,
            "the record does not parse: line 5 column 3: key must be a string",
        );
        fails("\n  oops\nstill\n", Form::Lines, "no line parses; line 2 column 3: expected value");
    }

    #[test]
    fn records_are_slices_of_the_body() {
        let body = Bytes::from_static(b"[{\"a\":1}]");
        let records = records(&body, Form::Look, 1000).unwrap();
        assert_eq!(records[0].json.as_ptr(), body[1..].as_ptr());
    }
}
