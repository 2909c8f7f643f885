mod consent;
mod erase;
mod forget;
mod letters;
mod once;
mod patches;
mod semantics;
mod reconcile;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use tempfile::TempDir;

use super::{EmbeddedSettings, EmbeddedStore, inline::InlineStore};
use crate::{
    clock::Clock,
    profile::{Attributes, Mapping, MappingSpec, Retain, SegmentSpec},
    store::{
        Claim, DeadLetter, InvalidRecord, Letter, LetterKind, Outcome, Settled, Store, StoreError,
        Triggers, Update, Verdict,
    },
    telemetry::Component,
};

const SEED: u64 = 7;
const START: u64 = 1_700_000_000_000_000;

fn spec() -> MappingSpec {
    MappingSpec {
        key: vec!["id".parse().unwrap()],
        at: None,
        version: None,
        strip_prefix: None,
        attributes: Attributes::Listed(vec!["name".parse().unwrap()]),
        segments: Vec::new(),
        identities: None,
        unmapped_segments: false,
        segment_names: false,
        segment_timestamps: false,
        legacy_status: false,
        consent: Vec::new(),
        removed: crate::profile::Removed::default(),
        when: crate::profile::When::default(),
        retain: Retain::default(),
    }
}

fn mapping(spec: MappingSpec) -> Arc<Mapping> {
    Arc::new(Mapping::compile(spec).unwrap())
}

fn with_segment(id: &str) -> MappingSpec {
    let segment = SegmentSpec { id: id.to_owned(), name: None, namespace: None };
    MappingSpec { segments: vec![segment], ..spec() }
}

fn update_of(mapping: &Mapping, json: &str, received: u64) -> Update {
    seeded_update(SEED, mapping, json, received)
}

fn seeded_update(seed: u64, mapping: &Mapping, json: &str, received: u64) -> Update {
    let record = Bytes::copy_from_slice(json.as_bytes());
    let projected = mapping.project(seed, &record).unwrap();
    Update {
        id: projected.id,
        prints: projected.prints,
        followed: projected.followed,
        source_version: projected.source_version,
        received,
        kept: Some(projected.keep()),
        record: record.clone(),
    }
}

fn update(json: &str) -> Update {
    update_of(&mapping(spec()), json, START)
}

fn person(id: u32, name: &str) -> Update {
    update(&format!(r#"{{"id":{id},"name":"{name}"}}"#))
}

async fn apply<S: Store>(store: &S, update: Update) -> Verdict {
    store.apply(vec![update], Vec::new()).await.unwrap().remove(0)
}

async fn claim<S: Store>(store: &S) -> Vec<Claim> {
    store.claim(100).await.unwrap().ready
}

async fn settle<S: Store>(store: &S, claim: &Claim, outcome: Outcome) {
    let Claim { id, version, .. } = *claim;
    store.settle(vec![Settled { id, version, outcome, unknown: false }]).await.unwrap();
}

fn inline(dir: &TempDir) -> InlineStore {
    InlineStore::open(dir.path(), mapping(spec()), Clock::anchored(START))
}

fn name_of(claim: &Claim) -> String {
    let document: serde_json::Value = serde_json::from_slice(&claim.known.document).unwrap();
    document["name"].as_str().unwrap().to_owned()
}

fn letter() -> Outcome {
    Outcome::Refused(Arc::new(DeadLetter {
        kind: LetterKind::Refused,
        version: 1,
        status: 422,
        request_id: None,
        reason: "422".to_owned(),
        headers: Vec::new(),
        answer: Bytes::new(),
        attempts: 1,
        due_since: START,
        at: START,
    }))
}

#[tokio::test(start_paused = true)]
async fn a_waiting_profile_is_claimed_once_with_its_latest_state() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    for name in ["a", "b", "c"] {
        assert!(matches!(apply(&store, person(1, name)).await, Verdict::Changed(_)));
    }
    assert_eq!(store.counts().due, 1, "a backlog counts profiles, not updates");
    let claims = claim(&store).await;
    assert_eq!(claims.len(), 1);
    assert_eq!(name_of(&claims[0]), "c");
    assert!(claim(&store).await.is_empty(), "one in flight for each profile");
}

#[tokio::test(start_paused = true)]
async fn a_delivered_version_is_confirmed_and_the_same_state_is_not_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    let first = claim(&store).await.remove(0);
    settle(&store, &first, Outcome::Delivered).await;
    assert_eq!(apply(&store, person(1, "a")).await, Verdict::Unchanged);
    assert!(claim(&store).await.is_empty());
    apply(&store, person(1, "b")).await;
    let second = claim(&store).await.remove(0);
    assert_eq!(second.confirmed, first.version);
    assert!(second.version > first.version);
}

