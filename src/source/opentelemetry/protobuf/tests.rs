use super::{super::super::protobuf::write::*, *};

const ROOM: usize = 10 << 20;

fn text(value: &str) -> Vec<u8> {
    bytes(STRING, value)
}

fn pair(key: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    [bytes(1, key), bytes(2, value)].concat()
}

fn list(pairs: &[Vec<u8>]) -> Vec<u8> {
    bytes(KEY_VALUES, pairs.iter().flat_map(|pair| bytes(VALUES, pair)).collect::<Vec<_>>())
}

/// An export of log records with these fields.
fn export(records: &[Vec<u8>]) -> Vec<u8> {
    let records: Vec<_> = records.iter().flat_map(|record| bytes(LOG_RECORDS, record)).collect();
    let scope = [bytes(1, text("the scope")), records].concat();
    let resource = [bytes(1, text("the resource")), bytes(SCOPE_LOGS, scope)].concat();
    bytes(RESOURCE_LOGS, resource)
}

fn written(message: &[u8], from: ProfileFrom) -> Vec<String> {
    let written = read(message, from, ROOM).unwrap().finish();
    written.records.iter().map(|record| String::from_utf8_lossy(&record.json).into()).collect()
}

fn of_body(value: impl AsRef<[u8]>) -> String {
    let record = [number(2, 9), bytes(BODY, value)].concat();
    let [record] = &written(&export(&[record]), ProfileFrom::Body)[..] else {
        panic!("one record")
    };
    record.clone()
}

#[test]
fn a_body_of_key_values_becomes_an_object_with_every_kind_of_value() {
    let array = bytes(ARRAY, [bytes(VALUES, text("x")), bytes(VALUES, number(INT, 2))].concat());
    let body = list(&[
        pair("text", text("a \"b\"")),
        pair("yes", number(BOOL, 1)),
        pair("int", number(INT, i64::MAX.cast_unsigned())),
        pair("double", double(DOUBLE, 0.5)),
        pair("array", array),
        pair("a.b", list(&[pair("c", b"")])),
        pair("bytes", bytes(BYTES, b"\xff\xfe")),
    ]);
    assert_eq!(
        of_body(body),
        r#"{"text":"a \"b\"","yes":true,"int":9223372036854775807,"double":0.5,"array":["x",2],"a.b":{"c":null},"bytes":"//4="}"#
    );
}

#[test]
fn text_in_a_body_is_the_record_itself() {
    assert_eq!(of_body(text(r#"{"a": 1}"#)), r#"{"a": 1}"#);
    assert_eq!(of_body(bytes(BYTES, r#"{"a": 1}"#)), r#"{"a": 1}"#);
}

#[test]
fn a_body_that_can_be_no_record_is_handed_on_to_be_set_aside() {
    assert_eq!(of_body(number(INT, 7)), "7");
    assert_eq!(of_body(b""), "null");
    assert_eq!(written(&export(&[number(2, 9)]), ProfileFrom::Body), ["null"]);
}

#[test]
fn attributes_become_an_object_and_dots_stay_in_their_keys() {
    let attribute = |key, value: Vec<u8>| bytes(ATTRIBUTES, pair(key, value));
    let record = [
        attribute("person.name", text("Ada")),
        bytes(BODY, text("updated")),
        attribute("identityMap", list(&[pair("crmid", number(INT, 1))])),
    ]
    .concat();
    let both = written(&export(&[record, Vec::new()]), ProfileFrom::Attributes);
    assert_eq!(both, [r#"{"person.name":"Ada","identityMap":{"crmid":1}}"#, "{}"]);
}

#[test]
fn a_log_record_that_cannot_be_read_hurts_no_other() {
    let good = bytes(BODY, text("{}"));
    let broken = bytes(BODY, b"\x0a\x7f");
    let deep = (0..3_000).fold(number(INT, 1), |value, _| list(&[pair("a", value)]));
    let message = export(&[good.clone(), broken, bytes(BODY, deep), good]);
    let read = read(&message, ProfileFrom::Body, ROOM).unwrap().finish();
    assert_eq!(read.unreadable.as_deref(), Some("it is cut off"));
    assert_eq!(
        written(&message, ProfileFrom::Body),
        [
            "{}",
            "\"it cannot be read: it is cut off\"",
            "\"it cannot be read: it is nested too deeply\"",
            "{}"
        ]
    );
}

#[test]
fn a_message_that_is_no_export_is_refused_whole() {
    let whole = export(&[bytes(BODY, text("{}"))]);
    let cut = read(&whole[..whole.len() - 1], ProfileFrom::Body, ROOM);
    assert_eq!(cut.unwrap_err(), Malformed::CutOff.into());
    assert_eq!(
        read(b"{\"resourceLogs\":[]}", ProfileFrom::Body, ROOM).unwrap_err(),
        Malformed::WireType.into()
    );
}
