use serde_json::json;

use super::*;

const GOLD: &str = "59bd2fkd-3c48-4b18-bf56-4f5c5e6967ae";
const SILVER: &str = "947c1c46-008d-40b0-92ec-3af86eaf41c1";

/// A record of the shape that the destination documents, with more than is mapped.
fn sample() -> String {
    format!(
        r#"{{
        "_id": "r-1",
        "person": {{"birthDate": "1990-01-31", "gender": "female",
            "name": {{"firstName": "Ada", "lastName": "Example"}}}},
        "personalEmail": {{"address": "ada@example.org", "status": "active"}},
        "loyalty": {{"points": 12}},
        "segmentMembership": {{"ups": {{
            "{GOLD}": {{"status": "exited", "lastQualificationTime": "2024-01-03T03:04:05+0000"}},
            "{SILVER}": {{"status": "existing", "lastQualificationTime": "2024-01-02T03:04:05.000Z"}},
            "cccccccc-unmapped": {{"status": "realized", "lastQualificationTime": "2024-01-01T00:00:00Z"}}
        }}}},
        "identityMap": {{
            "email_lc_sha256": [{{"id": "0b2e5f5e2c6d3b1f7f0a", "authenticatedState": "ambiguous"}}],
            "ecid": [{{"id": "12345678901234567890123456789012345678", "primary": true}}]
        }}
    }}"#
    )
}

fn sample_spec() -> MappingSpec {
    let named = |id| SegmentSpec { name: Some("not asked for".into()), ..segment(id) };
    MappingSpec {
        key: paths(&["identityMap.ecid"]),
        segments: [SILVER, GOLD].map(named).into(),
        ..spec(&["person.name", "person.birthDate", "personalEmail.address"], &[])
    }
}

fn sample_export(status: &str) -> Value {
    json!({
        "person": {
            "name": {"firstName": "Ada", "lastName": "Example"},
            "birthDate": "1990-01-31",
        },
        "personalEmail": {"address": "ada@example.org"},
        "segmentMembership": {"ups": {
            GOLD: {"lastQualificationTime": "2024-01-03T03:04:05Z", "status": "exited"},
            SILVER: {"lastQualificationTime": "2024-01-02T03:04:05Z", "status": status},
        }},
        "identityMap": {
            "ecid": [{"id": "12345678901234567890123456789012345678"}],
            "email_lc_sha256": [{"id": "0b2e5f5e2c6d3b1f7f0a"}],
        },
    })
}

#[test]
fn the_documented_sample_is_exported_as_documented() {
    let mapping = compile(sample_spec());
    assert_eq!(exported(&mapping, &[&sample()]), sample_export("realized"));
}

#[test]
fn the_documented_sample_is_exported_with_the_legacy_status() {
    let mapping = compile(MappingSpec { legacy_status: true, ..sample_spec() });
    assert_eq!(exported(&mapping, &[&sample()]), sample_export("existing"));
}