#[tokio::test(start_paused = true)]
async fn what_changes_in_flight_is_due_again_under_a_higher_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    let first = claim(&store).await.remove(0);
    apply(&store, person(1, "b")).await;
    assert!(claim(&store).await.is_empty(), "the older one has not ended");
    settle(&store, &first, Outcome::Delivered).await;
    let second = claim(&store).await.remove(0);
    assert_eq!(name_of(&second), "b");
    assert!(second.version > first.version);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_came_back_while_waiting_is_sent_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    let first = claim(&store).await.remove(0);
    settle(&store, &first, Outcome::Delivered).await;
    apply(&store, person(1, "b")).await;
    apply(&store, person(1, "a")).await;
    let claims = claim(&store).await;
    assert_eq!(claims.len(), 1, "b may have reached the endpoint");
    assert_eq!(name_of(&claims[0]), "a");
}

#[tokio::test(start_paused = true)]
async fn a_failed_profile_waits_and_the_wait_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    let mut failures = 0;
    // Full jitter may draw a short delay; with enough failures a long one comes.
    let wait = loop {
        let Some(claimed) = claim(&store).await.pop() else {
            let wait = store.claim(1).await.unwrap().next_in.unwrap();
            if wait.as_secs() > 20 {
                break wait;
            }
            tokio::time::advance(wait).await;
            continue;
        };
        assert_eq!(claimed.failures, failures);
        settle(&store, &claimed, Outcome::Later).await;
        failures += 1;
    };
    assert!(wait.as_secs() <= 300);
    drop(store);
    let reopened = inline(&dir);
    let claims = reopened.claim(1).await.unwrap();
    assert!(claims.ready.is_empty());
    assert!(claims.next_in.unwrap().as_secs() <= 300);
    tokio::time::advance(claims.next_in.unwrap()).await;
    assert_eq!(claim(&reopened).await[0].failures, failures);
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_never_longer_than_the_longest_delay_though_the_clock_was_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    let claimed = claim(&store).await.remove(0);
    settle(&store, &claimed, Outcome::Later).await;
    drop(store);
    let day = 24 * 3600 * 1_000_000;
    let back = InlineStore::open(dir.path(), mapping(spec()), Clock::anchored(START - day));
    assert!(back.claim(1).await.unwrap().next_in.unwrap().as_secs() <= 300);
}

#[tokio::test(start_paused = true)]
async fn a_released_profile_is_due_again_at_once_behind_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    apply(&store, person(2, "b")).await;
    let first = store.claim(1).await.unwrap().ready.remove(0);
    settle(&store, &first, Outcome::Released).await;
    let claims = claim(&store).await;
    assert_eq!(claims.iter().map(name_of).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(claims[1].failures, 0, "nothing is counted");
    assert_eq!(claims[1].version, first.version);
}

#[tokio::test(start_paused = true)]
async fn a_refused_profile_is_a_dead_letter_until_its_next_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    let claimed = claim(&store).await.remove(0);
    settle(&store, &claimed, letter()).await;
    assert_eq!((store.counts().dead, store.counts().due), (1, 0));
    assert!(claim(&store).await.is_empty());
    assert_eq!(apply(&store, person(1, "a")).await, Verdict::Unchanged);
    apply(&store, person(1, "b")).await;
    assert_eq!((store.counts().dead, store.counts().due), (0, 1));
    assert!(claim(&store).await[0].version > claimed.version);
}

#[tokio::test(start_paused = true)]
async fn a_revived_dead_letter_is_due_under_the_same_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    let claimed = claim(&store).await.remove(0);
    settle(&store, &claimed, letter()).await;
    store.revive(vec![(claimed.id, claimed.version + 1)]).await.unwrap();
    assert_eq!(store.counts().dead, 1, "another version is left alone");
    store.revive(vec![(claimed.id, claimed.version)]).await.unwrap();
    assert_eq!(claim(&store).await[0].version, claimed.version);
    assert_eq!(store.counts().dead, 0);
}

#[tokio::test(start_paused = true)]
async fn two_updates_of_one_profile_in_one_batch_are_compared_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    let batch = vec![person(1, "a"), person(1, "a"), person(1, "b")];
    let verdicts = store.apply(batch, Vec::new()).await.unwrap();
    assert_eq!(
        verdicts,
        [
            Verdict::Changed(Triggers::FOLLOWED),
            Verdict::Unchanged,
            Verdict::Changed(Triggers::ATTRIBUTE)
        ]
    );
    assert_eq!(name_of(&claim(&store).await[0]), "b");
}

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_at_a_crash_is_due_again_with_its_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    let claimed = claim(&store).await.remove(0);
    drop(store);
    let reopened = inline(&dir);
    let again = claim(&reopened).await.remove(0);
    assert_eq!(again.version, claimed.version);
}

