use bytes::Bytes;

use super::*;

fn kept(mapping: &Mapping, body: &str) -> (String, Vec<Reported>) {
    let record = keyed(body);
    let kept = mapping.project(SEED, record.as_bytes()).unwrap().keep();
    (String::from_utf8(kept.document.to_vec()).unwrap(), kept.memberships)
}

const SEGMENTS: &str = r#""segmentMembership":{"ups":{
    "u":{"status":"existing","lastQualificationTime":"2024-01-01T00:00:00Z"},
    "s":{"status":"exited","lastQualificationTime":"1970-01-01T00:00:01+00:00"}}}"#;

fn reported(id: &str, status: Status, at: Option<i64>) -> Reported {
    Reported { namespace: "ups".into(), id: id.into(), status, at }
}

fn status_of(known: &Known) -> Vec<(&str, Status, Option<i64>, u64, u64)> {
    let second = |at: u64| (at - NOW) / 1_000_000;
    let memberships = known.memberships.iter();
    memberships
        .map(|m| (m.id.as_str(), m.status, m.at, second(m.created), second(m.updated)))
        .collect()
}

#[test]
fn mapped_attributes_are_kept_as_they_were_written_with_all_identities() {
    let mapping = compile(spec(&["z.b", "a", "z.c"], &["s"]));
    let body = r#"{"identityMap":{"email":[{"id":"m","authenticatedState":"x"}],
        "crmid":[{"id":"c2","primary":true},{"id":7}]},
        "x":1, "z": {"c": 1.50e3, "d": 0, "b": [ "\u00e9 x" , null ]}}"#;
    let (document, memberships) = kept(&mapping, body);
    assert_eq!(
        document,
        r#"{"z":{"b":["\u00e9 x",null],"c":1.50e3},"identityMap":{"crmid":[{"id":"7"},{"id":"c2","primary":true}],"email":[{"id":"m"}]}}"#
    );
    assert_eq!(memberships, []);
}

#[test]
fn of_unmapped_memberships_only_the_status_is_kept() {
    let mapping = compile(spec(&["a"], &["s"]));
    let body = format!("{{{SEGMENTS}}}");
    let mapped = reported("s", Status::Exited, Some(1_000_000));
    let time = 1_704_067_200_000_000;
    assert_eq!(kept(&mapping, &body).1, [mapped.clone(), reported("u", Status::Existing, None)]);
    let timed = [mapped, reported("u", Status::Existing, Some(time))];
    let sent = compile(MappingSpec { unmapped_segments: true, ..mapping.spec().clone() });
    assert_eq!(kept(&sent, &body).1, timed);
    let whole = compile(MappingSpec { retain: Retain::Profile, ..mapping.spec().clone() });
    assert_eq!(kept(&whole, &body).1, timed);
}

