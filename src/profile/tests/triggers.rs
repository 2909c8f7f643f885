//! What counts as a change is what changes a fingerprint.

use super::*;

fn mapping() -> Mapping {
    compile(spec(&["person", "email.address"], &["s1", "s2"]))
}

/// The fingerprints that differ between two records, by name.
fn differ(mapping: &Mapping, one: &str, other: &str) -> Vec<&'static str> {
    let (a, b) = (prints(mapping, one), prints(mapping, other));
    let pairs = [
        ("attributes", a.attributes, b.attributes),
        ("identities", a.identities, b.identities),
        ("memberships", a.memberships, b.memberships),
        ("kept", a.kept, b.kept),
    ];
    pairs.into_iter().filter(|(_, a, b)| a != b).map(|(name, ..)| name).collect()
}

fn followed(mapping: &Mapping, body: &str) -> bool {
    mapping.project(SEED, keyed(body).as_bytes()).unwrap().followed
}

fn segments(entries: &str) -> String {
    format!(r#"{{"segmentMembership":{{"ups":{{{entries}}}}}}}"#)
}

fn identities(map: &str) -> String {
    format!(r#"{{"identityMap":{{"crmid":[{{"id":"c1"}}],{map}}}}}"#)
}

#[test]
fn a_rewrite_of_the_same_value_is_not_a_change() {
    let one = r#"{"person":{"name":"Ad\u0061","age":30,"tags":["x",1.50,null,true]}}"#;
    let other = r#"{ "person": {"tags": [ "\u0078", 15e-1, null, true ],
        "a\u0067e": 7, "age": 3.0E1, "name": "Ada"} }"#;
    assert_eq!(differ(&mapping(), one, other), [""; 0]);
}

