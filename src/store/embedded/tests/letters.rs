//! Dead letters and invalid records: what ends them, and what is dropped.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::*;
use crate::store::{LetterBounds, LetterId, Replayed};

const HOUR: Duration = Duration::from_hours(1);

fn bounded(dir: &TempDir, max: u64, max_age: Duration) -> InlineStore {
    let bounds = LetterBounds { max, max_age };
    InlineStore::open_bounded(dir.path(), mapping(spec()), bounds, Clock::anchored(START))
}

/// Makes dead letters of these people, one after the other.
async fn bury(store: &InlineStore, people: impl IntoIterator<Item = u32>) {
    for id in people {
        apply(store, person(id, "a")).await;
        let claimed = claim(store).await.remove(0);
        let at = store.with(|engine| engine.now());
        let mut letter = letter();
        if let Outcome::Refused(letter) = &mut letter {
            let letter = Arc::get_mut(letter).unwrap();
            (letter.at, letter.version) = (at, claimed.version);
        }
        settle(store, &claimed, letter).await;
        tokio::time::advance(Duration::from_millis(1)).await;
    }
}

fn invalid(at: u64) -> InvalidRecord {
    InvalidRecord {
        source: "s".to_owned(),
        place: "line 1".to_owned(),
        reason: "r".to_owned(),
        received: at,
        excerpt: Bytes::from_static(b"x"),
    }
}

fn ids(store: &InlineStore) -> Vec<LetterId> {
    store.letters().iter().map(Letter::id).collect()
}

fn of_person(id: u32) -> LetterId {
    LetterId::Profile(person(id, "").id)
}

