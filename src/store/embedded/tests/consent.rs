//! Consent that is withdrawn, given again, asked for anew, and not known.

use super::*;
use crate::{
    profile::{MappedAt, UpdateMode},
    store::{Replayed, embedded::engine::Engine},
};

/// A mapping of `name` that asks for consent at `ok`, with these segments.
fn asking(segments: &[&str]) -> MappingSpec {
    MappingSpec { consent: vec!["ok".parse().unwrap()], ..members(segments) }
}

fn members(segments: &[&str]) -> MappingSpec {
    let segment = |id: &&str| SegmentSpec { id: (*id).to_owned(), name: None, namespace: None };
    MappingSpec { segments: segments.iter().map(segment).collect(), ..spec() }
}

fn whole(spec: MappingSpec) -> MappingSpec {
    MappingSpec { retain: Retain::Profile, ..spec }
}

/// A person named so who is a member of the segment `s`, with or without a value of consent.
fn record(name: &str, ok: &str) -> String {
    let ok = if ok.is_empty() { String::new() } else { format!(r#","ok":"{ok}""#) };
    format!(
        r#"{{"id":1,"name":"{name}"{ok},"identityMap":{{"crm":[{{"id":"c"}}]}},
            "segmentMembership":{{"ups":{{"s":{{"status":"realized"}}}}}}}}"#
    )
}

/// A store in a directory, under one mapping.
struct Place<'d> {
    dir: &'d TempDir,
    mapping: Arc<Mapping>,
    store: InlineStore,
}

impl<'d> Place<'d> {
    fn open(dir: &'d TempDir, spec: MappingSpec) -> Self {
        Self::of_mode(dir, spec, UpdateMode::Snapshot)
    }

    fn of_mode(dir: &'d TempDir, spec: MappingSpec, mode: UpdateMode) -> Self {
        let mapping = Arc::new(Mapping::compile(spec).unwrap().for_mode(mode));
        // Later than all that was before it.
        let now = tokio::time::Instant::now().elapsed();
        let clock = Clock::anchored(START + u64::try_from(now.as_micros()).unwrap());
        let store = InlineStore::open(dir.path(), mapping.clone(), clock);
        Self { dir, mapping, store }
    }

    /// Closes the store in order and opens it under another mapping.
    fn mapped(self, spec: MappingSpec) -> Self {
        let Self { dir, store, mapping } = self;
        store.with(Engine::stop).unwrap();
        drop(store);
        Self::of_mode(dir, spec, mapping.update_mode())
    }

    async fn take(&self, json: &str) -> Verdict {
        let seed = self.store.seed();
        apply(&self.store, seeded_update(seed, &self.mapping, json, START)).await
    }

    async fn deliver(&self) -> Vec<(Triggers, serde_json::Value)> {
        let claims = claim(&self.store).await;
        for claimed in &claims {
            settle(&self.store, claimed, Outcome::Delivered).await;
        }
        claims.iter().map(|claim| (claim.triggers, self.export(claim))).collect()
    }

