use super::*;

fn error(change: impl FnOnce(&mut MappingSpec)) -> MappingError {
    let mut spec = spec(&["person.name"], &["s1"]);
    change(&mut spec);
    Mapping::compile(spec).unwrap_err()
}

fn listed(texts: &[&str]) -> Attributes {
    Attributes::Listed(paths(texts))
}

#[test]
fn a_mapping_without_a_key_cannot_work() {
    assert_eq!(error(|spec| spec.key = vec![]), MappingError::NoKey);
}

#[test]
fn a_mapping_of_nothing_cannot_work() {
    let nothing = |spec: &mut MappingSpec| {
        spec.attributes = listed(&[]);
        spec.segments = vec![];
    };
    assert_eq!(error(nothing), MappingError::Nothing);
    compile(spec(&[], &["s1"]));
    compile(spec(&["a"], &[]));
    compile(MappingSpec { attributes: Attributes::All, ..spec(&[], &[]) });
}

#[test]
fn an_attribute_stands_once_and_not_inside_another() {
    let twice = error(|spec| spec.attributes = listed(&["a.b", "c", "/a/b"]));
    assert_eq!(twice.to_string(), "export.attributes lists a.b twice; remove one of them");
    let inside = error(|spec| spec.attributes = listed(&["a.b.c", "a.bc", "a", "b"]));
    assert_eq!(
        inside.to_string(),
        "a.b.c lies inside a, which is exported whole; remove one of them from export.attributes"
    );
    compile(spec(&["a.b", "a.bc", "ab"], &[]));
}

#[test]
fn what_has_a_meaning_of_its_own_is_no_attribute_and_no_version() {
    for text in ["identityMap", "segmentMembership.ups", "identityMap.crmid"] {
        let path = || text.parse::<Path>().unwrap();
        assert_eq!(
            error(|spec| spec.attributes = Attributes::Listed(vec![path()])),
            MappingError::NotAnAttribute(path())
        );
        assert_eq!(error(|spec| spec.version = Some(path())), MappingError::VersionPath(path()));
    }
}

#[test]
fn a_key_is_a_namespace_or_an_attribute_and_stands_once() {
    for text in ["identityMap", "identityMap.crmid.id", "segmentMembership.ups"] {
        let keys = paths(&["identityMap.crmid", text]);
        let wrong = keys[1].clone();
        assert_eq!(error(|spec| spec.key = keys), MappingError::KeyPath(wrong));
    }
    let twice = error(|spec| spec.key = paths(&["a.id", "b", "/a/id"]));
    assert_eq!(twice, MappingError::KeyTwice("a.id".parse().unwrap()));
}

#[test]
fn a_segment_stands_once() {
    let two = |first: Option<&str>, second: Option<&str>| {
        [first, second].map(|name| SegmentSpec { namespace: name.map(Into::into), ..segment("s") })
    };
    for (first, second) in [(None, None), (Some("ups"), None), (Some("ups"), Some("ups"))] {
        assert_eq!(
            error(|spec| spec.segments = two(first, second).into()),
            MappingError::SegmentTwice("s".into())
        );
    }
    compile(MappingSpec { segments: two(Some("ups"), Some("AAM")).into(), ..spec(&[], &[]) });
    assert_eq!(error(|spec| spec.segments = vec![segment("")]), MappingError::EmptySegment);
}

#[test]
fn a_path_with_the_prefix_that_is_removed_would_never_match() {
    let prefixed = error(|spec| {
        spec.strip_prefix = Some("xdm:".into());
        spec.attributes = listed(&["person.xdm:name"]);
    });
    assert_eq!(
        prefixed.to_string(),
        "person.xdm:name begins a key with xdm:, which profile.strip_prefix removes; write the path without it"
    );
}

#[test]
fn a_path_without_keys_is_refused() {
    assert_eq!(error(|spec| spec.at = Some(Path(vec![]))), MappingError::EmptyPath("profile.at"));
}

#[test]
fn a_segment_without_a_namespace_counts_in_any() {
    let named = SegmentSpec { namespace: Some("AAM".into()), ..segment("b") };
    let mapping = compile(MappingSpec {
        segments: vec![segment("z"), segment("a"), named],
        ..spec(&[], &[])
    });
    assert_eq!(mapping.segment("ups", "a"), Some(1));
    assert_eq!(mapping.segment("AAM", "z"), Some(0));
    assert_eq!(mapping.segment("AAM", "b"), Some(2));
    assert_eq!(mapping.segment("ups", "b"), None);
    assert_eq!(mapping.segment("ups", "c"), None);
}

#[test]
fn a_segment_keeps_the_time_at_which_it_was_mapped() {
    let former = spec(&[], &["a", "b"]);
    let times = MappedAt::of(&former, None, 10);
    let mut now = spec(&[], &["c", "b", "a"]);
    now.segments[1].name = Some("renamed".into());
    let time = |created, updated| SegmentMapped { created, updated };
    assert_eq!(
        MappedAt::of(&now, Some((&former, &times)), 20).0,
        [time(20, 20), time(10, 20), time(10, 10)]
    );
}
