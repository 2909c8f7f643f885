//! Who does not consent is not exported, and what is sent of it last carries no attribute.

use serde_json::json;

use super::*;

const EMAIL: &str = "consents.marketing.email.val";

fn consenting(consent: &[&str], attributes: &[&str], segments: &[&str]) -> MappingSpec {
    MappingSpec { consent: paths(consent), ..spec(attributes, segments) }
}

fn is_followed(mapping: &Mapping, body: &str) -> bool {
    mapping.project(SEED, keyed(body).as_bytes()).unwrap().followed
}

fn consents(email: &str) -> String {
    format!(r#""consents":{{"marketing":{{"email":{{"val":{email}}}}}}}"#)
}

/// A record with this consent, an attribute `a` and these memberships.
fn body(email: &str, entries: &str) -> String {
    let consents = consents(email);
    format!(r#"{{"a":1,{consents},"segmentMembership":{{"ups":{{{entries}}}}}}}"#)
}

/// The time so many seconds after the first record.
fn time(second: u64) -> String {
    format!("2023-11-14T22:13:{:02}Z", 20 + second)
}

#[test]
fn only_y_and_vi_are_consent() {
    let mapping = compile(consenting(&[EMAIL], &["a"], &[]));
    for given in ["\"y\"", "\"VI\"", r#""\u0079""#] {
        assert!(is_followed(&mapping, &body(given, "")), "{given}");
    }
    for refused in [
        "\"n\"",
        "\"p\"",
        "\"u\"",
        "\"LI\"",
        "\"CT\"",
        "\"CP\"",
        "\"PI\"",
        "\"Y\"",
        "\"vi\"",
        "\"\"",
        "\" y\"",
        "true",
        "1",
        "null",
        "[\"y\"]",
        "{\"val\":\"y\"}",
        r#""\ud800""#,
    ] {
        assert!(!is_followed(&mapping, &body(refused, "")), "{refused}");
    }
}

#[test]
fn a_missing_value_is_no_consent_and_is_counted() {
    let mapping = compile(consenting(&[EMAIL, "b"], &["a"], &[]));
    let missing = |body: &str| {
        let record = keyed(body);
        let projected = mapping.project(SEED, record.as_bytes()).unwrap();
        assert!(!projected.followed, "{body}");
        projected.consent_missing
    };
    assert!(missing("{}"));
    assert!(missing(&body("\"y\"", "")), "the other one is missing");
    assert!(missing(r#"{"b":null}"#));
    assert!(missing(r#"{"consents":"y","b":"y"}"#));
    assert!(!missing(&format!(r#"{{"b":"y",{}}}"#, consents("\"n\""))));
    assert!(!missing(&format!(r#"{{"b":false,{}}}"#, consents("\"y\""))));
}

#[test]
fn with_several_paths_each_must_consent() {
    let mapping = compile(consenting(&["b", "c"], &["a"], &[]));
    assert!(is_followed(&mapping, r#"{"b":"y","c":"VI"}"#));
    assert!(!is_followed(&mapping, r#"{"b":"y","c":"n"}"#));
    assert!(!is_followed(&mapping, r#"{"b":"n","c":"y"}"#));
    assert!(!is_followed(&mapping, r#"{"b":"y"}"#));
}

#[test]
fn a_profile_is_followed_while_it_consents_and_is_a_member() {
    let mapping = compile(consenting(&[EMAIL], &["a"], &["s"]));
    assert!(is_followed(&mapping, &body("\"y\"", r#""s":{}"#)));
    assert!(!is_followed(&mapping, &body("\"n\"", r#""s":{}"#)));
    assert!(!is_followed(&mapping, &body("\"y\"", r#""t":{}"#)));
}

#[test]
fn consent_is_kept_whether_mapped_or_not() {
    let with =
        |consent: &[&str], attributes: &[&str]| compile(consenting(consent, attributes, &[]));
    let all = MappingSpec { attributes: Attributes::All, ..consenting(&[EMAIL, "b"], &[], &[]) };
    for (mapping, document) in [
        (
            with(&[EMAIL], &["a", "consents.marketing.any"]),
            r#"{"a":1,"consents":{"marketing":{"any":{"x":2},"email":{"val":"y"}}}}"#,
        ),
        (with(&["b"], &["b", "a"]), r#"{"b":"n","a":1}"#),
        (with(&["b", "b.x", "a"], &["a"]), r#"{"a":1,"b":"n"}"#),
        (with(&[EMAIL], &["consents"]), ""),
        (compile(all), r#"{"a":1,"b":"n","consents":{"marketing":{"email":{"val":"y"}}}}"#),
    ] {
        let record = keyed(
            r#"{"consents":{"marketing":{"any":{"x":2},"email":{"val":"y","t":1}},"share":{}},
                "a":1,"b":"n"}"#,
        );
        let projected = mapping.project(SEED, record.as_bytes()).unwrap();
        let kept = projected.keep();
        let kept_document = String::from_utf8(kept.document.to_vec()).unwrap();
        let identities = r#""identityMap":{"crmid":[{"id":"c1"}]}}"#;
        if !document.is_empty() {
            let document = document.strip_suffix('}').unwrap();
            assert_eq!(kept_document, format!("{document},{identities}"));
        }
        let known = mapping.advance(None, kept, NOW).known;
        let (judged, followed) = mapping.fingerprints_of(SEED, &known).unwrap();
        assert_eq!(judged, projected.prints);
        assert_eq!(followed == Followed::Yes, projected.followed);
        assert_eq!(Known::decode(&known.encode()).unwrap(), known);
    }
}

#[test]
fn a_change_of_a_consent_value_alone_is_kept_but_is_no_change_of_an_export() {
    let mapping = compile(consenting(&[EMAIL], &["a"], &[]));
    let [yes, vital, no] = ["\"y\"", "\"VI\"", "\"n\""].map(|val| prints(&mapping, &body(val, "")));
    assert_ne!(yes.kept, vital.kept);
    assert_ne!(yes.kept, no.kept);
    for other in [vital, no] {
        assert_eq!(Fingerprints { kept: yes.kept, ..other }, yes);
    }
    let unasked = compile(spec(&["a"], &[]));
    assert_eq!(prints(&unasked, &body("\"y\"", "")), prints(&unasked, &body("\"n\"", "")));
}

#[test]
fn a_mapped_path_of_consent_is_an_attribute_too() {
    let mapping = compile(consenting(&[EMAIL], &["a", "consents.marketing"], &[]));
    let [yes, vital] = ["\"y\"", "\"VI\""].map(|val| prints(&mapping, &body(val, "")));
    assert_ne!(yes.attributes, vital.attributes);
    let export = exported(&mapping, &[&body("\"y\"", "")]);
    assert_eq!(export["consents"], json!({"marketing": {"email": {"val": "y"}}}));
    let withdrawn = exported(&mapping, &[&body("\"y\"", ""), &body("\"n\"", "")]);
    assert_eq!(withdrawn["consents"], json!({"marketing": null}));
}

#[test]
fn consents_stay_out_of_every_attribute() {
    let spec = consenting(&[EMAIL], &[], &["s"]);
    for retain in [Retain::Mapped, Retain::Profile] {
        let attributes = Attributes::All;
        let mapping = compile(MappingSpec { attributes, retain, ..spec.clone() });
        let export = exported(&mapping, &[&body("\"y\"", r#""s":{}"#)]);
        assert_eq!(export["a"], 1);
        assert_eq!(export.get("consents"), None);
    }
}

#[test]
fn the_last_export_after_withdrawal_has_identities_and_exits_and_no_attributes() {
    let mapping = compile(MappingSpec {
        unmapped_segments: true,
        removed: Removed::Null,
        segment_names: true,
        ..consenting(&[EMAIL], &["a", "b"], &["s", "t", "left", "late"])
    });
    let left = r#""left":{"status":"exited","lastQualificationTime":"2020-01-01T00:00:00Z"}"#;
    let member = format!(
        r#""s":{{"lastQualificationTime":"2021-01-01T00:00:00Z"}},"t":{{}},"u":{{}},{left}"#
    );
    // It says no, is still in one segment, no longer in the other, and joins a third one.
    let refuses = format!(r#""s":{{"status":"existing"}},"late":{{}},"u":{{}},{left}"#);
    let export = exported(&mapping, &[&body("\"y\"", &member), &body("\"n\"", &refuses)]);
    let exited = json!({"lastQualificationTime": time(1), "status": "exited"});
    let former = json!({"lastQualificationTime": "2020-01-01T00:00:00Z", "status": "exited"});
    assert_eq!(
        export,
        json!({
            "segmentMembership": {"ups": {"s": exited, "t": exited, "left": former}},
            "identityMap": {"crmid": [{"id": "c1"}]},
        })
    );
}

#[test]
fn without_mapped_segments_the_last_export_has_the_attributes_as_null() {
    let mapping = compile(consenting(&[EMAIL], &["z.b", "a", "z.c"], &[]));
    let bodies = [&body("\"y\"", r#""s":{}"#), r#"{"z":{"b":5}}"#];
    let text = export_text(&mapping, &known_after(&mapping, &bodies), 0);
    let nulls = r#"{"z":{"b":null,"c":null},"a":null,"#;
    assert_eq!(text, format!(r#"{nulls}"identityMap":{{"crmid":[{{"id":"c1"}}]}}}}"#));

    let all = MappingSpec { attributes: Attributes::All, ..consenting(&["ok"], &[], &[]) };
    let export = exported(&compile(all), &[r#"{"ok":"y","a":1}"#, r#"{"ok":"n","a":2}"#]);
    assert_eq!(export, json!({"a": null, "ok": null, "identityMap": {"crmid": [{"id": "c1"}]}}));
}

#[test]
fn what_comes_after_the_withdrawal_is_remembered_but_not_part_of_the_last_export() {
    let mapping = compile(consenting(&[EMAIL], &["a"], &["s", "t"]));
    let ids = |more: &str| format!(r#""identityMap":{{"crmid":[{{"id":"c1"}}]{more}}}"#);
    let record = |email: &str, entries: &str, more: &str| {
        body(email, entries).replacen('{', &format!("{{{},", ids(more)), 1)
    };
    let first = record("\"y\"", r#""s":{}"#, "");
    let no = record("\"n\"", r#""s":{}"#, "");
    let later = record("\"n\"", r#""s":{"status":"exited"},"t":{}"#, r#","ecid":[{"id":"e"}]"#);
    let last = json!({
        "segmentMembership":
            {"ups": {"s": {"lastQualificationTime": time(1), "status": "exited"}}},
        "identityMap": {"crmid": [{"id": "c1"}]},
    });
    assert_eq!(exported(&mapping, &[&first, &no, &later]), last);

    let back = record("\"y\"", r#""s":{"status":"exited"},"t":{}"#, r#","ecid":[{"id":"e"}]"#);
    let export = exported(&mapping, &[&first, &no, &later, &back]);
    assert_eq!(export["a"], 1);
    assert_eq!(export["segmentMembership"]["ups"]["t"], json!({"status": "realized"}));
    assert_eq!(export["identityMap"]["ecid"], json!([{"id": "e"}]));
}

#[test]
fn a_withdrawal_that_arrived_before_the_version_that_it_follows_was_minted_is_told_apart_from_it() {
    let mapping = compile(consenting(&[EMAIL], &["a"], &["s", "t", "u"]));
    let records = [
        (body("\"y\"", r#""s":{}"#), 10),
        (body("\"n\"", r#""s":{},"t":{}"#), 5),
        (body("\"n\"", r#""s":{},"t":{},"u":{}"#), 7),
    ];
    let mut known = None;
    for (body, now) in records {
        let record = keyed(&body);
        let kept = mapping.project(SEED, record.as_bytes()).unwrap().keep();
        known = Some(mapping.advance(known.as_ref(), kept, now).known);
    }
    let export: Value = serde_json::from_str(&export_text(&mapping, &known.unwrap(), 0)).unwrap();
    let sent = export["segmentMembership"]["ups"].as_object().unwrap();
    assert_eq!(sent.keys().collect::<Vec<_>>(), ["s"]);
}

#[test]
fn a_segment_that_was_mapped_after_the_withdrawal_is_not_part_of_the_last_export() {
    let mapping = compile(consenting(&[EMAIL], &["a"], &["s", "t"]));
    let entries = r#""s":{},"t":{}"#;
    let bodies = [body("\"y\"", entries), body("\"n\"", entries)];
    let known = known_after(&mapping, &[&bodies[0], &bodies[1]]);
    let mapped = |at| SegmentMapped { created: at, updated: at };
    let times = MappedAt(vec![mapped(NOW), mapped(NOW + 5_000_000)]);
    let mut out = Vec::new();
    mapping.export(&known, 0, &times, &mut out).unwrap();
    let export: Value = serde_json::from_slice(&out).unwrap();
    let sent = export["segmentMembership"]["ups"].as_object().unwrap();
    assert_eq!(sent.keys().collect::<Vec<_>>(), ["s"]);
}

#[test]
fn only_who_it_is_can_be_picked_after_a_withdrawal() {
    let mapping = compile(MappingSpec {
        key: paths(&["acme.id"]),
        identities: Some(vec!["email".into()]),
        ..consenting(&["ok"], &["acme", "name"], &[])
    });
    let fields = mapping.fields(&paths(&["name", "identityMap.email", "acme.id", "acme.x"]));
    let fields = fields.unwrap();
    let values = |ok: &str| {
        let body = format!(
            r#"{{"acme":{{"id":7,"x":"y"}},"name":"Ada","ok":"{ok}",
                "identityMap":{{"email":[{{"id":"m"}}]}}}}"#
        );
        let known = known_after(&mapping, &[&body]);
        let values = fields.read(&known).unwrap().into_iter();
        values.map(|value| value.map(Into::<String>::into)).collect::<Vec<_>>()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(values("y"), [some("Ada"), some("m"), some("7"), some("y")]);
    assert_eq!(values("n"), [None, some("m"), some("7"), None]);
}

#[test]
fn consent_that_was_added_and_not_kept_is_unknown_until_the_next_record() {
    let body = body("\"y\"", r#""s":{}"#);
    let judged = |before: MappingSpec, after: MappingSpec, body: &str| {
        let known = known_after(&compile(before), &[body]);
        compile(after).fingerprints_of(SEED, &known).unwrap().1
    };
    let none = || spec(&["a"], &["s"]);
    let email = || consenting(&[EMAIL], &["a"], &["s"]);
    let both = || consenting(&[EMAIL, "b"], &["a"], &["s"]);
    let whole = |spec| MappingSpec { retain: Retain::Profile, ..spec };
    assert_eq!(judged(none(), email(), &body), Followed::Unknown);
    assert_eq!(judged(email(), both(), &body), Followed::Unknown);
    assert_eq!(judged(whole(none()), email(), &body), Followed::Yes);
    assert_eq!(judged(whole(none()), whole(both()), &body), Followed::No, "b is missing");
    assert_eq!(judged(none(), whole(email()), &body), Followed::Unknown);
    let attribute = spec(&["a", EMAIL], &["s"]);
    assert_eq!(judged(attribute, email(), &body), Followed::Yes, "it is there all the same");
    let refused = body.replace("\"y\"", "\"n\"");
    assert_eq!(judged(email(), both(), &refused), Followed::No, "one says no already");
    assert_eq!(judged(both(), email(), &body), Followed::Yes);
    assert_eq!(judged(email(), none(), &refused), Followed::Yes, "nobody asks");

    let mapping = compile(email());
    let known = known_after(&compile(none()), &[&body]);
    let (unknown, _) = mapping.fingerprints_of(SEED, &known).unwrap();
    assert_ne!(unknown.kept, prints(&mapping, &body).kept);
    let silent = body.replace("consents", "other");
    assert_ne!(unknown.kept, prints(&mapping, &silent).kept, "so that the record is kept");
}

#[test]
fn what_is_noted_of_consent_follows_the_mapping() {
    let whole = |spec| compile(MappingSpec { retain: Retain::Profile, ..spec });
    let (asks, asks_not) = (whole(consenting(&["ok"], &["a"], &[])), whole(spec(&["a"], &[])));
    let mut known = known_after(&asks_not, &[r#"{"a":1,"ok":"n"}"#]);
    assert_eq!(asks_not.note_consent(&mut known, 9), Ok(false));
    assert_eq!(asks.note_consent(&mut known, 9), Ok(true));
    let document = known.withdrawn.as_ref().unwrap().document.clone();
    assert_eq!(document, r#"{"identityMap":{"crmid":[{"id":"c1"}]}}"#);
    assert_eq!(asks.note_consent(&mut known, 10), Ok(false));
    assert_eq!(known.withdrawn.as_ref().unwrap().at, 9);
    assert_eq!(asks_not.note_consent(&mut known, 11), Ok(true));
    assert_eq!(known.withdrawn, None);
}

#[test]
fn consent_inside_identities_or_memberships_twice_or_prefixed_is_refused() {
    let refused = |spec: MappingSpec| Mapping::compile(spec).unwrap_err().to_string();
    for path in ["identityMap.crmid", "segmentMembership.ups.s.status"] {
        let error = refused(consenting(&[path], &["a"], &[]));
        assert!(error.starts_with(&format!("{path} cannot be export.consent")), "{error}");
    }
    assert!(refused(consenting(&["b", "b"], &["a"], &[])).contains("lists b twice"));
    let prefixed = MappingSpec {
        strip_prefix: Some("xdm:".into()),
        ..consenting(&["xdm:consents"], &["a"], &[])
    };
    assert!(refused(prefixed).contains("write the path without it"));
}

#[test]
fn the_order_of_paths_of_consent_is_no_change() {
    let (one, other) = (consenting(&["b", "c"], &["a"], &[]), consenting(&["c", "b"], &["a"], &[]));
    let body = r#"{"a":1,"b":"y","c":"n"}"#;
    assert_eq!(prints(&compile(one), body), prints(&compile(other), body));
}
