use proptest::{collection::vec, prelude::*, sample::Index};
use serde::de::IgnoredAny;

use super::{
    super::super::{
        json::Written,
        protobuf::write::{bytes, double, number},
    },
    *,
};
use crate::record::Place;

fn parse(message: &[u8]) -> Result<Records, Unread> {
    read(message, 10 << 20).map(|events| events.records)
}

fn text(value: &str) -> Vec<u8> {
    bytes(BYTES, value)
}

fn entry(key: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    bytes(ENTRIES, [bytes(1, key), bytes(2, value)].concat())
}

/// A log event with these entries.
fn log(entries: &[Vec<u8>]) -> Vec<u8> {
    bytes(EVENTS, bytes(LOG, entries.concat()))
}

fn written(message: &[u8]) -> Vec<String> {
    let written = parse(message).unwrap().finish();
    assert_eq!(written.unreadable, None);
    texts(&written)
}

fn texts(events: &Written) -> Vec<String> {
    events.records.iter().map(|record| String::from_utf8(record.json.to_vec()).unwrap()).collect()
}

fn value(value: impl AsRef<[u8]>) -> String {
    let [record] = &written(&log(&[entry("v", value)]))[..] else { panic!("one record") };
    record.strip_prefix("{\"v\":").unwrap().strip_suffix('}').unwrap().to_owned()
}

#[test]
fn every_kind_of_value_is_written_as_json() {
    assert_eq!(value(text("a \"b\"\n")), r#""a \"b\"\n""#);
    assert_eq!(value(number(INTEGER, i64::MIN.cast_unsigned())), "-9223372036854775808");
    assert_eq!(value(number(INTEGER, 0)), "0");
    assert_eq!(value(double(FLOAT, 0.1)), "0.1");
    assert_eq!(value(number(BOOLEAN, 1)), "true");
    assert_eq!(value(number(BOOLEAN, 0)), "false");
    assert_eq!(value(number(NULL, 0)), "null");
    assert_eq!(value(b""), "null", "no kind at all");
    let time = [number(1, 1_700_000_000), number(2, 5_000_000)].concat();
    assert_eq!(value(bytes(TIMESTAMP, time)), r#""2023-11-14T22:13:20.005Z""#);
    let map = [entry("a", number(INTEGER, 1)), entry("b", text("x"))].concat();
    assert_eq!(value(bytes(MAP, map)), r#"{"a":1,"b":"x"}"#);
    let array = [bytes(ENTRIES, text("x")), bytes(ENTRIES, bytes(MAP, b""))].concat();
    assert_eq!(value(bytes(ARRAY, array)), r#"["x",{}]"#);
}

#[test]
fn the_root_value_counts_where_there_is_one() {
    let filler = entry(".", number(NULL, 0));
    let root = bytes(ROOT, text("plain text"));
    let both = bytes(EVENTS, bytes(LOG, [filler, root].concat()));
    assert_eq!(written(&both), [r#""plain text""#]);
    assert_eq!(written(&log(&[])), ["{}"]);
}

#[test]
fn what_vector_notes_about_an_event_and_what_is_new_to_it_is_skipped() {
    let metadata = bytes(4, bytes(7, [0; 16]));
    let new = [number(90, 7), bytes(91, "new")].concat();
    let event = bytes(EVENTS, bytes(LOG, [entry("a", text("b")), metadata, new].concat()));
    assert_eq!(written(&[event, bytes(9, "new")].concat()), [r#"{"a":"b"}"#]);
}

#[test]
fn metrics_and_traces_are_counted_and_the_logs_beside_them_keep_their_places() {
    let metric = bytes(EVENTS, bytes(METRIC, bytes(1, "name")));
    let trace = bytes(EVENTS, bytes(TRACE, entry("a", text("b"))));
    let unknown = bytes(EVENTS, bytes(8, "new"));
    let events = parse(&[metric, log(&[]), trace, unknown, log(&[])].concat()).unwrap();
    assert_eq!(events.others(), 3);
    let events = events.finish();
    assert_eq!(texts(&events), ["{}", "{}"]);
    let places: Vec<_> = events.records.iter().map(|record| record.place).collect();
    assert_eq!(places, [Place::Item(2), Place::Item(5)]);
}

#[test]
fn text_that_is_no_utf_8_is_replaced_and_counted() {
    let events = parse(&log(&[entry("a", bytes(BYTES, b"x\xff"))])).unwrap().finish();
    assert_eq!((events.replaced, texts(&events)), (1, vec!["{\"a\":\"x\u{fffd}\"}".to_owned()]));
}

#[test]
fn an_event_that_cannot_be_read_becomes_a_record_that_is_set_aside() {
    let broken = bytes(EVENTS, bytes(LOG, bytes(ENTRIES, b"\x0a\xff")));
    let late = bytes(TIMESTAMP, number(1, i64::MAX.cast_unsigned()));
    let events =
        parse(&[log(&[]), broken, log(&[entry("t", late)]), log(&[])].concat()).unwrap().finish();
    let cut = r#""it cannot be read: it is cut off""#;
    let time = r#""it cannot be read: a time in it is out of range""#;
    assert_eq!(texts(&events), ["{}", cut, time, "{}"]);
    assert_eq!(events.unreadable, Some(Malformed::CutOff.to_string()));
}

#[test]
fn nesting_is_read_as_deep_as_records_are_and_no_deeper() {
    let nested = |levels: usize| {
        let value = (0..levels).fold(number(INTEGER, 1), |value, level| {
            if level % 2 == 0 {
                bytes(ARRAY, bytes(ENTRIES, value))
            } else {
                bytes(MAP, entry("a", value))
            }
        });
        parse(&log(&[entry("v", value)])).unwrap().finish()
    };
    let too_deep = Some(Malformed::Depth.to_string());
    let deepest = nested(DEEPEST - 1);
    assert_eq!(deepest.unreadable, None);
    serde_json::from_slice::<serde_json::Value>(&deepest.records[0].json).unwrap();
    assert_eq!(nested(DEEPEST).unreadable, too_deep);
    // Without a limit this would end the process.
    assert_eq!(nested(3_000).unreadable, too_deep);
}

#[test]
fn a_message_that_is_none_is_refused_whole() {
    let whole = log(&[entry("a", text("b"))]);
    assert_eq!(parse(&whole[..whole.len() - 1]).unwrap_err(), Malformed::CutOff.into());
    assert_eq!(parse(&number(EVENTS, 1)).unwrap_err(), Malformed::Type.into());
    assert_eq!(parse(b"").unwrap().finish().records.len(), 0);
}

proptest! {
    /// Damaged messages: whole ones with bytes exchanged, and what is no message at all.
    #[test]
    fn whatever_comes_is_refused_or_becomes_json(
        changes in vec((any::<Index>(), any::<u8>()), 0..6),
        noise in vec(any::<u8>(), 0..200),
    ) {
        let nested = bytes(MAP, entry("b", bytes(ARRAY, bytes(ENTRIES, text("x\u{e9}")))));
        let time = bytes(TIMESTAMP, [number(1, 1_700_000_000), number(2, 5)].concat());
        let entries = [entry("a", nested), entry("t", time), entry("f", double(FLOAT, 1.5))];
        let mut message = [log(&entries), log(&[]), log(&[entry("n", number(INTEGER, 7))])].concat();
        for (place, byte) in changes {
            let place = place.index(message.len());
            message[place] = byte;
        }
        for message in [message, noise] {
            let Ok(records) = parse(&message) else { continue };
            for text in texts(&records.finish()) {
                prop_assert!(serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
            }
        }
    }
}
