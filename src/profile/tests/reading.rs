use super::*;

fn key(mapping: &Mapping, record: &str) -> String {
    mapping.project(SEED, record.as_bytes()).unwrap().key().to_string()
}

fn keyed_by(keys: &[&str]) -> Mapping {
    compile(MappingSpec { key: paths(keys), ..spec(&["a"], &[]) })
}

#[test]
fn what_is_no_json_object_is_invalid_with_the_reason() {
    let mapping = compile(spec(&["a"], &[]));
    assert_eq!(reason(&mapping, " \n"), "the record is empty");
    for record in ["null", "true", "7", r#""secret""#, "[{}]"] {
        assert_eq!(reason(&mapping, record), "the record is not an object", "{record}");
    }
    assert_eq!(
        reason(&mapping, "{oops}"),
        "the record is not JSON: key must be a string at line 1 column 2"
    );
    assert_eq!(
        reason(&mapping, r#"{"identityMap":{"crmid":[{"id":"x"}]}} {}"#),
        "the record is not JSON: trailing characters at line 1 column 40"
    );
    assert_eq!(
        reason(&mapping, r#"{"a": "#),
        "the record is cut off: EOF while parsing a value at line 1 column 6"
    );
    let not_utf8 = mapping.project(SEED, b"{\"a\":\"\xff\"}").unwrap_err();
    assert_eq!(not_utf8.reason, "the record is not UTF-8 at byte 6");
}

#[test]
fn a_part_of_the_wrong_shape_is_invalid_and_named_without_its_value() {
    let mapping = compile(spec(&["a"], &["s"]));
    for (record, expected) in [
        (r#"{"identityMap":"secret"}"#, "identityMap is not an object"),
        (r#"{"identityMap":[]}"#, "identityMap is not an object"),
        (r#"{"identityMap":{"crmid":{"id":"secret"}}}"#, "identityMap.crmid is not an array"),
        (r#"{"identityMap":{"crmid":["secret"]}}"#, "identityMap.crmid is not an object"),
        (
            r#"{"identityMap":{"a.b":[{"id":1.5}]}}"#,
            r#"identityMap."a.b".id is not a string or an integer"#,
        ),
        (r#"{"segmentMembership":1}"#, "segmentMembership is not an object"),
        (r#"{"segmentMembership":{"ups":[]}}"#, "segmentMembership.ups is not an object"),
        (r#"{"segmentMembership":{"ups":{"s":"in"}}}"#, "segmentMembership.ups.s is not an object"),
        (
            r#"{"segmentMembership":{"ups":{"s":{"status":"secret"}}}}"#,
            "segmentMembership.ups.s.status is not realized, existing or exited",
        ),
        (
            r#"{"segmentMembership":{"ups":{"s":{"lastQualificationTime":"2024-01-02"}}}}"#,
            "segmentMembership.ups.s.lastQualificationTime is not a timestamp with an offset",
        ),
    ] {
        assert_eq!(reason(&mapping, record), expected, "{record}");
    }
}

#[test]
fn a_record_without_a_key_is_invalid() {
    let mapping = keyed_by(&["identityMap.crmid", "a.id", "b", "c"]);
    assert_eq!(
        reason(&mapping, r#"{"identityMap":{"ecid":[{"id":"x"}]},"a":{"id":1.0},"b":""}"#),
        "no unique identifier: identityMap.crmid holds no id, \
         a.id is neither a string nor an integer, b is empty, c is absent"
    );
}

#[test]
fn the_first_key_that_can_be_read_is_taken() {
    let mapping = keyed_by(&["identityMap.crmid", "_acme.customerId"]);
    assert_eq!(
        key(&mapping, r#"{"identityMap":{"crmid":[{"id":"x"}]},"_acme":{"customerId":"y"}}"#),
        "identityMap.crmid=x"
    );
    assert_eq!(
        key(&mapping, r#"{"identityMap":{"crmid":[]},"_acme":{"customerId":"y"}}"#),
        "_acme.customerId=y"
    );
}

#[test]
fn the_primary_identity_is_the_key_else_the_first_in_byte_order_whatever_the_order() {
    let mapping = keyed_by(&["identityMap.crmid"]);
    for items in [r#"{"id":"b"},{"id":"a"},{"id":"B"}"#, r#"{"id":"B"},{"id":"b"},{"id":"a"}"#] {
        let record = format!(r#"{{"identityMap":{{"crmid":[{items}]}}}}"#);
        assert_eq!(key(&mapping, &record), "identityMap.crmid=B");
    }
    let primaries = r#"{"identityMap":{"crmid":[
        {"id":"a"},{"id":"c","primary":true},{"primary":true,"id":"b"},{"id":"b"}]}}"#;
    assert_eq!(key(&mapping, primaries), "identityMap.crmid=b");
}

#[test]
fn an_integer_and_a_string_of_the_same_digits_are_the_same_profile() {
    let mapping = keyed_by(&["identityMap.crmid", "id"]);
    let id = |record: &str| mapping.project(SEED, record.as_bytes()).unwrap().id;
    let digits = "12345678901234567890123456789012345678";
    assert_eq!(id(&format!(r#"{{"id":{digits}}}"#)), id(&format!(r#"{{"id":"{digits}"}}"#)));
    assert_eq!(
        id(&format!(r#"{{"identityMap":{{"crmid":[{{"id":{digits}}}]}}}}"#)),
        id(&format!(r#"{{"identityMap":{{"crmid":[{{"id":"{digits}"}}]}}}}"#))
    );
    assert_ne!(id(&format!(r#"{{"id":{digits}}}"#)), id(&format!(r#"{{"id":{digits}0}}"#)));
}

#[test]
fn two_namespaces_never_mix_people_up() {
    let mapping = keyed_by(&["identityMap.crmid", "identityMap.ecid"]);
    let id = |name: &str| {
        let record = format!(r#"{{"identityMap":{{"{name}":[{{"id":"7"}}]}}}}"#);
        let projected = mapping.project(SEED, record.as_bytes()).unwrap();
        assert_eq!(projected.id, profile_id(SEED, &projected.key()));
        projected.id
    };
    assert_ne!(id("crmid"), id("ecid"));
}

#[test]
fn keys_are_matched_by_their_meaning() {
    let mapping = compile(spec(&["person.name"], &["s"]));
    let record = r#"{"\u0070erson":{"na\u006de":"Ada"},
        "identity\u004dap":{"crm\u0069d":[{"\u0069d":"c1"}]},
        "segmentMembership":{"ups":{"\u0073":{"status":"re\u0061lized"}}}}"#;
    assert_eq!(
        exported(&mapping, &[record]),
        serde_json::json!({
            "person": {"name": "Ada"},
            "segmentMembership": {"ups": {"s": {"status": "realized"}}},
            "identityMap": {"crmid": [{"id": "c1"}]},
        })
    );
}

#[test]
fn of_duplicate_keys_the_last_counts_with_all_that_is_below_it() {
    let mapping = compile(spec(&["a.b", "a.c", "d"], &["s", "t"]));
    let twice = r#"{"identityMap":{"crmid":[{"id":"old"}],"ecid":[{"id":"e"}]},"identityMap":{"crmid":[{"id":"c1"}]},
        "segmentMembership":{"x":{"s":{}}},
        "segmentMembership":{"ups":{"t":{}},"ups":{"s":{},"s":{"status":"exited"},"t":{},"t":null}},
        "a":{"b":1,"c":2},"a":{"c":3,"c":4},"d":1,"d":2}"#;
    let once = r#"{"identityMap":{"crmid":[{"id":"c1"}]},
        "segmentMembership":{"ups":{"s":{"status":"exited"}}},"a":{"c":4},"d":2}"#;
    assert_eq!(prints(&mapping, twice), prints(&mapping, once));
    assert_eq!(exported(&mapping, &[twice]), exported(&mapping, &[once]));
    let all = compile(MappingSpec { attributes: Attributes::All, ..spec(&[], &["s", "t"]) });
    assert_eq!(prints(&all, twice), prints(&all, once));
    let whole = compile(MappingSpec { retain: Retain::Profile, ..spec(&["a"], &[]) });
    assert_eq!(prints(&whole, r#"{"x":1,"x":{"y":1,"y":2}}"#), prints(&whole, r#"{"x":{"y":2}}"#));
}

#[test]
fn null_and_unknown_keys_are_tolerated_in_parts_with_a_meaning() {
    let mapping = compile(spec(&["a"], &["s", "t"]));
    let record = r#"{"identityMap":{"ecid":null,"crmid":[null,{"authenticatedState":"x"},
            {"id":"c1","primary":null,"more":[{}]}]},
        "segmentMembership":{"AAM":null,"ups":{"s":null,
            "t":{"status":null,"lastQualificationTime":null,"validUntil":"x","payload":{}}}}}"#;
    assert_eq!(
        exported(&mapping, &[record]),
        serde_json::json!({
            "segmentMembership": {"ups": {"t": {"status": "realized"}}},
            "identityMap": {"crmid": [{"id": "c1"}]},
        })
    );
    prints(&mapping, r#"{"identityMap":{"crmid":[{"id":"c1"}]},"segmentMembership":null}"#);
}

#[test]
fn the_profile_lies_at_its_path_in_the_record() {
    let at =
        |path: &str| compile(MappingSpec { at: Some(path.parse().unwrap()), ..spec(&["a"], &[]) });
    let mapping = at("payload.profile");
    let inner = keyed(r#"{"a":1}"#);
    let record = format!(
        r#"{{"a":5,"payload":{{"profile":{{"a":3}}}},"payload":{{"x":[],"profile":{inner}}}}}"#
    );
    let projected = mapping.project(SEED, record.as_bytes()).unwrap();
    assert_eq!(projected.prints, prints(&compile(spec(&["a"], &[])), r#"{"a":1}"#));
    assert_eq!(reason(&mapping, r#"{"payload":3}"#), "there is no profile at payload.profile");
    assert_eq!(reason(&mapping, "[]"), "there is no profile at payload.profile");
    assert_eq!(
        reason(&mapping, r#"{"payload":{"profile":[]}}"#),
        "the profile at payload.profile is not an object"
    );
    assert!(reason(&mapping, &format!("{record} x")).contains("trailing characters"));
}

#[test]
fn a_prefix_is_removed_from_every_key() {
    let mapping = compile(MappingSpec {
        strip_prefix: Some("xdm:".into()),
        at: Some("entity".parse().unwrap()),
        ..spec(&["person", "email.address"], &["s"])
    });
    let record = r#"{"xdm:entity":{
        "xdm:person":{"xdm:name":{"xdm:first":"xdm:Ada"},"born":[{"xdm:y":1}]},
        "xdm:email":{"xdm:address":"a@example.org"},
        "xdm:identityMap":{"crmid":[{"xdm:id":"xdm:c1","xdm:primary":true}]},
        "xdm:segmentMembership":{"ups":{"xdm:s":{"xdm:status":"exited"}}}}}"#;
    let projected = mapping.project(SEED, record.as_bytes()).unwrap();
    let known = mapping.advance(None, projected.keep(), NOW).known;
    let export: Value = serde_json::from_str(&export_text(&mapping, &known, 0)).unwrap();
    assert_eq!(
        export,
        serde_json::json!({
            "person": {"name": {"first": "xdm:Ada"}, "born": [{"y": 1}]},
            "email": {"address": "a@example.org"},
            "segmentMembership": {"ups": {"s": {"status": "exited"}}},
            "identityMap": {"crmid": [{"id": "xdm:c1"}]},
        })
    );
    let plain = compile(MappingSpec { strip_prefix: None, ..mapping.spec().clone() });
    let same = record.replace("\"xdm:", "\"").replace(":\"Ada", ":\"xdm:Ada");
    let same = same.replace("\"id\":\"c1\"", "\"id\":\"xdm:c1\"");
    assert_eq!(plain.project(SEED, same.as_bytes()).unwrap().prints, projected.prints);
}

#[test]
fn a_source_version_is_a_number_or_a_timestamp() {
    let mapping =
        compile(MappingSpec { version: Some("meta.rev".parse().unwrap()), ..spec(&["meta"], &[]) });
    let version = |value: &str| {
        let record = keyed(&format!(r#"{{"meta":{{"rev":{value}}}}}"#));
        let projected = mapping.project(SEED, record.as_bytes())?;
        Ok::<_, Invalid>((projected.source_version, projected.version_missing))
    };
    let number = |n| Ok((Some(SourceVersion::Number(n)), false));
    assert_eq!(version("7"), number(7_000_000_000));
    assert_eq!(version("1.7e3"), number(1_700_000_000_000));
    assert_eq!(
        version(r#""1970-01-01T01:00:01.5+0100""#),
        Ok((Some(SourceVersion::Time(1_500_000_000)), false))
    );
    assert_eq!(version("null"), Ok((None, true)));
    for wrong in [r#""seven""#, r#""7""#, "true", "[7]", "{}", "1e60"] {
        assert_eq!(
            version(wrong).unwrap_err().reason,
            "the version at meta.rev is neither a number in range nor a timestamp with an offset"
        );
    }
    let unversioned = compile(spec(&["a"], &[]));
    let projected = keyed("{}");
    let projected = unversioned.project(SEED, projected.as_bytes()).unwrap();
    assert!(!projected.version_missing);
}

#[test]
fn deep_nesting_is_refused_where_it_counts_and_skipped_elsewhere() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let record = |levels| keyed(&format!(r#"{{"deep":{}}}"#, nested(levels)));
    let mapped = compile(spec(&["deep"], &[]));
    assert!(mapped.project(SEED, record(128).as_bytes()).is_ok());
    assert_eq!(reason(&mapped, &record(129)), "deep is nested more than 128 levels deep");
    assert_eq!(reason(&mapped, &record(100_000)), "deep is nested more than 128 levels deep");
    let unmapped = compile(spec(&["a"], &[]));
    assert!(unmapped.project(SEED, record(100_000).as_bytes()).is_ok());
}
