//! Writing JSON text value by value, straight from another encoding.

use std::fmt::Display;

use bytes::Bytes;
use jiff::{Timestamp, fmt::temporal::DateTimePrinter};

use super::protobuf::Malformed;
use crate::record::{Place, Record};

/// How deeply values may be nested. What reads records gives up beyond 128, where no profile has
/// ever been.
pub(super) const DEEPEST: usize = 120;

/// The places of a second that are written: none, or thousandths, or as many more as are needed.
const SECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
const MILLIS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
const MICROS: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
const NANOS: DateTimePrinter = DateTimePrinter::new().precision(Some(9));

/// JSON text that is being written. The caller sees to commas and brackets.
#[derive(Debug, Default)]
pub(super) struct Json {
    pub(super) text: Vec<u8>,
    /// Strings that were no UTF-8. What was wrong in them has been replaced (U+FFFD).
    pub(super) replaced: u64,
}

impl Json {
    /// Writes punctuation, or a value that is JSON already.
    pub(super) fn raw(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// Writes what stands between two items, unless this is the first behind `start`, where the
    /// items begin.
    pub(super) fn comma(&mut self, start: usize) {
        if self.text.len() > start {
            self.text.push(b',');
        }
    }

    /// Writes a string, whose bytes should be UTF-8.
    pub(super) fn string(&mut self, bytes: &[u8]) {
        if let Ok(text) = str::from_utf8(bytes) {
            self.write(text);
        } else {
            self.replaced += 1;
            self.write(&*String::from_utf8_lossy(bytes));
        }
    }

    /// Writes an integer, exactly.
    pub(super) fn integer(&mut self, number: i64) {
        self.raw(itoa::Buffer::new().format(number));
    }

    /// Writes a number with as many digits as it takes to read the same one back; `null` for what
    /// is no number, which JSON cannot say.
    pub(super) fn double(&mut self, number: f64) {
        self.write(&number);
    }

    /// Writes a time as RFC 3339 in UTC. `false` when no calendar knows it; nothing is written then.
    pub(super) fn time(&mut self, seconds: i64, nanos: i32) -> bool {
        let Ok(time) = Timestamp::new(seconds, nanos) else { return false };
        let printer = match time.subsec_nanosecond() {
            0 => SECONDS,
            nanos if nanos % 1_000_000 == 0 => MILLIS,
            nanos if nanos % 1000 == 0 => MICROS,
            _ => NANOS,
        };
        self.write(&printer.timestamp_to_string(&time));
        true
    }

    fn write<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.text, value).expect("writing into memory cannot fail");
    }
}

/// Records that are written one behind the other into one text.
#[derive(Debug)]
pub(super) struct Records {
    json: Json,
    /// The number of each record and the place in the text where it ends.
    ends: Vec<(u64, usize)>,
    number: u64,
    unreadable: Option<String>,
    room: usize,
}

/// Why records are not written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// What should hold them cannot be read.
    Malformed(String),
    /// They take more memory than they may.
    Full,
}

impl From<Malformed> for Unread {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.to_string())
    }
}

/// What a record takes besides its text.
const RECORD_BYTES: usize = size_of::<Record>() + size_of::<(u64, usize)>();

/// What came of what was to be written.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The records in their order.
    pub(super) records: Vec<Record>,
    /// Strings that were no UTF-8.
    pub(super) replaced: u64,
    /// Why the first of those that cannot be read cannot be.
    pub(super) unreadable: Option<String>,
}

impl Written {
    /// Records that were not written but came as JSON.
    pub(super) fn of(records: Vec<Record>) -> Self {
        Self { records, ..Self::default() }
    }
}

impl Records {
    /// Records that take at most `room` bytes of memory together.
    pub(super) fn new(room: usize) -> Self {
        Self { json: Json::default(), ends: Vec::new(), number: 0, unreadable: None, room }
    }

    /// Adds the next record: what `write` writes, unless it says that this is none of ours. One
    /// that cannot be read becomes a text that says so, which is no object and therefore set
    /// aside; it hurts no other.
    pub(super) fn add<E: Display>(
        &mut self,
        write: impl FnOnce(&mut Json) -> Result<bool, E>,
    ) -> Result<(), Unread> {
        self.number += 1;
        let start = self.json.text.len();
        match write(&mut self.json) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                self.json.text.truncate(start);
                self.json.string(format!("it cannot be read: {error}").as_bytes());
                self.unreadable.get_or_insert_with(|| error.to_string());
            }
        }
        self.ends.push((self.number, self.json.text.len()));
        let taken = self.json.text.len() + self.ends.len() * RECORD_BYTES;
        if taken > self.room { Err(Unread::Full) } else { Ok(()) }
    }

    /// How many were added that were none of ours.
    pub(super) fn others(&self) -> u64 {
        self.number - self.ends.len() as u64
    }

    /// The records, as slices of the text.
    pub(super) fn finish(self) -> Written {
        let mut text = Bytes::from(self.json.text);
        let mut start = 0;
        let record = |(number, end)| {
            let json = text.split_to(end - start);
            start = end;
            Record { json, place: Place::Item(number) }
        };
        Written {
            records: self.ends.into_iter().map(record).collect(),
            replaced: self.json.replaced,
            unreadable: self.unreadable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Json)) -> String {
        let mut json = Json::default();
        write(&mut json);
        String::from_utf8(json.text).unwrap()
    }

    #[test]
    fn very_many_very_small_records_are_too_much() {
        let mut records = Records::new(10 * RECORD_BYTES);
        let mut add = || {
            records.add(|json| {
                Ok::<_, &str>({
                    json.raw("{}");
                    true
                })
            })
        };
        assert!((0..9).all(|_| add() == Ok(())));
        assert_eq!(add(), Err(Unread::Full));
    }

    #[test]
    fn what_is_no_utf_8_is_replaced_and_counted() {
        let mut json = Json::default();
        json.string(b"a\"\n\xffz");
        json.string("b\u{e9}".as_bytes());
        assert_eq!(String::from_utf8(json.text).unwrap(), "\"a\\\"\\n\u{fffd}z\"\"b\u{e9}\"");
        assert_eq!(json.replaced, 1);
    }

    #[test]
    fn numbers_keep_their_value() {
        assert_eq!(written(|json| json.integer(i64::MIN)), "-9223372036854775808");
        assert_eq!(written(|json| json.double(0.1)), "0.1");
        assert_eq!(written(|json| json.double(1.0)), "1.0");
        assert_eq!(written(|json| json.double(f64::NAN)), "null");
    }

    #[test]
    fn times_are_rfc_3339_with_the_places_that_they_need() {
        let time = |seconds, nanos| written(|json| assert!(json.time(seconds, nanos)));
        assert_eq!(time(0, 0), "\"1970-01-01T00:00:00Z\"");
        assert_eq!(time(1_700_000_000, 120_000_000), "\"2023-11-14T22:13:20.120Z\"");
        assert_eq!(time(1_700_000_000, 1_000), "\"2023-11-14T22:13:20.000001Z\"");
        assert_eq!(time(-1, 999_999_999), "\"1969-12-31T23:59:59.999999999Z\"");
        assert!(!Json::default().time(i64::MAX, 0));
    }
}