#[tokio::test(start_paused = true)]
async fn whatever_waited_at_a_crash_counts_as_offered() {
    let dir = tempfile::tempdir().unwrap();
    let mapping = mapping(with_segment("s"));
    let open = || InlineStore::open(dir.path(), mapping.clone(), Clock::anchored(START));
    let member = r#"{"id":1,"segmentMembership":{"ups":{"s":{"status":"realized"}}}}"#;
    let gone = r#"{"id":1,"segmentMembership":{}}"#;
    let store = open();
    apply(&store, update_of(&mapping, member, START)).await;
    assert_eq!(apply(&store, update_of(&mapping, gone, START)).await, Verdict::NotFollowed);
    assert!(claim(&store).await.is_empty(), "never offered: withdrawn");
    apply(&store, update_of(&mapping, member, START)).await;
    drop(store);
    let reopened = open();
    let verdict = apply(&reopened, update_of(&mapping, gone, START + 5)).await;
    assert!(
        matches!(verdict, Verdict::Changed(triggers) if triggers.contains(Triggers::UNFOLLOWED))
    );
    assert_eq!(claim(&reopened).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_clean_stop_offers_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mapping = mapping(with_segment("s"));
    let open = || InlineStore::open(dir.path(), mapping.clone(), Clock::anchored(START));
    let member = r#"{"id":1,"segmentMembership":{"ups":{"s":{"status":"realized"}}}}"#;
    let store = open();
    apply(&store, update_of(&mapping, member, START)).await;
    store.with(super::Engine::stop).unwrap();
    drop(store);
    let gone = update_of(&mapping, r#"{"id":1}"#, START);
    assert_eq!(apply(&open(), gone).await, Verdict::NotFollowed);
}

#[tokio::test(start_paused = true)]
async fn versions_never_go_back_though_the_clock_does() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    let first = claim(&store).await.remove(0);
    drop(store);
    let back = InlineStore::open(dir.path(), mapping(spec()), Clock::anchored(START - 1_000_000));
    apply(&back, person(1, "b")).await;
    assert!(claim(&back).await[0].version > first.version);
}

#[tokio::test(start_paused = true)]
async fn members_of_a_newly_mapped_segment_become_due() {
    let dir = tempfile::tempdir().unwrap();
    let former = mapping(with_segment("s"));
    let store = InlineStore::open(dir.path(), former.clone(), Clock::anchored(START));
    for id in 1..=3 {
        let segment = if id == 3 { "other" } else { "t" };
        let record = format!(
            r#"{{"id":{id},"name":"n","segmentMembership":{{"ups":{{"{segment}":{{"status":"realized"}}}}}}}}"#
        );
        assert_eq!(apply(&store, update_of(&former, &record, START)).await, Verdict::NotFollowed);
    }
    drop(store);
    let new = mapping(with_segment("t"));
    let store = InlineStore::open(dir.path(), new, Clock::anchored(START + 10));
    let claims = claim(&store).await;
    assert_eq!(claims.len(), 2);
    assert!(claims.iter().all(|claim| claim.triggers == Triggers::FOLLOWED));
    assert_eq!(store.counts().followed, 2);
}

#[tokio::test(start_paused = true)]
async fn an_unmapped_attribute_makes_nothing_due() {
    let dir = tempfile::tempdir().unwrap();
    let both = ["name", "city"].map(|path| path.parse().unwrap()).to_vec();
    let former = mapping(MappingSpec { attributes: Attributes::Listed(both), ..spec() });
    let record = r#"{"id":1,"name":"n","city":"c"}"#;
    let store = InlineStore::open(dir.path(), former.clone(), Clock::anchored(START));
    let seed = store.with(|engine| engine.record().seed);
    apply(&store, seeded_update(seed, &former, record, START)).await;
    let claimed = claim(&store).await.remove(0);
    settle(&store, &claimed, Outcome::Delivered).await;
    drop(store);
    let store = inline(&dir);
    assert!(claim(&store).await.is_empty());
    let again = seeded_update(seed, &mapping(spec()), record, START);
    assert_eq!(apply(&store, again).await, Verdict::Unchanged);
}

#[tokio::test(start_paused = true)]
async fn a_newly_mapped_segment_or_attribute_that_is_known_makes_its_profiles_due() {
    let dir = tempfile::tempdir().unwrap();
    let whole = |spec: MappingSpec| mapping(MappingSpec { retain: Retain::Profile, ..spec });
    let former = whole(with_segment("s"));
    let open = |mapping: &Arc<Mapping>| {
        InlineStore::open(dir.path(), mapping.clone(), Clock::anchored(START))
    };
    let record = |id: u32, also: &str| {
        let member = r#"{"status":"realized"}"#;
        format!(r#"{{"id":{id},"name":"n"{also},"segmentMembership":{{"ups":{{"s":{member}}}}}}}"#)
    };
    let store = open(&former);
    let seed = store.seed();
    for text in [record(1, r#","city":"c""#), record(2, "")] {
        apply(&store, seeded_update(seed, &former, &text, START)).await;
    }
    for claimed in claim(&store).await {
        settle(&store, &claimed, Outcome::Delivered).await;
    }
    drop(store);
    let both = ["name", "city"].map(|path| path.parse().unwrap()).to_vec();
    let new = whole(MappingSpec { attributes: Attributes::Listed(both), ..with_segment("s") });
    let store = open(&new);
    let claims = claim(&store).await;
    assert_eq!(claims.len(), 1, "the other one has no city");
    assert_eq!(claims[0].triggers, Triggers::ATTRIBUTE);
}

#[tokio::test]
async fn an_acknowledged_update_survives_the_end_of_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let store = threaded(dir.path()).unwrap();
    for id in 0..50 {
        apply(&store, person(id, "a")).await;
    }
    store.stop().await.unwrap();
    drop(store);
    let reopened = threaded(dir.path()).unwrap();
    while !reopened.counts().complete {
        tokio::task::yield_now().await;
    }
    assert_eq!(reopened.counts().due, 50);
    assert_eq!(claim(&reopened).await.len(), 50);
}

#[tokio::test]
async fn a_store_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _store = threaded(dir.path()).unwrap();
    assert!(matches!(threaded(dir.path()), Err(StoreError::Locked { .. })));
}

#[tokio::test]
async fn invalid_records_are_kept_with_their_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let store = threaded(dir.path()).unwrap();
    let record = |place: &str| InvalidRecord {
        source: "s".to_owned(),
        place: place.to_owned(),
        reason: "r".to_owned(),
        received: Clock::system().now(),
        excerpt: Bytes::from_static(b"x"),
    };
    store.apply(Vec::new(), vec![record("line 1"), record("line 2")]).await.unwrap();
    let kept = store.letters().page(None, 10).unwrap().letters;
    let places = kept.iter().map(|letter| match letter {
        Letter::Invalid { record, .. } => &*record.place,
        Letter::Dead { .. } => panic!("{letter:?}"),
    });
    assert_eq!(places.rev().collect::<Vec<_>>(), ["line 1", "line 2"]);
    assert_eq!(store.counts().invalid_records, 2);
}