#[test]
fn the_order_of_keys_is_fixed_and_the_export_is_one_line() {
    let mapping = compile(MappingSpec {
        segment_names: true,
        segment_timestamps: true,
        segments: vec![SegmentSpec { name: Some("Gold".into()), ..segment("s") }],
        ..spec(&["z.b", "y", "z.a.c", "x"], &[])
    });
    let body = r#"{"x":1,"y":[ 1 ],"z":{"a":{"c":2},"b":3},"identityMap":{"b":[{"id":"2"},{"id":"1"}],
        "crmid":[{"id":"c1"}]},"segmentMembership":{"ups":{"s":{}},"AAM":{"s":{
            "lastQualificationTime":"2024-01-01T00:00:00Z"}}}}"#;
    let known = known_after(&mapping, &[body]);
    let times = MappedAt(vec![SegmentMapped { created: 1_000, updated: 2_999 }]);
    let mut out = Vec::new();
    mapping.export(&known, 0, &times, &mut out).unwrap();
    let millis = NOW / 1000;
    let tail = format!(
        r#""mappingCreatedAt":1,"mappingUpdatedAt":2,"name":"Gold","status":"realized","updatedAt":{millis}}}"#
    );
    assert_eq!(
        String::from_utf8(out).unwrap(),
        [
            r#"{"z":{"b":3,"a":{"c":2}},"y":[1],"x":1,"segmentMembership":{"AAM":{"s":"#,
            &format!(r#"{{"createdAt":{millis},"lastQualificationTime":"2024-01-01T00:00:00Z","#),
            &tail,
            r#"},"ups":{"s":"#,
            &format!(r#"{{"createdAt":{millis},"#),
            &tail,
            r#"}},"identityMap":{"b":[{"id":"1"},{"id":"2"}],"crmid":[{"id":"c1"}]}}"#,
        ]
        .concat()
    );
}

#[test]
fn values_are_sent_with_the_digits_that_came_in() {
    let mapping = compile(spec(&["a"], &[]));
    let value = r#"[1.50,1e3,12345678901234567890123456789012345678,"\u00e9\/"]"#;
    let body = format!(r#"{{"a":{value}}}"#);
    let known = known_after(&mapping, &[&body]);
    assert!(export_text(&mapping, &known, 0).contains(value));
}

#[test]
fn absent_attributes_are_left_out_or_sent_as_null() {
    let omit = compile(spec(&["a", "b.c", "b.d", "e.f"], &[]));
    let body = r#"{"a":null,"b":{"c":1},"e":7}"#;
    let identities = json!({"crmid": [{"id": "c1"}]});
    assert_eq!(
        exported(&omit, &[body]),
        json!({"a": null, "b": {"c": 1}, "identityMap": identities})
    );
    let null = compile(MappingSpec { removed: Removed::Null, ..omit.spec().clone() });
    assert_eq!(
        exported(&null, &[body]),
        json!({"a": null, "b": {"c": 1, "d": null}, "e": {"f": null}, "identityMap": identities})
    );
    assert_eq!(
        exported(&omit, &[r#"{"a":1}"#, "{}"]),
        json!({"identityMap": identities}),
        "a removed attribute is gone"
    );
}

#[test]
fn every_attribute_is_exported_by_a_star_in_byte_order() {
    let mapping = compile(MappingSpec { attributes: Attributes::All, ..spec(&[], &[]) });
    let known = known_after(&mapping, &[r#"{"b\n":{"x": 1},"a":2,"consents":{}}"#]);
    assert_eq!(
        export_text(&mapping, &known, 0),
        r#"{"a":2,"b\n":{"x":1},"identityMap":{"crmid":[{"id":"c1"}]}}"#
    );
}

#[test]
fn a_key_or_version_inside_a_mapped_attribute_can_be_read() {
    for attributes in [Attributes::Listed(paths(&["acme"])), Attributes::All] {
        let mapping = compile(MappingSpec {
            key: paths(&["acme.id"]),
            version: Some("acme.rev".parse().unwrap()),
            attributes,
            ..spec(&[], &[])
        });
        let record = r#"{"acme":{"id":"old","rev":1},"acme":{"rev":2,"id":"k"}}"#;
        let projected = mapping.project(SEED, record.as_bytes()).unwrap();
        assert_eq!(projected.key().to_string(), "acme.id=k");
        assert_eq!(projected.source_version, Some(SourceVersion::Number(2_000_000_000)));
        let known = mapping.advance(None, projected.keep(), NOW).known;
        assert_eq!(export_text(&mapping, &known, 0), r#"{"acme":{"rev":2,"id":"k"}}"#);
    }
}

#[test]
fn identities_are_all_sent_or_those_that_are_listed() {
    let body = r#"{"identityMap":{"crmid":[{"id":"c1"}],"ecid":[{"id":"e1"}],"empty":[]}}"#;
    let all = compile(spec(&["a"], &[]));
    assert_eq!(
        exported(&all, &[body]),
        json!({"identityMap": {"crmid": [{"id": "c1"}], "ecid": [{"id": "e1"}]}})
    );
    let listed =
        MappingSpec { identities: Some(vec!["ecid".into(), "x".into()]), ..spec(&["a"], &[]) };
    assert_eq!(
        exported(&compile(listed), &[body]),
        json!({"identityMap": {"ecid": [{"id": "e1"}]}})
    );
    let none = MappingSpec { identities: Some(vec![]), ..spec(&["a"], &[]) };
    assert_eq!(exported(&compile(none), &[body]), json!({}));
}

#[test]
fn a_profile_in_three_mapped_and_two_unmapped_segments_exports_the_mapped_ones() {
    let mapping = compile(spec(&["a"], &["m1", "m2", "m3"]));
    let body = r#"{"segmentMembership":{"ups":{"m1":{},"m2":{"status":"existing"},"m3":{},"u1":{}},
        "AAM":{"u2":{"status":"exited","lastQualificationTime":"2024-01-01T00:00:00Z"}}}}"#;
    let realized = json!({"status": "realized"});
    let memberships = |mapping: &Mapping| exported(mapping, &[body])["segmentMembership"].take();
    assert_eq!(
        memberships(&mapping),
        json!({"ups": {"m1": realized, "m2": realized, "m3": realized}})
    );
    let unmapped = compile(MappingSpec {
        unmapped_segments: true,
        segment_names: true,
        segment_timestamps: true,
        ..mapping.spec().clone()
    });
    let sent = memberships(&unmapped);
    assert_eq!(sent["ups"]["u1"], realized);
    assert_eq!(
        sent["AAM"],
        json!({"u2": {"lastQualificationTime": "2024-01-01T00:00:00Z", "status": "exited"}})
    );
    assert!(sent["ups"]["m1"]["createdAt"].is_u64());
}

#[test]
fn a_segment_that_was_left_is_exported_as_exited_with_the_time_of_the_update() {
    let mapping = compile(spec(&["a"], &["s"]));
    let member =
        r#"{"segmentMembership":{"ups":{"s":{"lastQualificationTime":"2020-01-01T00:00:00Z"}}}}"#;
    assert_eq!(
        exported(&mapping, &[member, "{}"])["segmentMembership"],
        json!({"ups": {"s": {"lastQualificationTime": "2023-11-14T22:13:21Z", "status": "exited"}}})
    );
}

#[test]
fn the_legacy_status_says_existing_of_what_the_endpoint_knows() {
    let mapping = compile(MappingSpec { legacy_status: true, ..spec(&["a"], &["s"]) });
    let realized = r#"{"segmentMembership":{"ups":{"s":{"status":"realized"}}}}"#;
    let known = known_after(&mapping, &[realized]);
    let status = |confirmed| {
        let export: Value =
            serde_json::from_str(&export_text(&mapping, &known, confirmed)).unwrap();
        export["segmentMembership"]["ups"]["s"]["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(0), "realized");
    assert_eq!(status(NOW - 1), "realized");
    assert_eq!(status(NOW), "existing");

    let mut out = Vec::new();
    let mapped_later = MappedAt(vec![SegmentMapped { created: NOW + 5, updated: NOW + 5 }]);
    mapping.export(&known, NOW, &mapped_later, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(r#""status":"realized""#), "newly mapped is new to the endpoint: {out}");
}

#[test]
fn names_need_no_care_for_quotes() {
    let mapping = compile(MappingSpec {
        segment_names: true,
        segments: vec![SegmentSpec { name: Some("\"Gold\"\n".into()), ..segment("s\"") }],
        ..spec(&[r#""a\"b".c"#], &[])
    });
    let body = r#"{"a\"b":{"c":1},"segmentMembership":{"u\\":{"s\"":{}}}}"#;
    assert_eq!(
        exported(&mapping, &[body]),
        json!({
            "a\"b": {"c": 1},
            "segmentMembership": {"u\\": {"s\"": {"name": "\"Gold\"\n", "status": "realized"}}},
            "identityMap": {"crmid": [{"id": "c1"}]},
        })
    );
}
