//! What the decoders of sources promise of any bytes: see [`crate::fuzzing`].

use std::io::Write;

use bytes::Bytes;
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};

use super::{
    fluent::{is_ping, read_all, read_entries},
    http_server,
    json::Unread,
    msgpack::{Extent, Full, Json, Reader},
    opentelemetry::{self, ProfileFrom},
    protobuf::write::{bytes, number},
    vector,
};
use crate::{
    encoding::{Encoding, EncodingError},
    fuzzing::is_json,
    record::Record,
};

/// The most that anything may be decompressed to, or take as records.
const LIMIT: usize = 64 * 1024;

fn texts(records: &[Record]) -> Vec<&[u8]> {
    records.iter().map(|record| &record.json[..]).collect()
}

fn are_json(records: &[Record]) {
    for record in records {
        assert!(is_json(&record.json), "{}", String::from_utf8_lossy(&record.json));
    }
}

/// A value is found to end at the same place however its bytes come, and becomes JSON exactly when
/// it is whole.
pub(crate) fn msgpack(value: &[u8]) {
    let whole = Reader::new(value).value().map(<[u8]>::len);
    let mut extent = Extent::default();
    for come in 0..=value.len() {
        match extent.find(&value[..come]) {
            Ok(None) => assert!(come < value.len() || whole.is_err()),
            Ok(Some(length)) => {
                assert_eq!(whole, Ok(length));
                assert_eq!(come, length, "its end is found as soon as it has come");
                break;
            }
            Err(malformed) => {
                assert_eq!(whole, Err(malformed));
                break;
            }
        }
        if let Ok(length) = whole {
            assert!(extent.least() <= length as u64);
        }
    }
    let mut json = Json::new(LIMIT);
    let mut reader = Reader::new(value);
    match json.write(&mut reader) {
        Ok(()) => {
            assert_eq!(whole, Ok(value.len() - reader.remaining()));
            assert!(json.len() <= LIMIT);
            let text = json.into_text();
            assert!(is_json(&text), "{}", String::from_utf8_lossy(&text));
        }
        Err(Full::Malformed(malformed)) => assert_eq!(whole, Err(malformed)),
        Err(Full::Limit) => assert!(value.len() > LIMIT / 80, "JSON is not so much longer"),
    }
}

pub(crate) fn msgpack_seeds() -> Vec<Vec<u8>> {
    let record = b"\x84\xa1a\x01\xa5crmid\x91\x81\xa2id\xa2c1\xa1f\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a\xda\x00\x02\xc3\xa9\xc3";
    let times = b"\x93\xd6\xff\x65\x00\x00\x00\xd7\x00\x65\x00\x00\x00\x3b\x9a\xc9\xff\xc7\x0c\xff\x00\x00\x00\x05\xff\xff\xff\xff\xff\xff\xff\xff";
    let lengths = b"\xdd\x00\x00\x00\x04\xdb\x00\x00\x00\x01\"\xc6\x00\x00\x00\x02\xff\n\xde\x00\x01\xd3\xff\xff\xff\xff\xff\xff\xff\xfe\xc0\xc9\x00\x00\x00\x01\x07x";
    let unfit = b"\x82\x80\x01\x91\x01\xca\x7f\xc0\x00\x00";
    [&record[..], times, lengths, unfit, &[0x91; 300]].map(<[u8]>::to_vec).into()
}

/// Every record is JSON, and chunks one after the other hold the records of each.
pub(crate) fn entries(chunk: &[u8]) {
    let Ok(once) = read_entries(chunk, LIMIT) else { return };
    are_json(&once.records);
    let twice = read_entries(&[chunk, chunk].concat(), 2 * LIMIT).map(|decoded| decoded.records);
    let twice = twice.expect("entries that can be read can be read twice");
    let once = texts(&once.records);
    assert_eq!(texts(&twice), [&once[..], &once].concat());
}