fn threaded(path: &Path) -> Result<EmbeddedStore, StoreError> {
    open(path, mapping(spec()))
}

fn threaded_with(path: &Path, mapping: Arc<Mapping>) -> EmbeddedStore {
    open(path, mapping).unwrap()
}

fn open(path: &Path, mapping: Arc<Mapping>) -> Result<EmbeddedStore, StoreError> {
    let (settings, metrics) = (EmbeddedSettings::default(), Component::detached());
    EmbeddedStore::open(path, mapping, settings, Clock::system(), metrics)
}

#[tokio::test(start_paused = true)]
async fn what_fills_no_lot_is_left_and_can_still_be_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    for id in 0..5 {
        apply(&store, person(id, "a")).await;
    }
    assert_eq!(store.counts().ready, 5);
    let claims = store.claim_lots(100, 3).await.unwrap();
    assert_eq!((claims.ready.len(), claims.left), (3, 2));
    assert_eq!(store.claim_lots(2, 3).await.unwrap().ready, []);
    assert_eq!(store.claim_lots(100, 3).await.unwrap().ready, []);
    assert_eq!(store.counts().ready, 2);
    apply(&store, person(4, "b")).await;
    let claims = store.claim_lots(100, 2).await.unwrap();
    assert_eq!(claims.ready.iter().map(name_of).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((claims.left, store.counts().ready), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_waits_for_its_time_is_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    apply(&store, person(1, "a")).await;
    let first = claim(&store).await.remove(0);
    fastrand::seed(1);
    settle(&store, &first, Outcome::Later).await;
    assert_eq!((store.counts().due, store.counts().ready), (1, 0));
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(store.claim_lots(1, 2).await.unwrap().left, 1);
}
