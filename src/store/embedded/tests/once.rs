//! What comes a second time under one id does nothing.

use super::*;
use crate::{
    profile::When,
    record::SentId,
    store::{Applied, Dismissal, SentPart},
};

fn always() -> MappingSpec {
    MappingSpec { when: When::Always, ..spec() }
}

fn open(dir: &TempDir, spec: MappingSpec) -> InlineStore {
    InlineStore::open(dir.path(), mapping(spec), Clock::anchored(START))
}

fn sent(chunk: &str) -> SentId {
    SentId::of("in", chunk.as_bytes(), b"")
}

/// So many updates and invalid records that came under one id.
fn part(chunk: &str, updates: usize, invalid: usize) -> SentPart {
    SentPart { id: Some(sent(chunk)), updates, invalid }
}

async fn take<S: Store>(store: &S, updates: &[Update], parts: &[SentPart]) -> Vec<Verdict> {
    store.apply_once(updates.to_vec(), Vec::new(), parts.to_vec()).await.unwrap().verdicts
}

fn changed(verdicts: &[Verdict]) -> Vec<bool> {
    verdicts.iter().map(|verdict| matches!(verdict, Verdict::Changed(_))).collect()
}

async fn deliver_all<S: Store>(store: &S) -> usize {
    let claims = claim(store).await;
    for claim in &claims {
        settle(store, claim, Outcome::Delivered).await;
    }
    claims.len()
}

#[tokio::test(start_paused = true)]
async fn a_repeat_does_nothing_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (updates, parts) = ([person(1, "a"), person(2, "b")], [part("1", 2, 0)]);
    let store = open(&dir, always());
    assert_eq!(changed(&take(&store, &updates, &parts).await), [true, true]);
    assert_eq!(deliver_all(&store).await, 2);
    assert_eq!(take(&store, &updates, &parts).await, [Verdict::Unchanged, Verdict::Unchanged]);
    // Not stopped, as after a crash.
    drop(store);
    let store = open(&dir, always());
    assert_eq!(take(&store, &updates, &parts).await, [Verdict::Unchanged, Verdict::Unchanged]);
    assert_eq!(deliver_all(&store).await, 0);
    assert_eq!(changed(&take(&store, &updates, &[part("2", 2, 0)]).await), [true, true]);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_does_not_bring_back_what_was_replaced_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, spec());
    take(&store, &[person(1, "a")], &[part("1", 1, 0)]).await;
    take(&store, &[person(1, "b")], &[part("2", 1, 0)]).await;
    take(&store, &[person(1, "a")], &[part("1", 1, 0)]).await;
    assert_eq!(name_of(&claim(&store).await[0]), "b");
}

#[tokio::test(start_paused = true)]
async fn a_repeat_does_not_bring_back_who_was_forgotten_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, spec());
    apply(&store, person(1, "a")).await;
    let (again, parts) = ([person(1, "a")], [part("1", 1, 0)]);
    assert_eq!(take(&store, &again, &parts).await, [Verdict::Unchanged]);
    store.forget(again[0].id, Dismissal::default());
    drop(store);
    let store = open(&dir, spec());
    assert_eq!(take(&store, &again, &parts).await, [Verdict::Unchanged]);
    assert_eq!(store.counts().known, 0);
}

#[tokio::test(start_paused = true)]
async fn of_several_parts_only_those_that_came_before_are_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, always());
    take(&store, &[person(1, "a"), person(2, "a")], &[part("1", 2, 0)]).await;
    let people: Vec<_> = (0..6).map(|id| person(id, "a")).collect();
    let nameless = SentPart { id: None, updates: 1, invalid: 0 };
    let parts = [part("0", 1, 0), part("1", 2, 0), nameless, part("2", 1, 0)];
    let verdicts = take(&store, &people, &parts).await;
    assert_eq!(changed(&verdicts), [true, false, false, true, true, true]);
    let verdicts = take(&store, &people, &parts).await;
    assert_eq!(changed(&verdicts), [false, false, false, true, false, true], "no id, no memory");
}

