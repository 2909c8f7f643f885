use proptest::{collection::vec, prelude::*, sample::Index};
use serde::de::IgnoredAny;

use super::*;

const ROOM: usize = 10 << 20;

/// An export of these log records.
fn export(records: &str) -> String {
    let resource = r#"{"attributes":[{"key":"service.name","value":{"stringValue":"crm"}}]}"#;
    format!(
        r#"{{"resourceLogs":[{{"resource":{resource},"scopeLogs":[{{"scope":{{}},"logRecords":[{records}]}}]}}]}}"#
    )
}

fn written(records: &str, from: ProfileFrom) -> Vec<String> {
    let written = read(export(records).as_bytes(), from, ROOM).unwrap().finish();
    written.records.iter().map(|record| String::from_utf8_lossy(&record.json).into()).collect()
}

fn of_body(body: &str) -> String {
    let record = format!(r#"{{"timeUnixNano":"1","body":{body},"severityNumber":9}}"#);
    let [record] = &written(&record, ProfileFrom::Body)[..] else { panic!("one record") };
    record.clone()
}

#[test]
fn a_body_of_key_values_becomes_an_object_with_every_kind_of_value() {
    let body = r#"{"kvlistValue":{"values":[
        {"key":"text","value":{"stringValue":"a \"b\" \u00e9"}},
        {"key":"yes","value":{"boolValue":true}},
        {"key":"int","value":{"intValue":"9223372036854775807"}},
        {"key":"plain","value":{"intValue":-3}},
        {"key":"double","value":{"doubleValue":0.5}},
        {"key":"nan","value":{"doubleValue":"NaN"}},
        {"key":"array","value":{"arrayValue":{"values":[{"stringValue":"x"},{"intValue":"2"}]}}},
        {"value":{"kvlistValue":{"values":[{"value":{}, "key":"c"},{"key":"d","value":null}]}},"key":"a.b"},
        {"key":"empty","value":{"arrayValue":{}}},
        {"key":"bytes","value":{"bytesValue":"//4="}},
        {"key":"none"}
    ]}}"#;
    assert_eq!(
        of_body(body),
        r#"{"text":"a \"b\" \u00e9","yes":true,"int":9223372036854775807,"plain":-3,"double":0.5,"nan":null,"array":["x",2],"a.b":{"c":null,"d":null},"empty":[],"bytes":"//4=","none":null}"#
    );
}

#[test]
fn text_in_a_body_is_the_record_itself() {
    assert_eq!(of_body(r#"{"stringValue":"{\"a\": 1}"}"#), r#"{"a": 1}"#);
    assert_eq!(of_body(r#"{"bytesValue":"eyJhIjogMX0="}"#), r#"{"a": 1}"#);
}

#[test]
fn a_body_that_can_be_no_record_is_handed_on_to_be_set_aside() {
    assert_eq!(of_body(r#"{"intValue":"7"}"#), "7");
    assert_eq!(of_body("{}"), "null");
    assert_eq!(written("{}", ProfileFrom::Body), ["null"]);
}

#[test]
fn attributes_become_an_object_and_dots_stay_in_their_keys() {
    let record = r#"{"body":{"stringValue":"updated"},"attributes":[
        {"key":"person.name","value":{"stringValue":"Ada"}},{"key":"n","value":{"intValue":"1"}}]}"#;
    let both = written(&format!("{record},{{}}"), ProfileFrom::Attributes);
    assert_eq!(both, [r#"{"person.name":"Ada","n":1}"#, "{}"]);
}

#[test]
fn a_log_record_that_is_not_what_otlp_has_hurts_no_other_and_is_not_quoted() {
    let deep = format!("{}{{}}{}", r#"{"arrayValue":{"values":["#.repeat(5000), "]}}".repeat(5000));
    let faults = [
        r#"{"intValue":"secret"}"#,
        r#"{"stringValue":7}"#,
        r#"{"bytesValue":"secret!"}"#,
        r#"{"kvlistValue":{"values":[{"key":1,"value":{}}]}}"#,
        r#"{"kvlistValue":{"values":[{"key":"a","value":{},"value":{}}]}}"#,
        r#"{"kvlistValue":"secret"}"#,
        "\"secret\"",
        &deep,
    ];
    for fault in faults {
        let good = r#"{"body":{"stringValue":"{}"}}"#;
        let records = written(&format!(r#"{good},{{"body":{fault}}},{good}"#), ProfileFrom::Body);
        assert_eq!((&*records[0], &*records[2], records.len()), ("{}", "{}", 3));
        assert!(records[1].starts_with("\"it cannot be read: "), "{}", records[1]);
        assert!(!records[1].contains("secret"), "{}", records[1]);
    }
}

#[test]
fn text_that_is_no_export_is_refused_whole() {
    let refused = |text: &str| match read(text.as_bytes(), ProfileFrom::Body, ROOM) {
        Err(Unread::Malformed(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert!(refused("{\"resourceLogs\":[").contains("EOF"), "{}", refused("{"));
    assert_eq!(
        refused(r#"{"resourceLogs":"secret"}"#),
        "line 1 column 24 is not what OTLP has there"
    );
    let empty = read(b"{\"resourceLogs\":null}", ProfileFrom::Body, ROOM).unwrap().finish();
    assert!(empty.records.is_empty());
}

proptest! {
    /// Damaged exports: whole ones with characters exchanged.
    #[test]
    fn whatever_comes_is_refused_or_becomes_json(
        changes in vec((any::<Index>(), "[\\[\\]{}:,\"0a]"), 0..6),
    ) {
        let attributes = r#"[{"key":"a","value":{"kvlistValue":{"values":[{"key":"b","value":
            {"arrayValue":{"values":[{"stringValue":"x"},{"intValue":"1"},{}]}}}]}}}]"#;
        let record = format!(r#"{{"attributes":{attributes}}}"#);
        let mut text = export(&format!("{record},{{}},{record}"));
        for (place, character) in changes {
            let place = place.index(text.len());
            text.replace_range(place..=place, &character);
        }
        if let Ok(records) = read(text.as_bytes(), ProfileFrom::Attributes, ROOM) {
            for record in records.finish().records {
                let parsed = serde_json::from_slice::<IgnoredAny>(&record.json);
                prop_assert!(parsed.is_ok(), "{}", String::from_utf8_lossy(&record.json));
            }
        }
    }
}
