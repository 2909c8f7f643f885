use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use super::*;

fn to_json(bytes: &[u8]) -> String {
    let mut json = Json::new(1 << 20);
    let mut reader = Reader::new(bytes);
    json.write(&mut reader).unwrap();
    assert!(reader.is_empty());
    String::from_utf8(json.into_text()).unwrap()
}

#[track_caller]
fn is(bytes: &[u8], expected: &str) {
    assert_eq!(to_json(bytes), expected);
}

#[test]
fn numbers_keep_all_their_digits() {
    is(b"\x7f", "127");
    is(b"\xe0", "-32");
    is(b"\xcc\xff", "255");
    is(b"\xcd\xff\xff", "65535");
    is(b"\xce\xff\xff\xff\xff", "4294967295");
    is(b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615");
    is(b"\xd0\x80", "-128");
    is(b"\xd1\x80\x00", "-32768");
    is(b"\xd2\x00\x00\x00\x01", "1");
    is(b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808");
    is(b"\xca\x3d\xcc\xcc\xcd", "0.1");
    is(&[&b"\xcb"[..], &0.1f64.to_be_bytes()].concat(), "0.1");
    is(&[&b"\xcb"[..], &1e300f64.to_be_bytes()].concat(), "1e+300");
    is(&[&b"\xcb"[..], &f64::NAN.to_be_bytes()].concat(), "null");
    is(b"\xca\xff\x80\x00\x00", "null");
}

#[test]
fn text_and_bytes_become_text_whatever_they_hold() {
    is(b"\xa8\"\\/\n\x01\xc3\xa4z", r#""\"\\/\n\u0001äz""#);
    is(b"\xc4\x02ab", r#""ab""#);
    is(b"\xd9\x01a", r#""a""#);
    is(b"\xda\x00\x01a", r#""a""#);
    is(b"\xdb\x00\x00\x00\x01a", r#""a""#);
    let mut json = Json::new(100);
    json.write(&mut Reader::new(b"\x92\xa5a\xff\xfeb\xc3\xc4\x01\x80")).unwrap();
    assert_eq!(json.repaired(), 2);
    assert_eq!(json.into_text(), "[\"a\u{fffd}\u{fffd}b\u{fffd}\",\"\u{fffd}\"]".as_bytes());
}

#[test]
fn maps_keep_their_order_their_doubles_and_keys_of_any_kind() {
    is(b"\x83\xa1b\x01\xa1a\x02\xa1b\x03", r#"{"b":1,"a":2,"b":3}"#);
    is(b"\x84\x01\xc0\xc3\x90\xc0\x80\xc4\x01k\xc2", r#"{"1":null,"true":[],"null":{},"k":false}"#);
    is(b"\x81\xd6\xff\x00\x00\x00\x00\x01", r#"{"1970-01-01T00:00:00Z":1}"#);
    is(b"\xdf\x00\x00\x00\x01\xa1a\xdd\x00\x00\x00\x01\x01", r#"{"a":[1]}"#);
    is(b"\xde\x00\x01\xa1a\xdc\x00\x01\x01", r#"{"a":[1]}"#);
}

#[test]
fn times_are_told_from_other_extensions() {
    is(b"\xd6\xff\x65\x00\x00\x00", r#""2023-09-12T06:06:56Z""#);
    is(b"\xd7\xff\x00\x00\x00\x04\x65\x00\x00\x00", r#""2023-09-12T06:06:56.000000001Z""#);
    is(
        b"\xc7\x0c\xff\x00\x00\x00\x05\xff\xff\xff\xff\xff\xff\xff\xff",
        r#""1969-12-31T23:59:59.000000005Z""#,
    );
    is(b"\xd7\x00\x65\x00\x00\x00\x3b\x9a\xc9\xff", r#""2023-09-12T06:06:56.999999999Z""#);
    is(b"\xc7\x08\x00\x65\x00\x00\x00\x00\x00\x00\x00", r#""2023-09-12T06:06:56Z""#);
    for other in [
        &b"\xd7\x00\x65\x00\x00\x00\x3b\x9a\xca\x00"[..],
        b"\xd4\x00\x01",
        b"\xc7\x00\x05",
        b"\xc8\x00\x01\x05x",
        b"\xc9\x00\x00\x00\x01\x05x",
        b"\xd8\x01xxxxxxxxxxxxxxxx",
        b"\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff",
    ] {
        is(other, "null");
    }
}

#[test]
fn what_has_no_json_becomes_a_text_that_says_so_and_its_neighbours_stay() {
    let nested = |levels: usize| [vec![0x91; levels], vec![0xc0]].concat();
    let text = to_json(&nested(MAX_DEPTH));
    assert_eq!(text, format!("{}null{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)));

    let mut json = Json::new(1000);
    let bytes = [&b"\x01"[..], &nested(1_000_000), b"\x81\x80\x01\x02"].concat();
    let mut reader = Reader::new(&bytes);
    while !reader.is_empty() {
        json.write(&mut reader).unwrap();
    }
    let text = String::from_utf8(json.into_text()).unwrap();
    let expected = "1\"a MessagePack value that is not JSON: nested deeper than 256 levels\"\
                    \"a MessagePack value that is not JSON: a map or array is a key\"2";
    assert_eq!(text, expected);
}

#[test]
fn lengths_are_not_believed() {
    for hostile in [
        &b"\xdb\xff\xff\xff\xffabc"[..],
        b"\xc6\xff\xff\xff\xffabc",
        b"\xc9\xff\xff\xff\xff\x00abc",
        b"\xdd\xff\xff\xff\xff\x01",
        b"\xdf\xff\xff\xff\xff\x01",
        b"\xcf\x00",
        b"",
    ] {
        let mut json = Json::new(1000);
        let written = json.write(&mut Reader::new(hostile));
        assert_eq!(written, Err(Full::Malformed(Malformed::Truncated)), "{hostile:?}");
        assert_eq!(Reader::new(hostile).value(), Err(Malformed::Truncated));
    }
    assert_eq!(Reader::new(b"\x91\xc1").value(), Err(Malformed::Reserved));
    let mut extent = Extent::default();
    assert_eq!(extent.find(b"\xdf\xff\xff\xff\xff\xa1"), Ok(None));
    assert!(extent.least() > 2 * 0xffff_ffff);
}

#[test]
fn what_is_written_is_bounded_also_where_escapes_blow_it_up() {
    let controls = [&b"\xdb\x00\x10\x00\x00"[..], &vec![1; 1 << 20]].concat();
    let mut json = Json::new(1 << 20);
    assert_eq!(json.write(&mut Reader::new(&controls)), Err(Full::Limit));
    assert!(json.len() < (1 << 20) + 10);
    assert_eq!(Json::new(10).reserve(11), Err(Full::Limit));
}

/// `value` as `MessagePack`, in the longest form of each length or the shortest.
fn encode(value: &Value, long: bool, out: &mut Vec<u8>) {
    let length = |short: u8, max: usize, marker: u8, length: usize, out: &mut Vec<u8>| {
        if !long && length <= max {
            out.push(short | u8::try_from(length).unwrap());
        } else {
            out.push(marker);
            out.extend(u32::try_from(length).unwrap().to_be_bytes());
        }
    };
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(value) => out.push(0xc2 + u8::from(*value)),
        Value::Number(number) => {
            if let Some(number) = number.as_u64() {
                out.push(0xcf);
                out.extend(number.to_be_bytes());
            } else if let Some(number) = number.as_i64() {
                out.push(0xd3);
                out.extend(number.to_be_bytes());
            } else {
                out.push(0xcb);
                out.extend(number.as_f64().unwrap().to_be_bytes());
            }
        }
        Value::String(text) => {
            length(0xa0, 31, 0xdb, text.len(), out);
            out.extend(text.as_bytes());
        }
        Value::Array(items) => {
            length(0x90, 15, 0xdd, items.len(), out);
            for item in items {
                encode(item, long, out);
            }
        }
        Value::Object(map) => {
            length(0x80, 15, 0xdf, map.len(), out);
            for (key, value) in map {
                encode(&Value::String(key.clone()), long, out);
                encode(value, long, out);
            }
        }
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // What serde_json reads back exactly.
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::from),
            vec((any::<String>(), inner), 0..20)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_says_the_same_as_messagepack(value in values(), long: bool) {
        let mut bytes = Vec::new();
        encode(&value, long, &mut bytes);
        let text = to_json(&bytes);
        prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn floats_keep_their_value(float in any::<f64>().prop_filter("finite", |float| float.is_finite())) {
        let text = to_json(&[&b"\xcb"[..], &float.to_be_bytes()].concat());
        prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), float.to_bits());
    }

    #[test]
    fn an_end_is_found_wherever_the_bytes_are_cut(value in values(), long: bool, cuts in vec(0usize..500, 0..5)) {
        let mut bytes = Vec::new();
        encode(&value, long, &mut bytes);
        let length = bytes.len();
        bytes.extend_from_slice(b"\xc1\x01");
        let mut cuts: Vec<_> = cuts.into_iter().filter(|cut| *cut < length).collect();
        cuts.sort_unstable();
        let mut extent = Extent::default();
        for cut in cuts {
            prop_assert_eq!(extent.find(&bytes[..cut]), Ok(None));
            prop_assert!(extent.least() <= length as u64);
        }
        prop_assert_eq!(extent.find(&bytes), Ok(Some(length)));
    }

    #[test]
    fn any_bytes_end_in_json_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        let mut json = Json::new(10_000);
        let mut reader = Reader::new(&bytes);
        let whole = Reader::new(&bytes).value();
        match json.write(&mut reader) {
            Ok(()) => {
                prop_assert_eq!(whole.unwrap().len(), bytes.len() - reader.remaining());
                prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&json.into_text()).is_ok());
            }
            Err(Full::Malformed(malformed)) => prop_assert_eq!(whole, Err(malformed)),
            Err(Full::Limit) => {}
        }
    }
}
