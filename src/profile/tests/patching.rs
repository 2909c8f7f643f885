//! Partial records: what each rule of merging makes of a known profile.

use serde_json::json;

use super::*;

/// What is known after these patches, a second apart, and how many memberships the last one ended
/// by removing them.
fn patched(mapping: &Mapping, bodies: &[&str]) -> (Known, u32) {
    let mut known = None;
    let mut exits = 0;
    for (body, second) in bodies.iter().zip(0..) {
        let now = NOW + second * 1_000_000;
        let merged = mapping.merge(known.as_ref(), keyed(body).as_bytes(), now).unwrap();
        let kept = mapping.project_merged(SEED, &merged).unwrap().keep();
        known = Some(mapping.advance(known.as_ref(), kept, now).known);
        exits = merged.exits_by_absence;
    }
    (known.unwrap(), exits)
}

fn export(mapping: &Mapping, bodies: &[&str]) -> Value {
    serde_json::from_str(&export_text(mapping, &patched(mapping, bodies).0, 0)).unwrap()
}

/// The attributes after these patches.
fn attributes(mapping: &Mapping, bodies: &[&str]) -> Value {
    let mut export = export(mapping, bodies);
    let entries = export.as_object_mut().unwrap();
    entries.remove("identityMap");
    entries.remove("segmentMembership");
    export
}

fn patches(spec: MappingSpec) -> Mapping {
    compile(spec).for_mode(UpdateMode::Patch)
}

/// The document after these patches.
fn document(mapping: &Mapping, bodies: &[&str]) -> String {
    String::from_utf8(patched(mapping, bodies).0.document.to_vec()).unwrap()
}