#[tokio::test(start_paused = true)]
async fn a_replayed_profile_is_due_as_it_is_now_under_a_new_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    bury(&store, 1..=1).await;
    let refused = store.dead_letter(&person(1, "").id).unwrap();
    let ids = vec![person(1, "").id, person(2, "").id];
    let replayed = store.with(|engine| engine.replay(ids)).unwrap();
    assert_eq!(replayed, Replayed { replayed: 1, not_followed: 0, missing: 1 });
    assert!(store.letters().is_empty());
    let claimed = claim(&store).await.remove(0);
    assert!(claimed.version > refused.version);
    assert_eq!((claimed.triggers, name_of(&claimed)), (Triggers::REPLAY, "a".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_letter_leaves_its_profile_known_and_not_due() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    bury(&store, 1..=2).await;
    store.apply(Vec::new(), vec![invalid(START - 1)]).await.unwrap();
    let invalid_id = ids(&store).pop().unwrap();
    let gone = vec![of_person(1), of_person(1), of_person(9), invalid_id, invalid_id];
    assert_eq!(store.with(|engine| engine.discard(gone)).unwrap(), 2);
    assert_eq!(ids(&store), [of_person(2)]);
    let counts = store.counts();
    assert_eq!((counts.known, counts.due, counts.dead, counts.invalid_records), (2, 0, 1, 0));
    assert_eq!(apply(&store, person(1, "a")).await, Verdict::Unchanged);
    assert!(matches!(apply(&store, person(1, "b")).await, Verdict::Changed(_)));
}

#[tokio::test(start_paused = true)]
async fn a_letter_goes_when_its_profile_stops_being_followed() {
    let dir = tempfile::tempdir().unwrap();
    let former = mapping(with_segment("s"));
    let store = InlineStore::open(dir.path(), former.clone(), Clock::anchored(START));
    let seed = store.seed();
    let record = |id: u32| {
        let member = r#"{"status":"realized"}"#;
        format!(r#"{{"id":{id},"name":"n","segmentMembership":{{"ups":{{"s":{member}}}}}}}"#)
    };
    for id in 1..=3 {
        apply(&store, seeded_update(seed, &former, &record(id), START)).await;
        let claimed = claim(&store).await.remove(0);
        // The endpoint may have seen it, so that what it knows has to be taken back.
        let Claim { id, version, .. } = claimed;
        let refused = Settled { id, version, outcome: letter(), unknown: true };
        store.settle(vec![refused]).await.unwrap();
    }
    assert_eq!(store.counts().dead, 3);
    let left = seeded_update(seed, &former, r#"{"id":1,"name":"n"}"#, START);
    assert!(matches!(apply(&store, left).await, Verdict::Changed(_)));
    assert_eq!(store.counts().dead, 2, "by a record");
    drop(store);
    let other = InlineStore::open(dir.path(), mapping(with_segment("t")), Clock::anchored(START));
    assert_eq!((other.counts().dead, other.letters().len()), (0, 0), "by another mapping");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_followed_under_the_present_mapping_is_not_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let former = mapping(with_segment("s"));
    let store = InlineStore::open(dir.path(), former.clone(), Clock::anchored(START));
    let member = r#"{"id":1,"segmentMembership":{"ups":{"s":{"status":"realized"}}}}"#;
    apply(&store, seeded_update(store.seed(), &former, member, START)).await;
    let claimed = claim(&store).await.remove(0);
    settle(&store, &claimed, letter()).await;
    drop(store);
    // The scan of a large store comes to this row later.
    let store = threaded_with(dir.path(), mapping(with_segment("t")));
    let replayed = store.replay(vec![claimed.id]).await.unwrap();
    assert_eq!(replayed.replayed, 0);
    store.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn letters_are_listed_latest_first_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    bury(&store, 1..=3).await;
    let now = store.with(|engine| engine.now());
    store.apply(Vec::new(), vec![invalid(START + 500), invalid(now)]).await.unwrap();
    // Of a profile that became a dead letter twice only the later counts.
    apply(&store, person(1, "b")).await;
    bury(&store, 1..=1).await;
    let all = ids(&store);
    assert_eq!(all.len(), 5);
    assert_eq!((all[1], all[2], all[3]), (of_person(1), of_person(3), of_person(2)));
    assert!(matches!((all[0], all[4]), (LetterId::Invalid { .. }, LetterId::Invalid { .. })));
    let letters = crate::store::embedded::Letters(store.disk());
    let mut paged = Vec::new();
    let mut next = None;
    loop {
        let page = letters.page(next, 2).unwrap();
        assert_eq!((page.dead_letters, page.invalid_records), (3, 2));
        paged.extend(page.letters.iter().map(Letter::id));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(paged, all);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_letters_over_the_bound_are_dropped_and_that_is_said() {
    let log = Log::default();
    let _guard = log.start();
    let dir = tempfile::tempdir().unwrap();
    let store = bounded(&dir, 10, Duration::from_hours(24 * 30));
    bury(&store, 0..7).await;
    store.housekeep();
    assert_eq!(log.lines(), "");
    bury(&store, 7..9).await;
    store.housekeep();
    let lines = log.lines();
    assert!(lines.contains("soon there will be more dead letters than are kept"), "{lines}");
    bury(&store, 9..300).await;
    store.housekeep();
    let kept: Vec<_> = (290..300).rev().map(of_person).collect();
    assert_eq!(ids(&store), kept);
    assert_eq!(store.counts().dead, 10);
    let lines = log.lines();
    assert_eq!(lines.matches("dead letters were dropped").count(), 1, "{lines}");
    assert!(lines.contains("too_many=290 too_old=0 kept=10"), "{lines}");
    assert_eq!(store.discarded("dead_letters_full"), 290);
    assert_eq!(apply(&store, person(5, "a")).await, Verdict::Unchanged, "it stays known");
}

#[tokio::test(start_paused = true)]
async fn letters_that_are_too_old_are_dropped_after_a_warning() {
    let log = Log::default();
    let _guard = log.start();
    let dir = tempfile::tempdir().unwrap();
    let store = bounded(&dir, 10, 100 * HOUR);
    bury(&store, 1..=1).await;
    tokio::time::advance(50 * HOUR).await;
    bury(&store, 2..=2).await;
    store.housekeep();
    assert_eq!(log.lines(), "");
    tokio::time::advance(30 * HOUR).await;
    store.housekeep();
    store.housekeep();
    let lines = log.lines();
    assert_eq!(lines.matches("oldest dead letters will be dropped").count(), 1, "{lines}");
    assert!(lines.contains("oldest_dropped_in=71999s"), "{lines}");
    tokio::time::advance(21 * HOUR).await;
    store.housekeep();
    assert_eq!(ids(&store), [of_person(2)]);
    assert!(log.lines().contains("too_many=0 too_old=1 kept=1"), "{}", log.lines());
    assert_eq!(store.discarded("dead_letter_expired"), 1);
}

#[tokio::test(start_paused = true)]
async fn invalid_records_are_kept_for_seven_days_and_as_many_as_dead_letters() {
    let dir = tempfile::tempdir().unwrap();
    let store = bounded(&dir, 10, HOUR);
    store.apply(Vec::new(), (0..12).map(|at| invalid(START + at)).collect()).await.unwrap();
    store.housekeep();
    assert_eq!(store.counts().invalid_records, 10);
    assert_eq!(store.discarded("invalid_records_full"), 2);
    tokio::time::advance(Duration::from_secs(7 * 24 * 3600 - 1)).await;
    store.housekeep();
    assert_eq!(store.counts().invalid_records, 10);
    tokio::time::advance(Duration::from_secs(2)).await;
    store.housekeep();
    assert_eq!((store.counts().invalid_records, store.letters().len()), (0, 0));
    assert_eq!(store.discarded("invalid_record_expired"), 10);
}

#[tokio::test(start_paused = true)]
async fn letters_are_counted_when_the_store_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let store = inline(&dir);
    bury(&store, 1..=3).await;
    store.apply(Vec::new(), vec![invalid(START)]).await.unwrap();
    drop(store);
    let counts = inline(&dir).counts();
    assert_eq!((counts.dead, counts.invalid_records), (3, 1));
}

#[tokio::test]
async fn all_letters_are_replayed_or_dropped_in_steps() {
    const PEOPLE: u32 = 1000;
    let dir = tempfile::tempdir().unwrap();
    let store = threaded(dir.path()).unwrap();
    for drop_them in [false, true] {
        let name = format!("{drop_them}");
        store.apply((0..PEOPLE).map(|id| person(id, &name)).collect(), Vec::new()).await.unwrap();
        loop {
            let claims = claim(&store).await;
            if claims.is_empty() {
                break;
            }
            for claimed in claims {
                settle(&store, &claimed, letter()).await;
            }
        }
        assert_eq!(store.counts().dead, u64::from(PEOPLE));
        if drop_them {
            assert_eq!(store.discard_all().await.unwrap(), u64::from(PEOPLE));
            assert_eq!(store.counts().due, 0);
        } else {
            assert_eq!(store.replay_all().await.unwrap().replayed, u64::from(PEOPLE));
            assert_eq!(store.counts().due, u64::from(PEOPLE));
        }
        assert_eq!(
            store.letters().page(None, 10).unwrap(),
            crate::store::embedded::Page::default()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_left_uncertain_stays_so_over_a_clean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let mapping = mapping(with_segment("s"));
    let open = || InlineStore::open(dir.path(), mapping.clone(), Clock::anchored(START));
    let member = r#"{"id":1,"segmentMembership":{"ups":{"s":{"status":"realized"}}}}"#;
    let store = open();
    apply(&store, update_of(&mapping, member, START)).await;
    drop(store);
    open().with(super::super::Engine::stop).unwrap();
    let gone = update_of(&mapping, r#"{"id":1}"#, START);
    assert!(matches!(apply(&open(), gone).await, Verdict::Changed(_)));
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let lines = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::WARN)
            .with_writer(move || log.clone());
        tracing::subscriber::set_default(lines.finish())
    }

    fn lines(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