const ENTRY: &[u8] = b"\x92\xd7\x00\x65\x00\x00\x00\x00\x00\x00\x01\x81\xa1a\x01";
const WITH_METADATA: &[u8] = b"\x92\x92\xce\x65\x00\x00\x00\x80\x81\xa1b\xa2\xc3\xa9";
const GROUP: &[u8] = b"\x92\x92\xd7\x00\xff\xff\xff\xff\x00\x00\x00\x00\x80\x80";

pub(crate) fn entries_seeds() -> Vec<Vec<u8>> {
    let records = b"\x81\xa1a\x01\x81\xa1b\x02".to_vec();
    vec![[GROUP, ENTRY, WITH_METADATA].concat(), ENTRY.repeat(3), records]
}

/// Messages hold the same records whether they are read one by one or together; every record is
/// JSON.
pub(crate) fn fluent(messages: &[u8]) {
    is_ping(messages);
    let whole = Bytes::copy_from_slice(messages);
    let (together, trouble) = read_all(whole.clone(), LIMIT);
    are_json(&together);
    let (mut rest, mut one_by_one) = (whole, Vec::new());
    while let Ok(message) = Reader::new(&rest).value().map(<[u8]>::len) {
        let (records, trouble) = read_all(rest.split_to(message), LIMIT);
        one_by_one.extend(records);
        if trouble.is_some() {
            break;
        }
    }
    assert_eq!(texts(&one_by_one), texts(&together));
    if let Some(trouble) = trouble {
        assert!(!trouble.to_string().is_empty());
    }
}

pub(crate) fn fluent_seeds() -> Vec<Vec<u8>> {
    let packed = [ENTRY, WITH_METADATA].concat();
    let message = b"\x94\xa3tag\xce\x65\x00\x00\x00\x81\xa1a\x01\x81\xa5chunk\xa2id";
    let forward = [&b"\x93\xa3tag\x92"[..], &packed, b"\x82\xa5chunk\xc4\x02\xff\x00\xa4size\x02"];
    let of = |packed: &[u8], options: &[u8]| {
        let length = u8::try_from(packed.len()).expect("seeds are small");
        [b"\x93\xa3tag\xc4", &[length][..], packed, options].concat()
    };
    let gzip = [gzip(ENTRY), gzip(WITH_METADATA)].concat();
    let ping = b"\x96\xa4PING\xa4host\xc4\x02xy\xa2aa\xa0\xa0";
    vec![
        message.to_vec(),
        forward.concat(),
        of(&packed, b"\x81\xa5chunk\xa2id"),
        of(&gzip, b"\x82\xa5chunk\xa2id\xaacompressed\xa4gzip"),
        of(&zstd(&packed), b"\x81\xaacompressed\xa4zstd"),
        [&of(&packed, b"\x81\xadfluent_signal\x01")[..], b"\xc0", message].concat(),
        ping.to_vec(),
    ]
}

/// Every event is JSON, and messages put together hold the events of each, as protobuf has it.
pub(crate) fn vector(message: &[u8]) {
    let decode = |sent: &[u8], encoding| {
        let written = vector::decode(Bytes::copy_from_slice(sent), encoding, LIMIT);
        if let Ok(written) = &written {
            are_json(&written.records);
        }
        written.map(|written| written.records)
    };
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
        let _ = decode(message, encoding);
    }
    let Ok(once) = decode(&framed(message), Encoding::Identity) else { return };
    let Ok(twice) = decode(&framed(&message.repeat(2)), Encoding::Identity) else {
        assert!(message.len() > LIMIT / 80, "two messages are not that long");
        return;
    };
    let once = texts(&once);
    assert_eq!(texts(&twice), [&once[..], &once].concat());
}

/// A message as gRPC has it.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0][..], &length.to_be_bytes(), message].concat()
}

