//! What an export holds that it did not hold under the mapping before.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What a profile that was kept whole holds by `new` that it did not hold by `former`.
fn holds(record: &str, former: &MappingSpec, new: MappingSpec) -> Holds {
    let former = MappingSpec { retain: Retain::Profile, ..former.clone() };
    let coverage = Coverage::new(&former, 1).changed_to(&new, 2);
    let former = compile(former);
    let kept = former.project(SEED, record.as_bytes()).unwrap().keep();
    let known = former.advance(None, kept, NOW).known;
    let new = compile(new);
    let added = Added::since(1, &new, &coverage, &[]);
    new.judge_again(SEED, &known, &added).unwrap().holds
}

fn holds_attribute(record: &str, former: &[&str], new: &[&str]) -> bool {
    holds(&keyed(record), &spec(former, &[]), spec(new, &[])).attribute
}

#[test]
fn an_added_attribute_counts_where_it_is_present() {
    assert!(holds_attribute(r#"{"a":1,"b":2}"#, &["a"], &["a", "b"]));
    assert!(holds_attribute(r#"{"a":1,"b":null}"#, &["a"], &["b"]));
    assert!(!holds_attribute(r#"{"a":1,"c":2}"#, &["a"], &["a", "b"]));
    assert!(!holds_attribute(r#"{"a":1,"b":2}"#, &["a", "b"], &["a"]));
}

#[test]
fn an_object_that_is_now_mapped_whole_counts_where_it_holds_more_than_was_mapped_of_it() {
    let widened = |record| holds_attribute(record, &["p.name", "p.home.city"], &["p"]);
    assert!(!widened(r#"{"p":{"name":"n","home":{"city":"c"}}}"#));
    assert!(!widened(r#"{"q":{"born":1}}"#));
    for more in [
        r#"{"p":{"name":"n","born":1}}"#,
        r#"{"p":{"name":"n","home":{"city":"c","zip":"z"}}}"#,
        r#"{"p":{"name":"n","home":{}}}"#,
        r#"{"p":{}}"#,
        r#"{"p":"text"}"#,
        r#"{"p":{"home":[{"city":"c"}]}}"#,
    ] {
        assert!(widened(more), "{more}");
    }
    assert!(!holds_attribute(r#"{"p":{"name":"n"}}"#, &["p"], &["p.name"]));
}

#[test]
fn all_attributes_count_where_there_are_more_than_were_listed() {
    let all = || MappingSpec { attributes: Attributes::All, ..spec(&[], &[]) };
    let attribute =
        |record: &str| holds(&keyed(record), &spec(&["a", "p.name"], &[]), all()).attribute;
    assert!(!attribute(r#"{"a":1,"p":{"name":"n"},"consents":{"x":{"val":"y"}}}"#));
    assert!(attribute(r#"{"a":1,"p":{"name":"n","born":1}}"#));
    assert!(attribute(r#"{"a":1,"z":0}"#));
}

#[test]
fn an_added_namespace_counts_where_it_holds_an_identity() {
    let listed = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        MappingSpec { identities: Some(names), ..spec(&["a"], &[]) }
    };
    let identity = |record: &str, new| holds(record, &listed(&["crmid"]), new).identity;
    let two = r#"{"identityMap":{"crmid":[{"id":"1"}],"ecid":[{"id":"2"}]}}"#;
    assert!(identity(two, listed(&["crmid", "ecid"])) && identity(two, spec(&["a"], &[])));
    assert!(!identity(two, listed(&["crmid", "email"])));
    assert!(!holds(two, &spec(&["a"], &[]), listed(&["ecid"])).identity);
}

#[test]
fn an_added_segment_counts_for_its_members() {
    let record = |status| {
        keyed(&format!(r#"{{"segmentMembership":{{"ups":{{"t":{{"status":"{status}"}}}}}}}}"#))
    };
    let membership = |record: &str, new: &[&str]| {
        holds(record, &spec(&["a"], &["s"]), spec(&["a"], new)).membership
    };
    assert!(membership(&record("realized"), &["s", "t"]));
    assert!(membership(&record("existing"), &["t"]));
    assert!(!membership(&record("exited"), &["s", "t"]), "never told, so nothing to take back");
    assert!(!membership(&record("realized"), &["s", "u"]));
}

/// Values of a few keys, some levels deep.
fn value() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(json!(1)), Just(Value::Null), Just(json!({})), Just(json!([{"a": 1}]))];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|entries| json!(entries))
    })
}

/// Paths of which none lies inside another.
fn listed() -> impl Strategy<Value = Vec<Path>> {
    prop::collection::vec(prop::collection::vec("[abc]", 1..4).prop_map(Path), 1..4).prop_map(
        |all| {
            let mut paths: Vec<Path> = Vec::new();
            for path in all {
                if paths.iter().all(|p| !p.0.starts_with(&path.0) && !path.0.starts_with(&p.0)) {
                    paths.push(path);
                }
            }
            paths
        },
    )
}

proptest! {
    /// What both mappings name, exported alone, differs from the export just where the latter holds
    /// something that was added.
    #[test]
    fn an_attribute_counts_just_where_the_export_differs_by_what_was_added(
        entries in prop::collection::btree_map("[abc]", value(), 0..4),
        former in listed(),
        new in listed(),
    ) {
        let record = keyed(&json!(entries).to_string());
        let mut both = paths(&["none"]);
        for a in &former {
            for b in &new {
                let inner = if a.0.starts_with(&b.0) { a } else { b };
                if inner.0.starts_with(&a.0) && inner.0.starts_with(&b.0) {
                    both.push(inner.clone());
                }
            }
        }
        let of = |paths| MappingSpec { attributes: Attributes::Listed(paths), ..spec(&[], &[]) };
        let exported = |paths| {
            let mapping = compile(MappingSpec { retain: Retain::Profile, ..of(paths) });
            let kept = mapping.project(SEED, record.as_bytes()).unwrap().keep();
            let known = mapping.advance(None, kept, NOW).known;
            let mut out = Vec::new();
            mapping.export(&known, 0, &MappedAt::default(), &mut out).unwrap();
            serde_json::from_slice::<Value>(&out).unwrap()
        };
        let differs = exported(new.clone()) != exported(both);
        prop_assert_eq!(holds(&record, &of(former), of(new)).attribute, differs);
    }
}
