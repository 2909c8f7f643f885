//! Patches in the store: what each is merged into is what all before it have left.

use super::*;
use crate::profile::UpdateMode;

fn patching(spec: MappingSpec) -> Arc<Mapping> {
    Arc::new(Mapping::compile(spec).unwrap().for_mode(UpdateMode::Patch))
}

fn versioned() -> MappingSpec {
    MappingSpec { version: Some("rev".parse().unwrap()), ..with_segment("s") }
}

fn open(dir: &TempDir, mapping: &Arc<Mapping>) -> InlineStore {
    InlineStore::open(dir.path(), mapping.clone(), Clock::anchored(START))
}

fn patch(mapping: &Mapping, json: &str) -> Update {
    Update { kept: None, ..update_of(mapping, json, START) }
}

fn document(store: &InlineStore, update: &Update) -> String {
    let known = store.disk().known(&update.id).unwrap().unwrap();
    String::from_utf8(known.document.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn patches_of_one_batch_are_merged_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let mapping = patching(spec());
    let store = open(&dir, &mapping);
    let records = [
        r#"{"id":1,"name":{"a":1,"b":1}}"#,
        r#"{"id":1,"name":{"a":2,"c":1}}"#,
        r#"{"id":1,"name":{"b":null}}"#,
        r#"{"id":1,"name":{"a":2}}"#,
    ];
    let updates: Vec<_> = records.iter().map(|record| patch(&mapping, record)).collect();
    let last = updates[0].clone();
    let verdicts = store.apply(updates, Vec::new()).await.unwrap();
    let changed = |verdict: &Verdict| matches!(verdict, Verdict::Changed(_));
    assert_eq!(verdicts.iter().map(changed).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(document(&store, &last), r#"{"name":{"a":2,"c":1}}"#);
}

#[tokio::test(start_paused = true)]
async fn a_stale_patch_is_ignored_and_one_without_version_keeps_the_known_one() {
    let dir = tempfile::tempdir().unwrap();
    let mapping = patching(versioned());
    let store = open(&dir, &mapping);
    let member = r#""segmentMembership":{"ups":{"s":{}}}"#;
    let apply = async |body: &str| {
        let record = format!(r#"{{"id":1,{body}}}"#);
        let update = patch(&mapping, &record);
        let verdict = apply(&store, update.clone()).await;
        (verdict, document(&store, &update))
    };
    apply(&format!(r#""rev":5,"name":"a",{member}"#)).await;
    let a = r#"{"name":"a"}"#.to_owned();
    assert_eq!(apply(r#""rev":4,"name":"b""#).await, (Verdict::Stale, a.clone()));
    assert_eq!(apply(r#""rev":"2024-01-01T00:00:00Z","name":"b""#).await, (Verdict::Invalid, a));
    let c = apply(r#""name":"c""#).await;
    assert_eq!(c, (Verdict::Changed(Triggers::ATTRIBUTE), r#"{"name":"c"}"#.to_owned()));
    assert_eq!(apply(r#""rev":4,"name":"d""#).await.0, Verdict::Stale, "5 is still known");
    assert_eq!(apply(r#""rev":5,"name":"e""#).await.0, Verdict::Changed(Triggers::ATTRIBUTE));
}

#[tokio::test(start_paused = true)]
async fn a_removed_segment_is_the_last_export_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mapping = patching(with_segment("s"));
    let store = open(&dir, &mapping);
    apply(&store, patch(&mapping, r#"{"id":1,"segmentMembership":{"ups":{"s":{}}}}"#)).await;
    let first = claim(&store).await.remove(0);
    settle(&store, &first, Outcome::Delivered).await;
    let removed = patch(&mapping, r#"{"id":1,"segmentMembership":{"ups":{"s":null}}}"#);
    let verdict = apply(&store, removed).await;
    assert_eq!(verdict, Verdict::Changed(Triggers::MEMBERSHIP | Triggers::UNFOLLOWED));
    assert_eq!(store.with(|engine| engine.metrics().exits_by_absence.get()), 1);
    let mut export = Vec::new();
    let claimed = claim(&store).await.remove(0);
    mapping.export(&claimed.known, claimed.confirmed, store.mapped_at(), &mut export).unwrap();
    assert_eq!(
        String::from_utf8(export).unwrap(),
        r#"{"segmentMembership":{"ups":{"s":{"lastQualificationTime":"2023-11-14T22:13:20Z","status":"exited"}}}}"#
    );
}

#[tokio::test(start_paused = true)]
async fn a_patch_that_says_nothing_new_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    for retain in [Retain::Mapped, Retain::Profile] {
        let dir = tempfile::tempdir_in(dir.path()).unwrap();
        let mapping = patching(MappingSpec { retain, ..with_segment("s") });
        let store = open(&dir, &mapping);
        let record = r#"{"id":1,"name":{"x":[1.0, 2]},"segmentMembership":{"ups":{"u":{},
            "s":{"status":"exited","lastQualificationTime":"2024-01-01T01:00:00.1+0100"}}},
            "identityMap":{"x":[{"id":1},{"id":"2","primary":true}]}}"#;
        apply(&store, patch(&mapping, record)).await;
        for same in [record, r#"{"id":1}"#, r#"{"id":1,"name":{"x":[1,2.0],"y":null}}"#] {
            let (verdicts, idle) = store.with(|engine| {
                let verdicts = engine.apply(vec![patch(&mapping, same)], Vec::new(), Vec::new());
                (verdicts.unwrap().verdicts, engine.is_idle())
            });
            assert_eq!(verdicts, [Verdict::NotFollowed]);
            assert!(idle, "{retain:?} {same}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_mode_judges_no_profile_anew() {
    let dir = tempfile::tempdir().unwrap();
    let snapshots = mapping(with_segment("s"));
    let store = open(&dir, &snapshots);
    let record = r#"{"id":1,"name":"a","segmentMembership":{"ups":{"s":{}}}}"#;
    apply(&store, seeded_update(store.seed(), &snapshots, record, START)).await;
    let first = claim(&store).await.remove(0);
    settle(&store, &first, Outcome::Delivered).await;
    let generation = store.with(|engine| engine.record().generation);
    drop(store);
    let mapping = patching(with_segment("s"));
    let store = open(&dir, &mapping);
    assert_eq!(store.with(|engine| engine.record().generation), generation);
    assert_eq!(store.counts().due, 0);
    let update = |json: &str| seeded_update(store.seed(), &mapping, json, START);
    assert_eq!(apply(&store, update(r#"{"id":1}"#)).await, Verdict::Unchanged);
    let verdict = apply(&store, update(r#"{"id":1,"name":"b"}"#)).await;
    assert_eq!(verdict, Verdict::Changed(Triggers::ATTRIBUTE));
}

#[tokio::test(start_paused = true)]
async fn what_was_due_at_a_crash_counts_as_offered_under_later_versions_too() {
    let dir = tempfile::tempdir().unwrap();
    let mapping = mapping(with_segment("s"));
    let store = open(&dir, &mapping);
    let member = |name: &str| {
        let record =
            format!(r#"{{"id":1,"name":"{name}","segmentMembership":{{"ups":{{"s":{{}}}}}}}}"#);
        update_of(&mapping, &record, START)
    };
    apply(&store, member("a")).await;
    claim(&store).await;
    drop(store);
    let store = open(&dir, &mapping);
    assert_eq!(apply(&store, member("b")).await, Verdict::Changed(Triggers::ATTRIBUTE));
    let gone = update_of(&mapping, r#"{"id":1}"#, START);
    let verdict = apply(&store, gone).await;
    assert!(matches!(verdict, Verdict::Changed(_)), "the endpoint may know of it: {verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_due_at_a_crash_counts_as_offered_though_it_is_refused_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let mapping = mapping(with_segment("s"));
    let store = open(&dir, &mapping);
    let member = r#"{"id":1,"segmentMembership":{"ups":{"s":{}}}}"#;
    apply(&store, update_of(&mapping, member, START)).await;
    claim(&store).await;
    drop(store);
    let store = open(&dir, &mapping);
    let again = claim(&store).await.remove(0);
    settle(&store, &again, letter()).await;
    let gone = update_of(&mapping, r#"{"id":1}"#, START);
    let verdict = apply(&store, gone).await;
    assert!(matches!(verdict, Verdict::Changed(_)), "the endpoint may know of it: {verdict:?}");
}