pub(crate) fn vector_seeds() -> Vec<Vec<u8>> {
    let entry = |key: &str, value: Vec<u8>| bytes(1, [bytes(1, key), bytes(2, value)].concat());
    let values = [
        entry("text", bytes(1, "a \"b\"\n")),
        entry("time", bytes(2, [number(1, 1_700_000_000), number(2, 5)].concat())),
        entry("int", number(4, u64::MAX)),
        entry("float", [&[5 << 3 | 1][..], &0.1_f64.to_le_bytes()].concat()),
        entry("bool", number(6, 1)),
        entry("array", bytes(8, [bytes(1, number(9, 0)), bytes(1, bytes(1, b"\xff"))].concat())),
    ];
    let nested = bytes(7, entry("map", bytes(7, values.concat())));
    let log = |log: Vec<u8>| bytes(1, bytes(1, log));
    let message = [log(values.concat()), log(bytes(2, nested)), bytes(1, bytes(2, b""))].concat();
    let compressed = zstd(&message);
    let mut frame = framed(&compressed);
    frame[0] = 1;
    vec![message.clone(), framed(&message), frame]
}

/// An export holds as many records whichever part of them is the profile; attributes are JSON.
pub(crate) fn opentelemetry(export: &[u8]) {
    let export = Bytes::copy_from_slice(export);
    for in_json in [false, true] {
        let [body, attributes] = [ProfileFrom::Body, ProfileFrom::Attributes]
            .map(|from| opentelemetry::decode(export.clone(), in_json, from, LIMIT));
        if let Ok(attributes) = &attributes {
            are_json(&attributes.records);
        }
        match (body, attributes) {
            (Ok(body), Ok(attributes)) => {
                assert_eq!(body.records.len(), attributes.records.len());
            }
            (Err(body), Err(attributes)) if body == attributes => {}
            // What is one part of them may be too long.
            _ => assert!(export.len() > LIMIT / 80),
        }
    }
}

pub(crate) fn opentelemetry_seeds() -> Vec<Vec<u8>> {
    let text = |text: &str| bytes(1, text);
    let pair = |key: &str, value: Vec<u8>| [bytes(1, key), bytes(2, value)].concat();
    let list = bytes(
        6,
        [bytes(1, pair("n", number(3, 5))), bytes(1, pair("b", bytes(7, b"\xff")))].concat(),
    );
    let array = bytes(5, [bytes(1, text("x")), bytes(1, number(2, 1))].concat());
    let records = [
        [bytes(5, text(r#"{"a":1}"#)), bytes(6, pair("k", array))].concat(),
        [bytes(5, list.clone()), bytes(6, pair("l", list)), bytes(6, pair("d", vec![]))].concat(),
    ];
    let scope: Vec<u8> = records.iter().flat_map(|record| bytes(2, record)).collect();
    let in_json = r#"{"resourceLogs":[{"resource":{},"scopeLogs":[{"logRecords":[
        {"body":{"stringValue":"{\"a\":1}"},"attributes":[{"key":"k","value":{"intValue":"5"}}]},
        {"body":{"kvlistValue":{"values":[{"value":{"doubleValue":0.5},"key":"\u00e9"}]}},
         "attributes":[{"key":"l","value":{"arrayValue":{"values":[{"boolValue":true},{},null]}}},
                       {"key":"b","value":{"bytesValue":"//4="}},{"key":"d"}]}]}]}]}"#;
    vec![bytes(1, bytes(2, scope)), in_json.as_bytes().to_vec()]
}

