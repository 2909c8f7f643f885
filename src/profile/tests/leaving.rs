//! How a profile is named by a person, and what is left to send of one that is forgotten.

use super::*;

fn named(keys: &[&str], name: &str) -> Vec<String> {
    let mapping = compile(MappingSpec { key: paths(keys), ..spec(&["name"], &[]) });
    mapping.keys_named(name).iter().map(ToString::to_string).collect()
}

#[test]
fn a_key_is_looked_for_under_each_path_in_turn_unless_it_names_one() {
    assert_eq!(named(&["identityMap.crmid"], "c-7"), ["identityMap.crmid=c-7"]);
    assert_eq!(named(&["identityMap.crmid"], "identityMap.crmid=c-7"), ["identityMap.crmid=c-7"]);
    let two = ["identityMap.crmid", "customer.id"];
    assert_eq!(named(&two, "c-7"), ["identityMap.crmid=c-7", "customer.id=c-7"]);
    assert_eq!(named(&two, "customer.id=c-7"), ["customer.id=c-7"]);
    // A key may hold `=`, and a profile may have been kept under another path before.
    let keys = ["identityMap.crmid=old.id=c-7", "old.id=c-7"];
    assert_eq!(named(&["identityMap.crmid"], "old.id=c-7"), keys);
}

#[test]
fn every_identifier_of_a_profile_is_known() {
    let mapping = compile(spec(&["name"], &[]));
    let record = r#"{"identityMap":{"crmid":[{"id":"c1"}],"email":[{"id":"b"},{"id":"a"}]}}"#;
    let known = known_after(&mapping, &[record]);
    assert_eq!(mapping.identifiers(&known).unwrap(), ["c1", "a", "b"]);
}

fn last(spec: MappingSpec, record: &str) -> Value {
    let mapping = compile(spec);
    let known = mapping.last_export(&known_after(&mapping, &[record]), NOW + 5).unwrap();
    serde_json::from_str(&export_text(&mapping, &known, 0)).unwrap()
}

#[test]
fn a_last_export_carries_exits_and_identities_and_no_attributes() {
    let record = r#"{"identityMap":{"crmid":[{"id":"c1"}],"email":[{"id":"a@b"}]},"name":"Ann",
        "segmentMembership":{"ups":{"gold":{"status":"realized"},"other":{"status":"realized"}}}}"#;
    let spec = MappingSpec { unmapped_segments: true, ..spec(&["name"], &["gold", "blue"]) };
    let expected = serde_json::json!({
        "segmentMembership": { "ups": { "gold": {
            "lastQualificationTime": "2023-11-14T22:13:20.000005Z", "status": "exited" } } },
        "identityMap": { "crmid": [{ "id": "c1" }], "email": [{ "id": "a@b" }] },
    });
    assert_eq!(last(spec.clone(), record), expected);
    let few = MappingSpec { identities: Some(vec!["crmid".to_owned()]), ..spec };
    let identities = serde_json::json!({ "crmid": [{ "id": "c1" }] });
    assert_eq!(last(few, record)["identityMap"], identities);
}

#[test]
fn a_last_export_without_segments_says_that_the_attributes_are_gone() {
    let record = r#"{"name":"Ann","loyalty":{"tier":"gold"},"unmapped":1}"#;
    let gone = last(spec(&["name", "loyalty.tier"], &[]), record);
    let nulls = serde_json::json!({ "name": null, "loyalty": { "tier": null },
        "identityMap": { "crmid": [{ "id": "c1" }] } });
    assert_eq!(gone, nulls);
    let all = MappingSpec { attributes: Attributes::All, ..spec(&[], &[]) };
    let nulls = serde_json::json!({ "name": null, "loyalty": null, "unmapped": null,
        "identityMap": { "crmid": [{ "id": "c1" }] } });
    assert_eq!(last(all, record), nulls);
}

#[test]
fn a_last_export_keeps_the_key_where_that_is_an_attribute() {
    let spec = |segments: &[&str]| MappingSpec {
        key: paths(&["customer.id"]),
        ..spec(&["customer.id", "customer.name"], segments)
    };
    let record = r#"{"customer":{"id":7,"name":"Ann"},
        "segmentMembership":{"ups":{"gold":{"status":"realized"}}}}"#;
    assert_eq!(last(spec(&["gold"]), record)["customer"], serde_json::json!({ "id": 7 }));
    let gone = serde_json::json!({ "id": 7, "name": null });
    assert_eq!(last(spec(&[]), record)["customer"], gone);
}
