//! Records as the senders of each source write them. The number of a request stands for what real
//! senders draw by lot: the id of a chunk, the ids of events.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

/// 2026-01-01T00:00:00Z.
const TIME: u32 = 1_767_225_600;

pub(crate) fn lines(_: usize, records: &[Vec<u8>]) -> Vec<u8> {
    records.iter().flat_map(|record| [record, &b"\n"[..]]).flatten().copied().collect()
}

pub(crate) fn array(_: usize, records: &[Vec<u8>]) -> Vec<u8> {
    [b"[", &records.join(&b","[..])[..], b"]"].concat()
}

pub(crate) fn forward(number: usize, records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = b"\x93\xa8profiles\xdc".to_vec();
    message.extend(u16::try_from(records.len()).expect("a request is small").to_be_bytes());
    for record in records {
        entry(record, &mut message);
    }
    options(number, false, &mut message);
    message
}

pub(crate) fn packed_forward(number: usize, records: &[Vec<u8>]) -> Vec<u8> {
    packed(number, &entries(records), false)
}

pub(crate) fn compressed_packed_forward(number: usize, records: &[Vec<u8>]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&entries(records)).expect("writing into memory");
    packed(number, &gzip.finish().expect("writing into memory"), true)
}

/// What a sender waits for: `{"ack": chunk}`.
pub(crate) fn acknowledgement(number: usize) -> Vec<u8> {
    [&b"\x81\xa3ack"[..], &chunk(number)].concat()
}

/// A text of 32 letters, as Fluentd's ids are.
fn chunk(number: usize) -> Vec<u8> {
    [b"\xd9\x20", format!("{number:032x}").as_bytes()].concat()
}

fn packed(number: usize, entries: &[u8], compressed: bool) -> Vec<u8> {
    let mut message = b"\x93\xa8profiles\xc6".to_vec();
    message.extend(length(entries.len()));
    message.extend_from_slice(entries);
    options(number, compressed, &mut message);
    message
}

fn options(number: usize, compressed: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if compressed { b"\x82\xaacompressed\xa4gzip" } else { b"\x81" });
    out.extend_from_slice(b"\xa5chunk");
    out.extend(chunk(number));
}

fn entries(records: &[Vec<u8>]) -> Vec<u8> {
    let mut entries = Vec::new();
    for record in records {
        entry(record, &mut entries);
    }
    entries
}

/// A time (`EventTime`) and a record.
fn entry(record: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\x92\xd7\x00");
    out.extend(TIME.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    message_pack(&value(record), out);
}

fn message_pack(value: &Value, out: &mut Vec<u8>) {
    let of_length = |marker, count, out: &mut Vec<u8>| {
        out.push(marker);
        out.extend(length(count));
    };
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(value) => out.push(0xc2 + u8::from(*value)),
        Value::Number(number) => {
            out.push(0xd3);
            out.extend(number.as_i64().expect("samples hold integers only").to_be_bytes());
        }
        Value::String(text) => {
            of_length(0xdb, text.len(), out);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Array(items) => {
            of_length(0xdd, items.len(), out);
            for item in items {
                message_pack(item, out);
            }
        }
        Value::Object(entries) => {
            of_length(0xdf, entries.len(), out);
            for (key, value) in entries {
                of_length(0xdb, key.len(), out);
                out.extend_from_slice(key.as_bytes());
                message_pack(value, out);
            }
        }
    }
}

fn length(count: usize) -> [u8; 4] {
    u32::try_from(count).expect("a request is small").to_be_bytes()
}

/// A call of `vector.Vector/PushEvents`: the frame that gRPC has, and its message.
pub(crate) fn vector(number: usize, records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = Vec::new();
    for (i, record) in records.iter().enumerate() {
        let Value::Object(entries) = value(record) else { panic!("samples are objects") };
        let mut log = Vec::new();
        for (key, value) in &entries {
            field(1, &pair(key, &vector_value(value)), &mut log);
        }
        let mut metadata = Vec::new();
        field(4, b"http_server", &mut metadata);
        field(7, &(((number as u128) << 64) + i as u128).to_be_bytes(), &mut metadata);
        field(4, &metadata, &mut log);
        field(1, &wrapped(1, &log), &mut message);
    }
    [&[0][..], &length(message.len()), &message].concat()
}

fn vector_value(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Null => number(9, 0, &mut out),
        Value::Bool(value) => number(6, u64::from(*value), &mut out),
        Value::Number(integer) => number(4, bits(integer), &mut out),
        Value::String(text) => field(1, text.as_bytes(), &mut out),
        Value::Array(items) => {
            let mut array = Vec::new();
            for item in items {
                field(1, &vector_value(item), &mut array);
            }
            field(8, &array, &mut out);
        }
        Value::Object(entries) => {
            let mut map = Vec::new();
            for (key, value) in entries {
                field(1, &pair(key, &vector_value(value)), &mut map);
            }
            field(7, &map, &mut out);
        }
    }
    out
}

/// An `ExportLogsServiceRequest` with a profile in the body of each log record.
pub(crate) fn opentelemetry(_: usize, records: &[Vec<u8>]) -> Vec<u8> {
    let mut scope = Vec::new();
    for record in records {
        let mut log = vec![1 << 3 | 1];
        log.extend((u64::from(TIME) * 1_000_000_000).to_le_bytes());
        field(5, &any_value(&value(record)), &mut log);
        field(2, &log, &mut scope);
    }
    wrapped(1, &wrapped(2, &scope))
}

fn any_value(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Null => {}
        Value::Bool(value) => number(2, u64::from(*value), &mut out),
        Value::Number(integer) => number(3, bits(integer), &mut out),
        Value::String(text) => field(1, text.as_bytes(), &mut out),
        Value::Array(items) => {
            let mut array = Vec::new();
            for item in items {
                field(1, &any_value(item), &mut array);
            }
            field(5, &array, &mut out);
        }
        Value::Object(entries) => {
            let mut list = Vec::new();
            for (key, value) in entries {
                field(1, &pair(key, &any_value(value)), &mut list);
            }
            field(6, &list, &mut out);
        }
    }
    out
}

/// An entry of a protobuf map, and OTLP's `KeyValue`.
fn pair(key: &str, value: &[u8]) -> Vec<u8> {
    let mut pair = wrapped(1, key.as_bytes());
    field(2, value, &mut pair);
    pair
}

fn wrapped(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    field(number, bytes, &mut out);
    out
}

fn field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn number(number: u8, value: u64, out: &mut Vec<u8>) {
    out.push(number << 3);
    varint(value, out);
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number > 0x7f {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn bits(integer: &serde_json::Number) -> u64 {
    integer.as_i64().expect("samples hold integers only").cast_unsigned()
}

fn value(record: &[u8]) -> Value {
    serde_json::from_slice(record).expect("samples are JSON")
}