#[tokio::test(start_paused = true)]
async fn a_repeat_that_shares_a_commit_with_what_it_repeats_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, always());
    let apply = |engine: &mut crate::store::embedded::Engine| {
        engine.apply(vec![person(1, "a")], Vec::new(), vec![part("1", 1, 0)]).unwrap().verdicts
    };
    let (first, second) = store.with(|engine| (apply(engine), apply(engine)));
    assert_eq!(changed(&first), [true]);
    assert_eq!(second, [Verdict::Unchanged]);
    let [one, other] = [part("2", 1, 0), part("2", 1, 0)];
    let verdicts = take(&store, &[person(1, "a"), person(1, "a")], &[one, other]).await;
    assert_eq!(changed(&verdicts), [true, false], "both in one call");
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_is_remembered_with_the_next_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, spec());
    take(&store, &[person(1, "a")], &[]).await;
    let unchanged = take(&store, &[person(1, "a")], &[part("1", 1, 0)]).await;
    assert_eq!(unchanged, [Verdict::Unchanged]);
    assert_eq!(store.disk().recent().unwrap().len(), 0, "nothing is written for an id");
    take(&store, &[person(1, "b")], &[]).await;
    drop(store);
    let store = open(&dir, spec());
    assert_eq!(take(&store, &[person(1, "a")], &[part("1", 1, 0)]).await, [Verdict::Unchanged]);
    assert_eq!(name_of(&claim(&store).await[0]), "b");
}

#[tokio::test(start_paused = true)]
async fn invalid_records_of_a_repeat_are_not_kept_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, spec());
    let invalid = || InvalidRecord {
        source: "in".to_owned(),
        place: "line 1".to_owned(),
        reason: "no key".to_owned(),
        received: START,
        excerpt: Bytes::new(),
    };
    let take = async |parts: &[SentPart]| {
        store.apply_once(Vec::new(), vec![invalid(), invalid()], parts.to_vec()).await.unwrap()
    };
    let kept = |invalid| Applied { verdicts: Vec::new(), invalid };
    assert_eq!(take(&[part("1", 0, 2)]).await, kept(2));
    assert_eq!(take(&[part("1", 0, 2)]).await, kept(0));
    assert_eq!(take(&[part("1", 0, 1), part("2", 0, 1)]).await, kept(1));
    assert_eq!(store.counts().invalid_records, 3);
}

#[tokio::test(start_paused = true)]
async fn a_part_is_remembered_once_all_of_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let spec = MappingSpec { version: Some("v".parse().unwrap()), ..always() };
    let versioned = |json: &str| update_of(&mapping(spec.clone()), json, START);
    let store = open(&dir, spec.clone());
    take(&store, &[versioned(r#"{"id":1,"v":1}"#)], &[]).await;
    let updates =
        [versioned(r#"{"id":2,"v":1}"#), versioned(r#"{"id":1,"v":"2030-01-01T00:00:00Z"}"#)];
    let verdicts = take(&store, &updates, &[part("1", 2, 0)]).await;
    assert_eq!(verdicts[1], Verdict::Invalid);
    // The process may end before the record is set aside; then all of the part comes again.
    let again = take(&store, &updates, &[part("1", 2, 0)]).await;
    assert_eq!((changed(&again), &again[1]), (vec![true, false], &Verdict::Invalid));
    take(&store, &[], &[part("1", 0, 0)]).await;
    assert_eq!(changed(&take(&store, &updates, &[part("1", 2, 0)]).await), [false, false]);
}

#[tokio::test(start_paused = true)]
async fn what_came_under_another_mapping_may_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let city = Attributes::Listed(vec!["city".parse().unwrap()]);
    let store = open(&dir, MappingSpec { attributes: city, ..spec() });
    take(&store, &[person(1, "a")], &[part("1", 1, 0)]).await;
    drop(store);
    let store = open(&dir, spec());
    assert_eq!(changed(&take(&store, &[person(1, "a")], &[part("1", 1, 0)]).await), [true]);
}

#[tokio::test]
async fn each_store_skips_exactly_what_it_has_taken() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let open = |dir: &TempDir| {
        let (settings, clock) = (EmbeddedSettings::default(), Clock::anchored(START));
        let metrics = Component::detached();
        EmbeddedStore::open(dir.path(), mapping(always()), settings, clock, metrics).unwrap()
    };
    let (updates, parts) = ([person(1, "a")], [part("1", 1, 0)]);
    let first = open(&dirs[0]);
    assert_eq!(changed(&take(&first, &updates, &parts).await), [true]);
    let both = [first, open(&dirs[1])];
    let verdicts = [take(&both[0], &updates, &parts).await, take(&both[1], &updates, &parts).await];
    assert_eq!(verdicts.map(|verdicts| changed(&verdicts)), [[false], [true]]);
    for (store, dir) in both.into_iter().zip(&dirs) {
        store.stop().await.unwrap();
        drop(store);
        let store = open(dir);
        assert_eq!(changed(&take(&store, &updates, &parts).await), [false]);
        store.stop().await.unwrap();
    }
}