/// No record is lost, made up or copied when a body is split.
pub(crate) fn http_body(body: &[u8]) {
    let body = Bytes::copy_from_slice(body);
    for lines in [true, false] {
        let Ok(records) = http_server::decode(&body, lines, usize::MAX) else { continue };
        let split = texts(&records);
        for text in &split {
            assert!(body.as_ptr_range().contains(&text.as_ptr()) || text.is_empty());
        }
        let in_array = !lines && body.trim_ascii_start().starts_with(b"[");
        if lines {
            let expected = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            assert_eq!(split, expected.filter(|line| !line.is_empty()).collect::<Vec<_>>());
        }
        if in_array {
            are_json(&records);
        }
        // What was split, put together again, splits the same way.
        let together = if in_array {
            [b"[", &split.join(&b","[..])[..], b"]"].concat()
        } else {
            split.join(&b"\n"[..])
        };
        // A form feed ends no token in JSON, but goes with the white space around a line; and what
        // begins like gzip only now was damaged before.
        let is_line = |text: &&[u8]| !text.contains(&b'\n');
        let are_lines = split.iter().all(is_line) && !body.contains(&b'\x0c');
        if in_array || (are_lines && !together.starts_with(b"\x1f\x8b")) {
            let again = http_server::decode(&together.into(), lines, usize::MAX);
            let again = again.expect("what could be split can be split again");
            assert_eq!(texts(&again), split);
        }
        // Too many records are refused, and no fewer.
        let room = split.len() * size_of::<Record>();
        assert!(http_server::decode(&body, lines, room).is_ok());
        if let Some(room) = room.checked_sub(1) {
            let over = http_server::decode(&body, lines, room);
            assert_eq!(over.map(|records| records.len()), Err(Unread::Full));
        }
    }
}

pub(crate) fn http_body_seeds() -> Vec<Vec<u8>> {
    [
        "{\"a\":1}\n{\"b\":[2]}\r\n\n{\"c",
        "[{\"a\":\"]\\\"\"}, 2,\n[3]]",
        "{\n  \"a\": {\n    \"b\": null\n  }\n}\n",
        "{\"a\":1}{\"b\":\n2} {}",
        "{\"damaged\n{}\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

const CODINGS: [Encoding; 5] =
    [Encoding::Identity, Encoding::Gzip, Encoding::Zstd, Encoding::Deflate, Encoding::Snappy];

/// Nothing becomes longer than the limit, the limit is exact, and what is compressed here is read.
pub(crate) fn encodings(input: &[u8]) {
    let Some((&first, input)) = input.split_first() else { return };
    let encoding = CODINGS[usize::from(first) % CODINGS.len()];
    if encoding == Encoding::Identity {
        return;
    }
    let sent = Bytes::copy_from_slice(input);
    if let Ok(text) = encoding.decode(sent.clone(), LIMIT) {
        assert!(text.len() <= LIMIT);
        exact(encoding, &sent, &text);
    }
    exact(encoding, &compressed(encoding, input).into(), &sent);
}

/// `sent` becomes `text`, with as much room as that takes and no less.
fn exact(encoding: Encoding, sent: &Bytes, text: &Bytes) {
    assert_eq!(encoding.decode(sent.clone(), text.len()).as_ref(), Ok(text));
    if let Some(limit) = text.len().checked_sub(1) {
        let over = encoding.decode(sent.clone(), limit);
        assert_eq!(over, Err(EncodingError::TooLong(limit)));
    }
}

pub(crate) fn encodings_seeds() -> Vec<Vec<u8>> {
    let text = b"{\"a\":1}\n".repeat(20);
    let mut frames = snap::write::FrameEncoder::new(Vec::new());
    frames.write_all(&text).expect(MEMORY);
    let frames = frames.into_inner().expect(MEMORY);
    let seed = |number: u8, body: Vec<u8>| [&[number], &body[..]].concat();
    let whole = (0..).zip(CODINGS).map(|(number, encoding)| {
        // Two members, which gzip and zstd may have.
        let members = if encoding == Encoding::Gzip || encoding == Encoding::Zstd { 2 } else { 1 };
        seed(number, compressed(encoding, &text).repeat(members))
    });
    whole.chain([seed(4, frames)]).collect()
}

const MEMORY: &str = "writing into memory cannot fail";

fn compressed(encoding: Encoding, text: &[u8]) -> Vec<u8> {
    match encoding {
        Encoding::Identity => text.to_vec(),
        Encoding::Gzip => gzip(text),
        Encoding::Zstd => zstd(text),
        Encoding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text).expect(MEMORY);
            encoder.finish().expect(MEMORY)
        }
        Encoding::Snappy => snap::raw::Encoder::new().compress_vec(text).expect("it is short"),
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect(MEMORY);
    encoder.finish().expect(MEMORY)
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).expect(MEMORY)
}