#[test]
fn a_whole_profile_is_kept_in_one_line() {
    let mapping = compile(MappingSpec {
        retain: Retain::Profile,
        at: Some("p".parse().unwrap()),
        strip_prefix: Some("xdm:".into()),
        ..spec(&["a"], &[])
    });
    let record = "{\"p\" : {\"xdm:b\": 1.0 ,\n \"identityMap\": {\"crmid\":[{\"id\":\"c1\"}]}}}";
    let kept = mapping.project(SEED, record.as_bytes()).unwrap().keep();
    assert_eq!(kept.document, r#"{"b":1.0,"identityMap":{"crmid":[{"id":"c1"}]}}"#);
}

#[test]
fn a_membership_that_a_snapshot_no_longer_names_has_ended_now() {
    let mapping = compile(spec(&["a"], &["s", "t"]));
    let first = r#"{"segmentMembership":{"ups":{"s":{},"t":{"status":"exited"},"u":{}}}}"#;
    let known = known_after(&mapping, &[first, "{}", "{}"]);
    let at = i64::try_from(NOW).unwrap() + 1_000_000;
    assert_eq!(
        status_of(&known),
        [
            ("s", Status::Exited, Some(at), 0, 1),
            ("t", Status::Exited, None, 0, 0),
            ("u", Status::Exited, None, 0, 1),
        ]
    );
}

#[test]
fn only_exits_of_mapped_members_count_as_exits_by_absence() {
    let mapping = compile(spec(&["a"], &["s", "t"]));
    let first = r#"{"segmentMembership":{"ups":{"s":{},"t":{"status":"exited"},"u":{}}}}"#;
    let known = known_after(&mapping, &[first]);
    let record = keyed("{}");
    let gone = || mapping.project(SEED, record.as_bytes()).unwrap().keep();
    let advanced = mapping.advance(Some(&known), gone(), NOW);
    assert_eq!(advanced.exits_by_absence, 1);
    assert_eq!(mapping.advance(Some(&advanced.known), gone(), NOW).exits_by_absence, 0);
    assert_eq!(mapping.advance(None, gone(), NOW).exits_by_absence, 0);
}

#[test]
fn the_ledger_notes_when_a_membership_was_first_and_last_seen_to_change() {
    let mapping = compile(spec(&["a"], &["b", "d"]));
    let of = |entries: &str| format!(r#"{{"segmentMembership":{{"ups":{{{entries}}}}}}}"#);
    let known = known_after(
        &mapping,
        &[
            &of(r#""b":{"status":"realized"}"#),
            &of(r#""b":{"status":"existing"},"c":{},"a":{}"#),
            &of(r#""b":{"status":"exited"},"d":{},"a":{},"c":{}"#),
            &of(r#""d":{},"b":{"status":"realized"},"a":{}"#),
        ],
    );
    assert_eq!(
        status_of(&known),
        [
            ("a", Status::Realized, None, 1, 1),
            ("b", Status::Realized, None, 0, 3),
            ("c", Status::Exited, None, 1, 3),
            ("d", Status::Realized, None, 2, 2),
        ]
    );
}

#[test]
fn a_known_profile_survives_the_store() {
    let mapping = compile(spec(&["a"], &["s"]));
    let known = known_after(&mapping, &[&format!("{{\"a\":[1, 2],{SEGMENTS}}}")]);
    let bytes = known.encode();
    assert_eq!(Known::decode(&bytes).unwrap(), known);
    assert!(matches!(Known::decode(&[]), Err(DecodeError::Empty)));
    assert!(matches!(Known::decode(&[9, 0]), Err(DecodeError::Format(9))));
    for end in 1..bytes.len() {
        assert!(matches!(Known::decode(&bytes[..end]), Err(DecodeError::Damaged(_))), "{end}");
    }
    let longer = [&bytes[..], &[0, 0]].concat();
    assert!(matches!(Known::decode(&longer), Err(DecodeError::Excess(2))));
}

#[test]
fn a_known_profile_is_judged_anew_under_a_changed_mapping() {
    let before = compile(spec(&["a", "b"], &["s"]));
    let body = format!(r#"{{"a":1,"b":2,{SEGMENTS}}}"#);
    let known = known_after(&before, &[&body]);
    let (_, followed) = before.fingerprints_of(SEED, &known).unwrap();
    assert_eq!(followed, Followed::No);

    let after = compile(spec(&["b"], &["u"]));
    let (judged, followed) = after.fingerprints_of(SEED, &known).unwrap();
    assert_eq!(followed, Followed::Yes);
    let fresh = prints(&after, &body);
    assert_eq!(judged.attributes, fresh.attributes);
    assert_eq!(judged.identities, fresh.identities);
    assert_eq!(judged.memberships, fresh.memberships);
}

#[test]
fn a_damaged_document_is_an_error() {
    let mapping = compile(spec(&["a"], &["s"]));
    let mut known = known_after(&mapping, &["{}"]);
    for damaged in [&b"\xff"[..], b"{\"a\":", b"[]"] {
        known.document = Bytes::copy_from_slice(damaged);
        assert!(mapping.fingerprints_of(SEED, &known).is_err());
        assert!(mapping.export(&known, 0, &MappedAt::default(), &mut Vec::new()).is_err());
    }
}
