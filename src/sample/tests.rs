use super::*;

fn is_member(record: &Value) -> bool {
    relevant_part(record)["members"].as_array().unwrap().iter().any(|member| member == true)
}

#[test]
fn relevant_is_what_changes_something_mapped_of_a_followed_profile() {
    let mut known = vec![Value::Null; 50];
    let mut relevant = 0;
    let mut samples = Samples::new(3, 50).with_relevant(0.2);
    assert_eq!(samples.current(0), None);
    for sample in samples.by_ref().take(5000) {
        let record: Value = serde_json::from_slice(&sample.json).unwrap();
        assert_eq!(record["identityMap"][NAMESPACE][0]["id"], Samples::id(sample.profile));
        assert_eq!(is_member(&record), Samples::is_followed(sample.profile));
        let before = std::mem::replace(&mut known[sample.profile as usize], record.clone());
        let first = before.is_null();
        let due = is_member(&record) && (first || relevant_part(&before) != relevant_part(&record));
        assert_eq!(sample.relevant, due, "{before} {record}");
        assert_ne!(before, record);
        relevant += u32::from(due);
    }
    assert!((800..1100).contains(&relevant), "{relevant}");
    for (profile, last) in (0..).zip(known) {
        let current = samples.current(profile).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&current).unwrap(), last);
    }
}

#[test]
fn an_irrelevant_update_differs_in_unmapped_attributes_and_times_of_unmapped_segments_only() {
    let mut samples = Samples::new(1, 1).with_relevant(0.0);
    let mut read = || serde_json::from_slice::<Value>(&samples.update(0).json).unwrap();
    let (mut one, mut two) = (read(), read());
    for record in [&mut one, &mut two] {
        record["web"] = Value::Null;
        record["loyalty"]["points"] = Value::Null;
        let ups = record["segmentMembership"]["ups"].as_object_mut().unwrap();
        for (id, membership) in ups {
            if SEGMENTS.iter().all(|(mapped, _)| mapped != id) {
                membership["lastQualificationTime"] = Value::Null;
            }
        }
    }
    assert_eq!(one, two);
}

#[test]
fn the_same_seed_gives_the_same_records() {
    let first = |seed| Samples::new(seed, 9).take(100).collect::<Vec<_>>();
    assert_eq!(first(1), first(1));
    assert_ne!(first(1), first(2));
    assert_eq!(Samples::new(1, 0).next(), None);
}

#[test]
fn records_are_about_900_bytes() {
    let sizes: Vec<usize> = Samples::new(1, 100).take(1000).map(|s| s.json.len()).collect();
    let mean = sizes.iter().sum::<usize>() / sizes.len();
    assert!((850..=950).contains(&mean), "{mean}");
}