    fn export(&self, claim: &Claim) -> serde_json::Value {
        let mut out = Vec::new();
        let mapped_at: &MappedAt = self.store.mapped_at();
        self.mapping.export(&claim.known, claim.confirmed, mapped_at, &mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    fn id(&self) -> crate::profile::ProfileId {
        seeded_update(self.store.seed(), &self.mapping, &record("", ""), START).id
    }
}

fn name_in(deliveries: &[(Triggers, serde_json::Value)]) -> &str {
    assert_eq!(deliveries.len(), 1, "{deliveries:?}");
    deliveries[0].1["name"].as_str().unwrap()
}

/// The one delivery is a last export without attributes.
fn assert_withdrawal(deliveries: &[(Triggers, serde_json::Value)], segments: &[&str]) {
    let [(triggers, export)] = deliveries else { panic!("{deliveries:?}") };
    assert!(triggers.contains(Triggers::UNFOLLOWED), "{triggers:?}");
    assert_eq!(export["identityMap"], serde_json::json!({"crm": [{"id": "c"}]}));
    assert!(export.get("name").is_none_or(serde_json::Value::is_null), "{export}");
    let memberships = export["segmentMembership"]["ups"].as_object();
    let exited: Vec<_> = memberships.into_iter().flatten().collect();
    assert_eq!(exited.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), segments);
    assert!(exited.iter().all(|(_, entry)| entry["status"] == "exited"), "{export}");
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_is_sent_if_an_earlier_version_was_offered() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(&dir, asking(&["s"]));
    place.take(&record("a", "y")).await;
    assert_eq!(name_in(&place.deliver().await), "a");
    assert!(matches!(place.take(&record("b", "n")).await, Verdict::Changed(_)));
    assert_eq!(place.store.counts().followed, 0);
    assert_withdrawal(&place.deliver().await, &["s"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_withdraws_before_anything_was_offered_is_withdrawn_silently() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(&dir, asking(&["s"]));
    place.take(&record("a", "y")).await;
    assert_eq!(place.take(&record("a", "n")).await, Verdict::NotFollowed);
    assert_eq!(place.store.counts().due, 0);
    assert_eq!(place.deliver().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_waits_for_what_is_in_flight_and_is_sent_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(&dir, asking(&["s"]));
    place.take(&record("a", "y")).await;
    let claimed = claim(&place.store).await.remove(0);
    assert!(matches!(place.take(&record("a", "n")).await, Verdict::Changed(_)));
    assert_eq!(claim(&place.store).await, []);
    settle(&place.store, &claimed, Outcome::Later).await;
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    assert_withdrawal(&place.deliver().await, &["s"]);
}

#[tokio::test(start_paused = true)]
async fn without_consent_changes_are_remembered_but_not_exported_and_all_are_once_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(&dir, asking(&["s"]));
    assert_eq!(place.take(&record("a", "n")).await, Verdict::NotFollowed);
    assert_eq!(place.take(&record("b", "")).await, Verdict::NotFollowed);
    assert_eq!(place.deliver().await, []);
    let back = place.take(&record("b", "VI")).await;
    assert_eq!(back, Verdict::Changed(Triggers::FOLLOWED));
    assert_eq!(name_in(&place.deliver().await), "b");

    place.take(&record("b", "n")).await;
    place.deliver().await;
    place.take(&record("c", "n")).await;
    assert_eq!(place.deliver().await, []);
    place.take(&record("c", "y")).await;
    assert_eq!(name_in(&place.deliver().await), "c");
}

#[tokio::test(start_paused = true)]
async fn consent_that_is_back_before_the_withdrawal_was_sent_is_a_full_export() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(&dir, asking(&["s"]));
    place.take(&record("a", "y")).await;
    place.deliver().await;
    place.take(&record("a", "n")).await;
    place.take(&record("a", "y")).await;
    let deliveries = place.deliver().await;
    assert_eq!(name_in(&deliveries), "a");
    assert_eq!(deliveries[0].1["segmentMembership"]["ups"]["s"]["status"], "realized");
}

#[tokio::test(start_paused = true)]
async fn another_value_of_consent_without_effect_is_no_export() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(&dir, asking(&["s"]));
    place.take(&record("a", "y")).await;
    place.deliver().await;
    assert_eq!(place.take(&record("a", "VI")).await, Verdict::Unchanged);
    assert_eq!(place.deliver().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_goes_when_consent_is_withdrawn() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(&dir, asking(&["s"]));
    place.take(&record("a", "y")).await;
    let claimed = claim(&place.store).await.remove(0);
    settle(&place.store, &claimed, letter()).await;
    assert_eq!(place.store.counts().dead, 1);
    place.take(&record("a", "n")).await;
    assert_eq!((place.store.counts().dead, place.store.letters().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_last_export_that_still_waits_loses_its_attributes_when_consent_goes_too() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(&dir, asking(&["s"]));
    place.take(&record("a", "y")).await;
    place.deliver().await;
    let left = record("a", "y").replace("realized", "exited");
    assert!(matches!(place.take(&left).await, Verdict::Changed(_)));
    place.take(&left.replace("\"y\"", "\"n\"")).await;
    assert_withdrawal(&place.deliver().await, &["s"]);
}

#[tokio::test(start_paused = true)]
async fn consent_asked_for_anew_counts_where_it_was_kept() {
    for (ok, refuses) in [("y", false), ("n", true), ("", true)] {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::open(&dir, whole(members(&["s"])));
        place.take(&record("a", ok)).await;
        place.deliver().await;
        let place = place.mapped(whole(asking(&["s"])));
        let deliveries = place.deliver().await;
        if refuses {
            assert_withdrawal(&deliveries, &["s"]);
        } else {
            assert_eq!(deliveries, []);
        }
        assert_eq!(place.store.counts().followed, u64::from(!refuses));
    }
}

#[tokio::test(start_paused = true)]
async fn who_refuses_what_is_asked_for_anew_is_withdrawn_silently_if_nothing_was_offered() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(&dir, whole(members(&["s"])));
    place.take(&record("a", "n")).await;
    let place = place.mapped(whole(asking(&["s"])));
    assert_eq!((place.store.counts().due, place.deliver().await), (0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_exported_and_no_withdrawal_sent_while_consent_is_unknown() {
    for delivered in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::open(&dir, members(&["s"]));
        place.take(&record("a", "y")).await;
        if delivered {
            place.deliver().await;
        }
        let place = place.mapped(asking(&["s"]));
        assert_eq!(place.deliver().await, []);
        // What is held is not waited for at the end of the input.
        assert_eq!((place.store.counts().due, place.store.counts().ready), (0, 0));
        let place = place.mapped(asking(&["s", "t"]));
        assert_eq!(place.deliver().await, [], "also when the mapping changes again");

        let verdict = place.take(&record("a", "y")).await;
        assert_eq!(verdict, Verdict::Unchanged);
        let deliveries = place.deliver().await;
        assert_eq!(deliveries.len(), usize::from(!delivered), "what was due is due again");
    }
}

#[tokio::test(start_paused = true)]
async fn consent_that_was_unknown_and_is_refused_is_a_withdrawal_if_something_was_offered() {
    for delivered in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::open(&dir, members(&["s"]));
        place.take(&record("a", "y")).await;
        if delivered {
            place.deliver().await;
        }
        let place = place.mapped(asking(&["s"]));
        place.take(&record("b", "n")).await;
        let deliveries = place.deliver().await;
        if delivered {
            assert_withdrawal(&deliveries, &["s"]);
        } else {
            assert_eq!(deliveries, []);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_comes_with_consent_is_exported() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(&dir, members(&["s"]));
    place.take(&record("a", "y")).await;
    place.deliver().await;
    let place = place.mapped(asking(&["s"]));
    let verdict = place.take(&record("b", "y")).await;
    assert_eq!(verdict, Verdict::Changed(Triggers::ATTRIBUTE));
    assert_eq!(name_in(&place.deliver().await), "b");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_not_replayed_while_consent_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(&dir, members(&["s"]));
    place.take(&record("a", "y")).await;
    let claimed = claim(&place.store).await.remove(0);
    settle(&place.store, &claimed, letter()).await;
    let place = place.mapped(asking(&["s"]));
    let replayed = place.store.with(|engine| engine.replay(vec![place.id()])).unwrap();
    assert_eq!(replayed, Replayed { replayed: 0, not_followed: 1, missing: 0 });
    assert_eq!(place.deliver().await, []);
    assert_eq!(place.store.counts().dead, 1);
}

#[tokio::test(start_paused = true)]
async fn who_had_withdrawn_is_followed_again_when_nobody_asks_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(&dir, asking(&["s"]));
    place.take(&record("a", "n")).await;
    let place = place.mapped(members(&["s"]));
    let deliveries = place.deliver().await;
    assert_eq!(deliveries[0].0, Triggers::FOLLOWED);
    assert_eq!(name_in(&deliveries), "a");
}

#[tokio::test(start_paused = true)]
async fn a_withdrawal_survives_the_end_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(&dir, asking(&["s"]));
    place.take(&record("a", "y")).await;
    place.deliver().await;
    place.take(&record("a", "n")).await;
    let place = place.mapped(asking(&["s"]));
    assert_withdrawal(&place.deliver().await, &["s"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_patch_changed_while_consent_was_unknown_is_exported_however_that_ends() {
    for ends in ["by a patch", "by the mapping"] {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::of_mode(&dir, members(&["s"]), UpdateMode::Patch);
        place.take(&record("a", "")).await;
        place.deliver().await;
        let place = place.mapped(asking(&["s"]));
        assert_eq!(place.take(r#"{"id":1,"name":"b"}"#).await, Verdict::NotFollowed);
        assert_eq!((place.store.counts().due, place.deliver().await), (0, Vec::new()));
        let place = match ends {
            "by a patch" => {
                place.take(r#"{"id":1,"ok":"y"}"#).await;
                place
            }
            _ => place.mapped(members(&["s"])),
        };
        assert_eq!(name_in(&place.deliver().await), "b", "{ends}");
        assert_eq!(place.store.counts().due, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_patch_that_changes_nothing_while_consent_is_unknown_makes_nothing_due() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::of_mode(&dir, members(&["s"]), UpdateMode::Patch);
    place.take(&record("a", "")).await;
    place.deliver().await;
    let place = place.mapped(asking(&["s"]));
    place.take(r#"{"id":1,"name":"a","unmapped":1}"#).await;
    assert_eq!(place.take(r#"{"id":1,"ok":"y"}"#).await, Verdict::Unchanged);
    assert_eq!(place.deliver().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_patch_that_removes_what_consent_would_lie_in_refuses_it() {
    let asking_within = |segments: &[&str]| MappingSpec {
        consent: vec!["consents.email.val".parse().unwrap()],
        ..members(segments)
    };
    for (patch, refuses) in [
        (r#"{"id":1,"consents":null}"#, true),
        (r#"{"id":1,"consents":{"email":null}}"#, true),
        (r#"{"id":1,"consents":{"email":{"val":null}}}"#, true),
        (r#"{"id":1,"consents":{"email":"n"}}"#, true),
        (r#"{"id":1,"consents":{"email":{"time":null}}}"#, false),
        (r#"{"id":1,"consents":{"sms":null}}"#, false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::of_mode(&dir, members(&["s"]), UpdateMode::Patch);
        place.take(&record("a", "")).await;
        place.deliver().await;
        let place = place.mapped(asking_within(&["s"]));
        place.take(patch).await;
        let deliveries = place.deliver().await;
        if refuses {
            assert_withdrawal(&deliveries, &["s"]);
        } else {
            assert_eq!(deliveries, [], "{patch}");
        }
    }
}