#[test]
fn attributes_are_merged_by_the_examples_of_rfc_7396() {
    let mapping = patches(spec(&["a"], &[]));
    for (before, patch, after) in [
        (r#""b""#, r#""c""#, json!("c")),
        (r#"{"x":"b"}"#, r#"{"y":"c"}"#, json!({"x": "b", "y": "c"})),
        (r#"{"x":"b"}"#, r#"{"x":null}"#, json!({})),
        (r#"{"x":"b","y":"c"}"#, r#"{"x":null}"#, json!({"y": "c"})),
        (r#"["b"]"#, r#""c""#, json!("c")),
        (r#""c""#, r#"["b"]"#, json!(["b"])),
        (r#"{"x":{"y":"c"}}"#, r#"{"x":{"y":"d","z":null}}"#, json!({"x": {"y": "d"}})),
        (r#"{"x":[{"y":"c"}]}"#, r#"{"x":[1]}"#, json!({"x": [1]})),
        (r#"["a","b"]"#, r#"["c",null,{"d":null}]"#, json!(["c", null, {"d": null}])),
        (r#"["a","b"]"#, r#"{"x":"b","y":null}"#, json!({"x": "b"})),
        (r#"{"x":"foo"}"#, r#""bar""#, json!("bar")),
        (r#"{"x":1}"#, r#"{"x":{"y":{"z":null}}}"#, json!({"x": {"y": {}}})),
        (r#"{"":1}"#, r#"{"":{"":null,"x":2}}"#, json!({"": {"x": 2}})),
    ] {
        let [before, change] = [before, patch].map(|value| format!(r#"{{"a":{value}}}"#));
        assert_eq!(attributes(&mapping, &[&before, &change]), json!({"a": after}), "{patch}");
    }
    assert_eq!(attributes(&mapping, &[r#"{"a":1}"#, r#"{"a":null}"#]), json!({}));
    assert_eq!(attributes(&mapping, &[r#"{"a":1}"#, "{}"]), json!({"a": 1}));
}

#[test]
fn a_patch_acts_around_at_and_inside_a_mapped_path() {
    let known = r#"{"person":{"name":{"first":"Ada","last":"L"},"age":7}}"#;
    let mapped = |paths: &[&str], patch: &str| {
        let mapping = patches(spec(paths, &[]));
        attributes(&mapping, &[known, patch])["person"].take()
    };
    let first = r#"{"person":{"name":{"first":"Eva"}}}"#;
    assert_eq!(
        mapped(&["person"], first),
        json!({"name": {"first": "Eva", "last": "L"}, "age": 7})
    );
    assert_eq!(mapped(&["person.name"], first), json!({"name": {"first": "Eva", "last": "L"}}));
    assert_eq!(mapped(&["person.name.first"], first), json!({"name": {"first": "Eva"}}));
    assert_eq!(mapped(&["person.name.last"], first), json!({"name": {"last": "L"}}));

    let no_name = r#"{"person":{"name":null}}"#;
    assert_eq!(mapped(&["person"], no_name), json!({"age": 7}));
    for inside in ["person.name", "person.name.first"] {
        assert_eq!(mapped(&[inside], no_name), json!(null), "{inside}");
    }
    for other_value in [r#"{"person":{"name":"Ada"}}"#, r#"{"person":{"name":[{"first":1}]}}"#] {
        assert_eq!(mapped(&["person.name.first", "person.age"], other_value), json!({"age": 7}));
    }
    for gone in [r#"{"person":null}"#, r#"{"person":[]}"#, r#"{"person":{"name":{"first":null}}}"#]
    {
        assert_eq!(mapped(&["person.name.first"], gone), json!(null), "{gone}");
    }
    let again = patches(spec(&["person.name.first"], &[]));
    let bodies = [known, r#"{"person":"x"}"#, first];
    assert_eq!(attributes(&again, &bodies), json!({"person": {"name": {"first": "Eva"}}}));
}

#[test]
fn a_patch_for_an_unknown_profile_is_a_snapshot_without_its_nulls() {
    let body = r#"{"a":{"x":null,"y":{"z":null}},"b":null,
        "segmentMembership":{"ups":{"s":null,"t":{"status":null}},"aam":null},
        "identityMap":{"crmid":[{"id":"c1"},null],"ecid":null}}"#;
    for retain in [Retain::Mapped, Retain::Profile] {
        let mapping = patches(MappingSpec { retain, ..spec(&["a", "b"], &["s", "t"]) });
        assert_eq!(
            export(&mapping, &[body]),
            json!({
                "a": {"y": {}},
                "segmentMembership": {"ups": {"t": {"status": "realized"}}},
                "identityMap": {"crmid": [{"id": "c1"}]},
            })
        );
        assert!(!document(&mapping, &[body]).contains("null"));
    }
}

#[test]
fn memberships_are_replaced_segment_by_segment() {
    let mapping = patches(spec(&["a"], &["s", "t"]));
    let of = |entries: &str| format!(r#"{{"segmentMembership":{{"ups":{{{entries}}}}}}}"#);
    let both = of(r#""s":{"lastQualificationTime":"2024-01-01T00:00:00Z"},
        "t":{"lastQualificationTime":"2024-01-02T00:00:00Z"}"#);
    let left = of(r#""s":{"status":"exited"}"#);
    assert_eq!(
        export(&mapping, &[&both, &left])["segmentMembership"],
        json!({"ups": {
            "s": {"status": "exited"},
            "t": {"status": "realized", "lastQualificationTime": "2024-01-02T00:00:00Z"},
        }})
    );
    let (known, exits) = patched(&mapping, &[&both, "{}", &left]);
    let times = known.memberships.iter().map(|m| ((m.created - NOW), (m.updated - NOW)));
    assert_eq!(times.collect::<Vec<_>>(), [(0, 2_000_000), (0, 0)]);
    assert_eq!(exits, 0, "an exit that is named is none by absence");
}

#[test]
fn a_removed_segment_namespace_or_all_of_them_are_exits_by_absence_now() {
    let mapping = patches(spec(&["a"], &["s", "t", "over"]));
    let known = r#"{"segmentMembership":{
        "ups":{"s":{"lastQualificationTime":"2024-01-01T00:00:00Z"},"u":{},
            "over":{"status":"exited","lastQualificationTime":"2020-01-01T00:00:00Z"}},
        "aam":{"t":{}}}}"#;
    let now = json!("2023-11-14T22:13:21Z");
    for (patch, ended) in [
        (r#"{"segmentMembership":{"ups":{"s":null,"other":null,"over":null}}}"#, &["s"][..]),
        (r#"{"segmentMembership":{"ups":null,"x":null}}"#, &["s"]),
        (r#"{"segmentMembership":null}"#, &["s", "t"]),
    ] {
        for retain in [Retain::Mapped, Retain::Profile] {
            let mapping = patches(MappingSpec { retain, ..mapping.spec().clone() });
            let (after, exits) = patched(&mapping, &[known, patch]);
            assert_eq!(exits as usize, ended.len(), "{patch}");
            let sent: Value = serde_json::from_str(&export_text(&mapping, &after, 0)).unwrap();
            let sent = &sent["segmentMembership"];
            for (entry, id) in [(&sent["ups"]["s"], "s"), (&sent["aam"]["t"], "t")] {
                assert_eq!(entry["status"] == "exited", ended.contains(&id), "{patch}");
                assert_eq!(entry["lastQualificationTime"] == now, ended.contains(&id), "{patch}");
            }
            let over = json!({"status": "exited", "lastQualificationTime": "2020-01-01T00:00:00Z"});
            assert_eq!(sent["ups"]["over"], over, "what was over was over before");
            assert_eq!(patched(&mapping, &[known, patch, patch]), (after, 0), "{patch}");
        }
    }
}

#[test]
fn identities_are_united_and_null_removes_a_namespace() {
    let mapping = patches(spec(&["a"], &[]));
    let ids = |bodies: &[&str]| export(&mapping, bodies)["identityMap"].take();
    let known = r#"{"identityMap":{"crmid":[{"id":"c1"}],"ecid":[{"id":"e1"},{"id":7}]}}"#;
    let more = r#"{"identityMap":{"crmid":[{"id":"c1"}],"ecid":[{"id":"7"},{"id":"e0"}],"x":[]}}"#;
    let crmid = json!([{"id": "c1"}]);
    assert_eq!(
        ids(&[known, more]),
        json!({"crmid": crmid, "ecid": [{"id": "7"}, {"id": "e0"}, {"id": "e1"}]})
    );
    let gone = r#"{"identityMap":{"crmid":[{"id":"c1"}],"ecid":null}}"#;
    assert_eq!(ids(&[known, gone]), json!({"crmid": crmid}));

    let keyed_by_attribute = patches(MappingSpec { key: paths(&["id"]), ..mapping.spec().clone() });
    let bodies = [r#"{"id":1,"identityMap":{"x":[{"id":"e"}]}}"#, r#"{"id":1,"identityMap":null}"#];
    assert_eq!(export(&keyed_by_attribute, &bodies), json!({}));
}

#[test]
fn a_patch_must_name_its_profile_and_null_does_not() {
    let mapping = patches(spec(&["a"], &["s"]));
    for body in [
        r#"{"a":1}"#,
        r#"{"identityMap":null}"#,
        r#"{"identityMap":{"crmid":null}}"#,
        r#"{"identityMap":{"crmid":[]}}"#,
        r#"{"identityMap":{"crmid":[{"id":null}]}}"#,
    ] {
        assert_eq!(
            reason(&mapping, body),
            "no unique identifier: identityMap.crmid holds no id; a patch has to name the profile \
             that it changes"
        );
    }
    let attribute = patches(MappingSpec { key: paths(&["acme.id"]), ..spec(&["acme"], &[]) });
    assert!(reason(&attribute, r#"{"acme":{"id":null}}"#).contains("acme.id is absent; a patch"));
}

#[test]
fn another_identity_in_the_keys_namespace_leaves_the_profile_under_its_key() {
    let mapping = patches(spec(&["a"], &[]));
    let named = r#"{"identityMap":{"crmid":[{"id":"c5","primary":true},{"id":"c0"}]}}"#;
    let (known, _) = patched(&mapping, &[named, r#"{"identityMap":{"crmid":[{"id":"c5"}]}}"#]);
    assert_eq!(known.key.text, "c5");
    let document = String::from_utf8(known.document.to_vec()).unwrap();
    assert!(document.contains(r#"{"id":"c5","primary":true}"#), "{document}");

    // Chosen of all that are known would be another one.
    let plain = [r#"{"identityMap":{"crmid":[{"id":"c5"}]}}"#, named];
    let unnamed = r#"{"identityMap":{"crmid":[{"id":"c5","primary":false}]}}"#;
    assert_eq!(patched(&mapping, &[plain[0], plain[1], unnamed]).0.key.text, "c5");
}

#[test]
fn the_primary_identity_is_the_one_that_was_named_last() {
    let mapping = patches(spec(&["a"], &[]));
    let of =
        |ids: &str| format!(r#"{{"identityMap":{{"crmid":[{{"id":"c1"}}],"email":[{ids}]}}}}"#);
    let chosen = |bodies: &[&str]| {
        let (known, _) = patched(&mapping, bodies);
        let fields = mapping.fields(&paths(&["identityMap.email"])).unwrap();
        fields.read(&known).unwrap().remove(0).unwrap().into_owned()
    };
    let a = of(r#"{"id":"a","primary":true}"#);
    assert_eq!(chosen(&[&a, &of(r#"{"id":"b"}"#)]), "a");
    assert_eq!(chosen(&[&a, &of(r#"{"id":"b","primary":true}"#)]), "b");
    assert_eq!(chosen(&[&a, &of(r#"{"id":"b","primary":true}"#), &of(r#"{"id":"a"}"#)]), "b");
}

#[test]
fn consents_are_merged_like_attributes() {
    let mapping = patches(spec(&["consents.marketing"], &[]));
    let known = r#"{"consents":{"marketing":{"email":{"val":"y"},"sms":{"val":"y"}}}}"#;
    let no = r#"{"consents":{"marketing":{"email":{"val":"n"},"sms":null}}}"#;
    let after = json!({"consents": {"marketing": {"email": {"val": "n"}}}});
    assert_eq!(attributes(&mapping, &[known, no]), after);
    assert_eq!(attributes(&mapping, &[known, r#"{"consents":null}"#]), json!({}));
}

#[test]
fn what_is_kept_whole_is_merged_whole() {
    let whole = patches(MappingSpec { retain: Retain::Profile, ..spec(&["a"], &["s"]) });
    let bodies = [
        r#"{"b":{"x":1,"y":2},"identityMap":{"crmid":[{"id":"c1","authenticatedState":"loggedOut"}]},
            "segmentMembership":{"ups":{"s":{"by":"rule 7"},"u":{}}}}"#,
        r#"{"b":{"x":null},"identityMap":{"crmid":[{"id":"c1","authenticatedState":"authenticated"}]},
            "segmentMembership":{"ups":{"t":{}}}}"#,
    ];
    let document: Value = serde_json::from_str(&document(&whole, &bodies)).unwrap();
    assert_eq!(
        document,
        json!({
            "b": {"y": 2},
            "identityMap": {"crmid": [{"id": "c1", "authenticatedState": "authenticated"}]},
            "segmentMembership": {"ups": {"s": {"by": "rule 7"}, "t": {}, "u": {}}},
        })
    );
    let all = patches(MappingSpec { attributes: Attributes::All, ..spec(&[], &[]) });
    assert_eq!(attributes(&all, &bodies), json!({"b": {"y": 2}}));
}

#[test]
fn digits_and_escapes_stay_as_they_came() {
    let mapping = patches(spec(&["a"], &[]));
    let known = r#"{"a":{"id":12345678901234567890123456789012345678,"x":1.50,"\ud800":"\ud801","y":[1e999 , 2]}}"#;
    let patch = r#"{"a":{"\u0078":-0.10e+2,"z":0.30000000000000000000000000004}}"#;
    assert_eq!(
        document(&mapping, &[known, patch]),
        r#"{"a":{"id":12345678901234567890123456789012345678,"\u0078":-0.10e+2,"y":[1e999,2],"z":0.30000000000000000000000000004,"\ud800":"\ud801"},"identityMap":{"crmid":[{"id":"c1"}]}}"#
    );
}

#[test]
fn of_keys_that_come_twice_the_last_counts_in_patches_too() {
    let mapping = patches(spec(&["a", "b"], &["s"]));
    let known = r#"{"a":1,"b":{"x":1},"segmentMembership":{"ups":{"s":{}}}}"#;
    let patch = r#"{"a":2,"a":null,"b":null,"b":{"x":3,"\u0078":4},
        "segmentMembership":null,"segmentMembership":{"ups":{"s":null,"s":{"status":"existing"}}}}"#;
    let (after, exits) = patched(&mapping, &[known, patch]);
    assert_eq!(exits, 0);
    assert_eq!(after.memberships[0].status, Status::Existing);
    assert_eq!(attributes(&mapping, &[known, patch]), json!({"b": {"x": 4}}));
}

#[test]
fn a_prefix_goes_from_the_keys_of_a_patch_and_not_from_those_that_are_kept() {
    let mapping = patches(MappingSpec {
        strip_prefix: Some("xdm:".into()),
        at: Some("entity".parse().unwrap()),
        ..spec(&["a"], &["s"])
    });
    let wrapped = |body: &str| {
        format!(r#"{{"xdm:entity":{{"xdm:identityMap":{{"crmid":[{{"xdm:id":"c1"}}]}},{body}}}}}"#)
    };
    let known = wrapped(r#""xdm:a":{"xdm:xdm:b":1,"c":[{"xdm:d":1}]}"#);
    let patch =
        wrapped(r#""xdm:a":{"xdm:e":null,"xdm:b":2},"xdm:segmentMembership":{"ups":{"xdm:s":{}}}"#);
    assert_eq!(
        export(&mapping, &[&known, &patch]),
        json!({
            "a": {"xdm:b": 1, "b": 2, "c": [{"d": 1}]},
            "segmentMembership": {"ups": {"s": {"status": "realized"}}},
            "identityMap": {"crmid": [{"id": "c1"}]},
        })
    );
}

#[test]
fn only_the_version_of_the_patch_itself_counts() {
    let mapping =
        patches(MappingSpec { version: Some("acme.rev".parse().unwrap()), ..spec(&["acme"], &[]) });
    let known = patched(&mapping, &[r#"{"acme":{"rev":3}}"#]).0;
    let patch = keyed(r#"{"acme":{"x":1}}"#);
    let projected = mapping.project(SEED, patch.as_bytes()).unwrap();
    assert_eq!((projected.source_version, projected.version_missing), (None, true));
    let merged = mapping.merge(Some(&known), patch.as_bytes(), NOW).unwrap();
    assert_eq!(mapping.project_merged(SEED, &merged).unwrap().source_version, None);
    for wrong in [r#""x""#, "{}", "true"] {
        let patch = keyed(&format!(r#"{{"acme":{{"rev":{wrong}}}}}"#));
        assert!(reason(&mapping, &patch).contains("neither a number in range nor a timestamp"));
    }
}

#[test]
fn deep_nesting_is_refused_where_it_counts_and_costs_nothing_elsewhere() {
    let nested = |levels: usize| format!("{}1{}", r#"{"x":"#.repeat(levels), "}".repeat(levels));
    let patch = |levels| keyed(&format!(r#"{{"deep":{{"in":{}}}}}"#, nested(levels)));
    let mapped = patches(spec(&["deep.in"], &[]));
    assert!(reason(&mapped, &patch(100_000)).contains("more than 128 levels deep"));
    let known = patched(&mapped, &[&patch(100)]).0;
    let deepest = mapped.merge(Some(&known), patch(128).as_bytes(), NOW).unwrap();
    assert!(mapped.project_merged(SEED, &deepest).is_ok());
    let unmapped = patches(spec(&["a"], &[]));
    let (known, _) = patched(&unmapped, &[&patch(100_000), &patch(100_000)]);
    assert!(known.document.len() < 100);
}

#[test]
fn a_patch_after_snapshots_keeps_what_was_exited_by_absence() {
    let mapping = compile(spec(&["a"], &["s"]));
    let known = known_after(&mapping, &[r#"{"segmentMembership":{"ups":{"s":{}}}}"#, "{}"]);
    let mapping = mapping.for_mode(UpdateMode::Patch);
    let merged = mapping.merge(Some(&known), keyed("{}").as_bytes(), NOW + 5_000_000).unwrap();
    let kept = mapping.project_merged(SEED, &merged).unwrap().keep();
    let after = mapping.advance(Some(&known), kept, NOW + 5_000_000).known;
    assert_eq!(after, known);
}
