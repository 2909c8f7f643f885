//! Forgetting profiles and sending them again: what is gone at once, what is not sent, what comes
//! back.

use super::*;
use crate::{
    profile::{ProfileId, UpdateMode},
    store::{Dismissal, Forgotten, Resent},
};

const AT_ONCE: Dismissal = Dismissal { exit: false, suppress: false };
const EXIT: Dismissal = Dismissal { exit: true, suppress: false };
const SUPPRESS: Dismissal = Dismissal { exit: false, suppress: true };

fn id(person: u32) -> ProfileId {
    super::person(person, "").id
}

fn with_members_mapping() -> Arc<Mapping> {
    mapping(with_segment("s"))
}

fn member(id: u32, status: &str) -> Update {
    let json = format!(
        r#"{{"id":{id},"name":"a","segmentMembership":{{"ups":{{"s":{{"status":"{status}"}},"other":{{"status":"realized"}}}}}}}}"#
    );
    update_of(&with_members_mapping(), &json, START)
}

fn with_members(dir: &TempDir) -> InlineStore {
    InlineStore::open(dir.path(), with_members_mapping(), Clock::anchored(START))
}

fn exported(store: &InlineStore, claim: &Claim) -> serde_json::Value {
    let mut out = Vec::new();
    let mapping = with_members_mapping();
    mapping.export(&claim.known, claim.confirmed, store.mapped_at(), &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_profile_is_gone_from_every_look_up_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    apply(&store, person(2, "a")).await;
    let forgotten = store.forget(id(1), AT_ONCE);
    assert_eq!(forgotten, Forgotten { known: true, ..Forgotten::default() });
    assert!(store.with(|engine| engine.state(&id(1))).unwrap().is_none());
    let counts = store.counts();
    assert_eq!((counts.known, counts.followed, counts.due), (1, 1, 1));
    let claimed = claim(&store).await;
    assert_eq!(claimed.iter().map(|claim| claim.id).collect::<Vec<_>>(), [id(2)]);
    drop(store);
    let store = inline(&dir);
    assert!(store.with(|engine| engine.state(&id(1))).unwrap().is_none());
    assert_eq!(store.counts().known, 1);
    assert!(!store.forget(id(1), AT_ONCE).known, "there is nothing left to forget");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_comes_after_is_a_new_profile_whose_version_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    let before = claim(&store).await.remove(0);
    settle(&store, &before, Outcome::Delivered).await;
    store.forget(id(1), AT_ONCE);
    let verdict = apply(&store, person(1, "a")).await;
    assert_eq!(verdict, Verdict::Changed(Triggers::FOLLOWED), "though nothing differs");
    let after = claim(&store).await.remove(0);
    assert!(after.version > before.version);
    assert_eq!(after.confirmed, 0);
}

#[tokio::test(start_paused = true)]
async fn the_outcome_of_a_forgotten_profile_is_not_that_of_its_successor() {
    for outcome in [Outcome::Delivered, Outcome::Later, letter(), Outcome::Released] {
        let dir = tempfile::tempdir().unwrap();
        let store = inline(&dir);
        apply(&store, person(1, "a")).await;
        let in_flight = claim(&store).await.remove(0);
        assert!(store.forget(id(1), AT_ONCE).in_flight);
        apply(&store, person(1, "b")).await;
        assert!(claim(&store).await.is_empty(), "one in flight for each profile");
        settle(&store, &in_flight, outcome).await;
        assert!(store.letters().is_empty());
        let next = claim(&store).await.remove(0);
        assert_eq!((next.confirmed, next.failures, name_of(&next)), (0, 0, "b".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_outcome_of_a_forgotten_profile_makes_nothing_known() {
    for outcome in [Outcome::Delivered, Outcome::Later, letter(), Outcome::Released] {
        let dir = tempfile::tempdir().unwrap();
        let store = inline(&dir);
        apply(&store, person(1, "a")).await;
        let in_flight = claim(&store).await.remove(0);
        store.forget(id(1), AT_ONCE);
        settle(&store, &in_flight, outcome).await;
        assert!(store.with(|engine| engine.state(&id(1))).unwrap().is_none());
        assert!(store.letters().is_empty() && claim(&store).await.is_empty());
        let counts = store.counts();
        assert_eq!((counts.known, counts.due, counts.in_flight, counts.dead), (0, 0, 0, 0));
        apply(&store, person(1, "b")).await;
        let next = claim(&store).await.remove(0);
        settle(&store, &next, Outcome::Delivered).await;
        assert_eq!(store.counts().due, 0, "the next delivery counts again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_successor_does_not_wait_for_the_delay_of_the_forgotten_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    for _ in 0..8 {
        let claimed = claim(&store).await.remove(0);
        settle(&store, &claimed, Outcome::Later).await;
        tokio::time::advance(std::time::Duration::from_mins(5)).await;
    }
    let claimed = claim(&store).await.remove(0);
    settle(&store, &claimed, Outcome::Later).await;
    store.forget(id(1), AT_ONCE);
    apply(&store, person(1, "b")).await;
    assert_eq!(claim(&store).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_goes_with_its_profile() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    let claimed = claim(&store).await.remove(0);
    settle(&store, &claimed, letter()).await;
    assert!(store.forget(id(1), AT_ONCE).dead_letter);
    assert!(store.letters().is_empty() && store.dead_letter(&id(1)).is_none());
    assert_eq!(store.counts().dead, 0);
}

#[tokio::test(start_paused = true)]
async fn records_of_a_suppressed_profile_are_ignored_until_that_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    assert!(store.forget(id(1), SUPPRESS).suppressed);
    assert_eq!(apply(&store, person(1, "b")).await, Verdict::Suppressed);
    drop(store);
    let store = inline(&dir);
    assert_eq!(apply(&store, person(1, "c")).await, Verdict::Suppressed);
    assert_eq!((store.counts().known, claim(&store).await.len()), (0, 0));
    assert!(matches!(apply(&store, person(2, "c")).await, Verdict::Changed(_)));
    assert!(store.with(|engine| engine.set_suppressed(&id(1), false)).unwrap());
    assert!(matches!(apply(&store, person(1, "d")).await, Verdict::Changed(_)));
    assert!(!store.with(|engine| engine.set_suppressed(&id(1), false)).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_last_export_says_the_exits_and_nothing_else_and_then_the_profile_is_removed() {
    for (outcome, restart) in [(Outcome::Delivered, false), (letter(), true)] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = with_members(&dir);
        apply(&store, member(1, "realized")).await;
        let first = claim(&store).await.remove(0);
        settle(&store, &first, Outcome::Delivered).await;
        let forgotten = store.forget(id(1), EXIT);
        assert!(forgotten.known && forgotten.leaving);
        if restart {
            drop(store);
            store = with_members(&dir);
        }
        let state = store.with(|engine| engine.state(&id(1))).unwrap().unwrap();
        assert!(state.leaving && state.due && !state.followed);
        let last = claim(&store).await.remove(0);
        assert!(last.version > first.version);
        assert_eq!(last.triggers, Triggers::UNFOLLOWED);
        let export = exported(&store, &last);
        assert_eq!(export["segmentMembership"]["ups"]["s"]["status"], "exited");
        assert_eq!(export["segmentMembership"]["ups"].as_object().unwrap().len(), 1);
        assert!(export.get("name").is_none(), "{export}");
        settle(&store, &last, Outcome::Later).await;
        tokio::time::advance(std::time::Duration::from_secs(2)).await;
        let again = claim(&store).await.remove(0);
        assert_eq!(again.version, last.version, "it stays due");
        settle(&store, &again, outcome).await;
        assert!(store.with(|engine| engine.state(&id(1))).unwrap().is_none());
        assert!(store.letters().is_empty());
        assert_eq!(store.counts().known, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_under_way_does_not_stand_for_the_last_export() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_members(&dir);
    apply(&store, member(1, "realized")).await;
    let first = claim(&store).await.remove(0);
    let forgotten = store.forget(id(1), EXIT);
    assert!(forgotten.leaving && forgotten.in_flight, "it may have reached the endpoint");
    settle(&store, &first, Outcome::Delivered).await;
    let last = claim(&store).await.remove(0);
    assert_eq!(exported(&store, &last)["segmentMembership"]["ups"]["s"]["status"], "exited");
    settle(&store, &last, Outcome::Delivered).await;
    assert_eq!(store.counts().known, 0);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_last_export_where_the_endpoint_has_nothing_to_learn_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_members(&dir);
    apply(&store, member(1, "realized")).await;
    let never_offered = store.forget(id(1), EXIT);
    assert!(never_offered.known && !never_offered.leaving);
    apply(&store, member(2, "realized")).await;
    let claimed = claim(&store).await.remove(0);
    settle(&store, &claimed, Outcome::Delivered).await;
    apply(&store, member(2, "exited")).await;
    let claimed = claim(&store).await.remove(0);
    settle(&store, &claimed, Outcome::Delivered).await;
    let has_its_exits = store.forget(id(2), EXIT);
    assert!(has_its_exits.known && !has_its_exits.leaving);
    assert_eq!((store.counts().known, claim(&store).await.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_before_the_last_export_is_a_new_profile_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_members(&dir);
    apply(&store, member(1, "realized")).await;
    let first = claim(&store).await.remove(0);
    settle(&store, &first, Outcome::Delivered).await;
    store.forget(id(1), EXIT);
    let verdict = apply(&store, member(1, "realized")).await;
    assert_eq!(verdict, Verdict::Changed(Triggers::FOLLOWED));
    let back = claim(&store).await.remove(0);
    assert_eq!(exported(&store, &back)["name"], "a");
    settle(&store, &back, Outcome::Delivered).await;
    assert_eq!(store.counts().known, 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_without_a_segment_does_not_take_the_exits_back() {
    for mode in [UpdateMode::Snapshot, UpdateMode::Patch] {
        let dir = tempfile::tempdir().unwrap();
        let mapping = Mapping::compile(with_segment("s")).unwrap().for_mode(mode);
        let store = InlineStore::open(dir.path(), Arc::new(mapping), Clock::anchored(START));
        apply(&store, member(1, "realized")).await;
        let first = claim(&store).await.remove(0);
        settle(&store, &first, Outcome::Delivered).await;
        store.forget(id(1), EXIT);
        let back = update_of(&with_members_mapping(), r#"{"id":1,"name":"b"}"#, START);
        assert_eq!(apply(&store, back).await, Verdict::NotFollowed);
        let last = claim(&store).await.remove(0);
        let export = exported(&store, &last);
        assert_eq!(export["segmentMembership"]["ups"]["s"]["status"], "exited", "{mode:?}");
        settle(&store, &last, Outcome::Delivered).await;
        let counts = store.counts();
        assert_eq!((counts.known, counts.due), (1, 0), "it is known again and stays");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_with_just_what_the_last_export_left_is_exported_in_full() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_members(&dir);
    let record = r#"{"id":1,"segmentMembership":{"ups":{"s":{"status":"realized"}}}}"#;
    let update = || seeded_update(store.seed(), &with_members_mapping(), record, START);
    apply(&store, update()).await;
    let first = claim(&store).await.remove(0);
    settle(&store, &first, Outcome::Delivered).await;
    store.forget(update().id, EXIT);
    assert_eq!(apply(&store, update()).await, Verdict::Changed(Triggers::FOLLOWED));
    let back = claim(&store).await.remove(0);
    let export = exported(&store, &back);
    assert_eq!(export["segmentMembership"]["ups"]["s"]["status"], "realized");
}

#[tokio::test(start_paused = true)]
async fn without_segments_the_last_export_says_that_the_attributes_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    let first = claim(&store).await.remove(0);
    settle(&store, &first, Outcome::Delivered).await;
    assert!(store.forget(id(1), EXIT).leaving);
    let last = claim(&store).await.remove(0);
    let mut out = Vec::new();
    mapping(spec()).export(&last.known, 0, store.mapped_at(), &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), r#"{"name":null}"#);
    settle(&store, &last, Outcome::Delivered).await;
    assert_eq!(store.counts().known, 0);
}

#[tokio::test(start_paused = true)]
async fn a_leaving_profile_leaves_under_another_mapping_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_members(&dir);
    apply(&store, member(1, "realized")).await;
    let first = claim(&store).await.remove(0);
    settle(&store, &first, Outcome::Delivered).await;
    store.forget(id(1), EXIT);
    drop(store);
    let store = inline(&dir);
    let last = claim(&store).await.remove(0);
    assert_eq!(last.triggers, Triggers::UNFOLLOWED);
    settle(&store, &last, Outcome::Delivered).await;
    assert_eq!(store.counts().known, 0);
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_is_sent_again_is_due_as_it_is_now_under_a_new_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_members(&dir);
    for update in [member(1, "realized"), member(2, "exited"), member(3, "realized")] {
        apply(&store, update).await;
    }
    let claimed = claim(&store).await;
    settle(&store, &claimed[0], Outcome::Delivered).await;
    settle(&store, &claimed[1], letter()).await;
    let resent = store.with(|engine| engine.resend(&[id(1), id(2), id(3), id(9)])).unwrap();
    assert_eq!(resent, Resent { resent: 2, not_followed: 1 });
    assert!(store.letters().is_empty(), "the newer version supersedes it");
    let again = claim(&store).await;
    assert_eq!(again.len(), 2);
    for (again, before) in again.iter().zip(&claimed) {
        assert!(again.version > before.version);
        assert_eq!((again.id, again.triggers), (before.id, Triggers::RESEND));
    }
}

#[tokio::test]
async fn all_profiles_are_sent_again_in_steps_each_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(
        dir.path(),
        mapping(spec()),
        EmbeddedSettings::default(),
        Clock::system(),
        Component::detached(),
    )
    .unwrap();
    let updates = (0..1000).map(|id| person(id, "a")).collect();
    store.apply(updates, Vec::new()).await.unwrap();
    let first = store.claim(2000).await.unwrap().ready;
    let outcomes = first.iter().map(|claim| {
        let Claim { id, version, .. } = *claim;
        Settled { id, version, outcome: Outcome::Delivered, unknown: false }
    });
    store.settle(outcomes.collect()).await.unwrap();
    assert_eq!(store.counts().due, 0);
    let (mut sum, mut after) = (Resent::default(), None);
    loop {
        let (resent, next) = store.resend_after(after, 100).await.unwrap();
        sum += resent;
        after = next;
        if next.is_none() {
            break;
        }
        assert!(resent.resent < 400, "a step is bounded");
    }
    assert_eq!((sum.resent, sum.not_followed, store.counts().due), (1000, 0, 1000));
    store.stop().await.unwrap();
}