#[test]
fn a_new_value_of_a_mapped_attribute_is_a_change() {
    let value = |value: &str| format!(r#"{{"email":{{"address":{value}}}}}"#);
    let values = [
        "1",
        "\"1\"",
        "true",
        "false",
        "null",
        "[]",
        "{}",
        "[1]",
        "[[1]]",
        "[1,2]",
        "[2,1]",
        r#"{"a":1}"#,
        r#"{"a":"1"}"#,
        r#"{"b":1}"#,
        r#"{"a":{"b":1}}"#,
        r#"{"a":1,"b":1}"#,
        "\"\"",
        "\"null\"",
        "9007199254740993",
        "9007199254740992",
        "12345678901234567890123456789012345678",
        "12345678901234567890123456789012345679",
    ];
    for (i, one) in values.iter().enumerate() {
        assert_eq!(differ(&mapping(), &value(one), "{}"), ["attributes", "kept"], "{one}");
        for other in &values[..i] {
            let differing = differ(&mapping(), &value(one), &value(other));
            assert_eq!(differing, ["attributes", "kept"], "{one} {other}");
        }
    }
}

#[test]
fn equal_values_at_other_paths_are_a_change() {
    let mapping = compile(spec(&["a.b", "ab", "b"], &[]));
    assert_eq!(differ(&mapping, r#"{"ab":1}"#, r#"{"a":{"b":1}}"#), ["attributes", "kept"]);
    assert_eq!(differ(&mapping, r#"{"ab":1}"#, r#"{"b":1}"#), ["attributes", "kept"]);
}

#[test]
fn unmapped_attributes_are_no_change_and_nothing_to_write() {
    let one = r#"{"email":{"address":"a","label":1},"seen":"2024"}"#;
    let other = r#"{"email":{"address":"a"},"seen":"2025","consents":{}}"#;
    assert_eq!(differ(&mapping(), one, other), [""; 0]);
}

#[test]
fn the_order_of_the_configuration_is_no_change() {
    let reversed = compile(spec(&["email.address", "person"], &["s2", "s1"]));
    let body = r#"{"person":1,"email":{"address":2},"segmentMembership":{"ups":{"s1":{}}}}"#;
    assert_eq!(prints(&mapping(), body), prints(&reversed, body));
}

#[test]
fn every_attribute_is_mapped_by_a_star_but_not_the_parts_with_a_meaning() {
    let all = compile(MappingSpec { attributes: Attributes::All, ..spec(&[], &["s1"]) });
    assert_eq!(differ(&all, r#"{"a":1,"b":2}"#, r#"{"b":2.0,"a":1}"#), [""; 0]);
    assert_eq!(differ(&all, r#"{"a":1}"#, r#"{"a":1,"b":null}"#), ["attributes", "kept"]);
    assert_eq!(differ(&all, "{}", r#"{"consents":{"x":{"val":"y"}}}"#), [""; 0]);
    assert_eq!(differ(&all, "{}", &segments(r#""s1":{}"#)), ["memberships", "kept"]);
}

#[test]
fn entering_and_leaving_a_mapped_segment_are_changes() {
    let member = segments(r#""s1":{"status":"realized"}"#);
    let exited = segments(r#""s1":{"status":"exited"}"#);
    assert_eq!(differ(&mapping(), "{}", &member), ["memberships", "kept"]);
    assert_eq!(differ(&mapping(), &exited, &member), ["memberships", "kept"]);
    assert_eq!(differ(&mapping(), "{}", &exited), ["kept"]);
    let other = segments(r#""s2":{"status":"realized"}"#);
    assert_eq!(differ(&mapping(), &other, &member), ["memberships", "kept"]);
}

#[test]
fn realized_to_existing_and_a_new_qualification_time_are_no_changes() {
    let realized =
        segments(r#""s1":{"status":"realized","lastQualificationTime":"2024-01-01T00:00:00Z"}"#);
    let existing =
        segments(r#""s1":{"status":"existing","lastQualificationTime":"2024-01-01T00:00:00Z"}"#);
    let later =
        segments(r#""s1":{"status":"realized","lastQualificationTime":"2024-02-02T00:00:00Z"}"#);
    assert_eq!(differ(&mapping(), &realized, &existing), ["kept"]);
    assert_eq!(differ(&mapping(), &realized, &later), ["kept"]);
    let same = segments(r#""s1":{"lastQualificationTime":"2024-01-01T01:00:00.000+0100","x":1}"#);
    assert_eq!(differ(&mapping(), &realized, &same), [""; 0]);
}

#[test]
fn a_membership_in_an_unmapped_segment_is_kept_but_not_its_time() {
    let at = |status: &str, day: &str| {
        segments(&format!(
            r#""u":{{"status":"{status}","lastQualificationTime":"2024-01-{day}T00:00:00Z"}}"#
        ))
    };
    assert_eq!(differ(&mapping(), &at("realized", "01"), &at("realized", "02")), [""; 0]);
    assert_eq!(differ(&mapping(), &at("realized", "01"), &at("exited", "01")), ["kept"]);
    let sent = compile(MappingSpec { unmapped_segments: true, ..mapping().spec().clone() });
    assert_eq!(differ(&sent, &at("realized", "01"), &at("realized", "02")), ["kept"]);
}

#[test]
fn a_profile_is_followed_while_a_member_of_a_mapped_segment() {
    let mapping = mapping();
    assert!(followed(&mapping, &segments(r#""s2":{"status":"existing"},"u":{}"#)));
    assert!(!followed(&mapping, &segments(r#""s2":{"status":"exited"},"u":{}"#)));
    assert!(!followed(&mapping, "{}"));
    assert!(followed(&compile(spec(&["a"], &[])), "{}"));
    let mut named = spec(&[], &["s1"]);
    named.segments[0].namespace = Some("AAM".into());
    assert!(!followed(&compile(named), &segments(r#""s1":{}"#)));
}

#[test]
fn identities_are_compared_as_a_set_of_ids() {
    let one = identities(r#""ecid":[{"id":"e1"},{"id":"e2"}]"#);
    let reordered =
        identities(r#""ecid":[{"id":"e2"},{"id":"e1","authenticatedState":"x"},{"id":"e2"}]"#);
    assert_eq!(differ(&mapping(), &one, &reordered), [""; 0]);
    let primary = identities(r#""ecid":[{"id":"e1"},{"id":"e2","primary":true}]"#);
    assert_eq!(differ(&mapping(), &one, &primary), ["kept"]);
    for other in [
        identities(r#""ecid":[{"id":"e1"}]"#),
        identities(r#""ecid":[{"id":"e1"},{"id":"e2"},{"id":"e3"}]"#),
        identities(r#""ECID":[{"id":"e1"},{"id":"e2"}]"#),
        identities(r#""ecid":[{"id":"e1e2"}]"#),
    ] {
        assert_eq!(differ(&mapping(), &one, &other), ["identities", "kept"], "{other}");
    }
}

#[test]
fn identities_that_are_not_exported_are_no_change() {
    let listed =
        compile(MappingSpec { identities: Some(vec!["ecid".into()]), ..mapping().spec().clone() });
    let one = identities(r#""email":[{"id":"m1"}]"#);
    assert_eq!(differ(&listed, &one, &identities(r#""email":[{"id":"m2"}]"#)), ["kept"]);
    assert_eq!(
        differ(&listed, &one, &identities(r#""ecid":[{"id":"e1"}]"#)),
        ["identities", "kept"]
    );
}

#[test]
fn a_whole_profile_is_written_when_anything_at_all_differs() {
    let whole = compile(MappingSpec { retain: Retain::Profile, ..mapping().spec().clone() });
    assert_eq!(differ(&whole, r#"{"x":1}"#, r#"{"x":2}"#), ["kept"]);
    assert_eq!(differ(&whole, r#"{"x":1,"y":{}}"#, r#"{ "y":{},"x":1.0 }"#), [""; 0]);
    let timed = |day: &str| {
        segments(&format!(r#""u":{{"lastQualificationTime":"2024-01-{day}T00:00:00Z"}}"#))
    };
    assert_eq!(differ(&whole, &timed("01"), &timed("02")), ["kept"]);
}

#[test]
fn fingerprints_depend_on_the_seed() {
    let record = keyed(r#"{"person":1}"#);
    let with = |seed| {
        let projected = mapping();
        let projected = projected.project(seed, record.as_bytes()).unwrap();
        (projected.id, projected.prints.attributes)
    };
    assert_ne!(with(1).0, with(2).0);
    assert_ne!(with(1).1, with(2).1);
}
