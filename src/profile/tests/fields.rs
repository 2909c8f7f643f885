use super::*;

/// The values at these paths after a record.
fn values(mapping: &Mapping, names: &[&str], body: &str) -> Vec<Option<String>> {
    let known = known_after(mapping, &[body]);
    let fields = mapping.fields(&paths(names)).unwrap();
    fields.read(&known).unwrap().into_iter().map(|value| value.map(Into::into)).collect()
}

fn refused(spec: MappingSpec, path: &str) -> String {
    compile(spec).fields(&paths(&[path])).unwrap_err().to_string()
}

#[test]
fn a_value_is_text_a_number_as_it_was_written_or_a_boolean() {
    let mapping = compile(spec(&["a", "b", "c", "d", "e", "f", "g", "h"], &[]));
    let body = r#"{"a":"x\u00e9\n","b":10000000000000000000000001,"c":1.50,"d":false,"e":null,
        "f":{"g":1},"g":[1],"h":"\ud800"}"#;
    let found = values(&mapping, &["a", "b", "c", "d", "e", "f", "g", "h", "f.g", "f.x"], body);
    let found: Vec<_> = found.iter().map(Option::as_deref).collect();
    let text = [Some("xé\n"), Some("10000000000000000000000001"), Some("1.50"), Some("false")];
    assert_eq!(found[..4], text);
    assert_eq!(found[4..], [None, None, None, None, Some("1"), None]);
}

#[test]
fn a_namespace_yields_the_id_that_a_key_would_be() {
    let mapping = compile(spec(&["a"], &[]));
    let ids = |ids: &str| {
        let body = format!(r#"{{"identityMap":{{"crmid":[{{"id":"k"}}],"email":[{ids}]}}}}"#);
        values(&mapping, &["identityMap.email"], &body).remove(0)
    };
    assert_eq!(ids(r#"{"id":"b"},{"id":"a"}"#).as_deref(), Some("a"));
    assert_eq!(ids(r#"{"id":"a"},{"id":"b","primary":true}"#).as_deref(), Some("b"));
    assert_eq!(ids(r#"{"id":""},{"id":"b"}"#).as_deref(), Some("b"));
    assert_eq!(ids(""), None);
}

#[test]
fn every_attribute_can_be_picked_where_all_are_mapped() {
    let mapping = compile(MappingSpec { attributes: Attributes::All, ..spec(&[], &[]) });
    let found = values(&mapping, &["a.b", "/c.d"], r#"{"a":{"b":1},"c.d":"x"}"#);
    assert_eq!(found, [Some("1".to_owned()), Some("x".to_owned())]);
}

#[test]
fn what_is_not_mapped_cannot_be_picked() {
    let listed = || spec(&["person.name", "loyalty"], &["s"]);
    for path in ["person", "person.age", "personal", "consents.marketing.val"] {
        let error = refused(listed(), path);
        assert!(error.contains("is not mapped") && error.contains(path), "{error}");
    }
    for path in ["segmentMembership.ups.s", "identityMap", "identityMap.crmid.id"] {
        assert!(refused(listed(), path).contains("is no single value"), "{path}");
    }
    let some = MappingSpec { identities: Some(vec!["email".into()]), ..listed() };
    assert!(refused(some, "identityMap.crmid").contains("add crmid to export.identities"));
    let all = || MappingSpec { attributes: Attributes::All, ..listed() };
    assert!(refused(all(), "consents.marketing.val").contains("is no single value"));
    let prefixed = MappingSpec { strip_prefix: Some("xdm:".into()), ..all() };
    assert!(refused(prefixed, "xdm:person").contains("write the path without it"));
    let mapping = compile(listed());
    assert!(mapping.fields(&paths(&["person.name", "person.name.first", "loyalty.tier"])).is_ok());
}

#[test]
fn values_are_picked_from_what_was_kept_under_a_prefix_or_whole() {
    for retain in [Retain::Mapped, Retain::Profile] {
        let prefixed =
            MappingSpec { strip_prefix: Some("xdm:".into()), retain, ..spec(&["a.b"], &[]) };
        let mapping = compile(prefixed);
        let body = r#"{"xdm:identityMap":{"crmid":[{"xdm:id":"k"}]},"xdm:a":{"xdm:b":"x"}}"#;
        assert_eq!(values(&mapping, &["a.b"], body), [Some("x".to_owned())]);
    }
}
