//! What a changed mapping makes of the profiles that are known.

use std::collections::HashMap;

use super::*;
use crate::profile::{Removed, When};

/// A sink under one mapping after the other.
struct Changing {
    dir: TempDir,
    mapping: Arc<Mapping>,
    store: Option<InlineStore>,
    now: u64,
}

impl Changing {
    fn new(spec: MappingSpec) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = Self { dir, mapping: mapping(spec.clone()), store: None, now: START };
        sink.remap(spec);
        sink
    }

    /// Ends at once, as a crash would, and goes on with another mapping, a second later.
    fn remap(&mut self, spec: MappingSpec) {
        self.remap_only(spec);
        while self.reconciles() {
            self.store().reconcile_step();
        }
    }

    /// The same, with nothing judged by the new mapping yet.
    fn remap_only(&mut self, spec: MappingSpec) {
        self.store = None;
        self.now += 1_000_000;
        self.mapping = mapping(spec);
        let (path, clock) = (self.dir.path(), Clock::anchored(self.now));
        let bounds = crate::store::LetterBounds::default();
        let store = InlineStore::open_unreconciled(path, self.mapping.clone(), bounds, clock);
        self.store = Some(store);
    }

    fn store(&self) -> &InlineStore {
        self.store.as_ref().unwrap()
    }

    fn reconciles(&self) -> bool {
        self.store().with(|engine| engine.reconciles_in()).is_some()
    }

    async fn take(&self, record: &str) -> Verdict {
        let store = self.store();
        let received = store.with(|engine| engine.now());
        apply(store, seeded_update(store.seed(), &self.mapping, record, received)).await
    }

    /// Claims all that is due and delivers it; gives the numbers of the profiles, and why.
    async fn deliver(&self) -> Vec<(u64, Triggers)> {
        let mut delivered = Vec::new();
        // A claim that meets rows of an older mapping may take none yet.
        while self.store().counts().ready > 0 {
            for claimed in claim(self.store()).await {
                settle(self.store(), &claimed, Outcome::Delivered).await;
                delivered.push((number(&claimed), claimed.triggers));
            }
        }
        delivered.sort_unstable_by_key(|(id, _)| *id);
        delivered
    }

    async fn delivered(&self) -> Vec<u64> {
        self.deliver().await.into_iter().map(|(id, _)| id).collect()
    }
}

fn number(claim: &Claim) -> u64 {
    claim.known.key.text.parse().unwrap()
}

/// A record of a profile that is in these segments and has these attributes besides a name.
fn record(id: u64, segments: &[&str], also: &str) -> String {
    let members: Vec<_> =
        segments.iter().map(|s| format!(r#""{s}":{{"status":"realized"}}"#)).collect();
    let members = members.join(",");
    format!(r#"{{"id":{id},"name":"n"{also},"segmentMembership":{{"ups":{{{members}}}}}}}"#)
}

fn mapped(attributes: &[&str], segments: &[&str]) -> MappingSpec {
    let segment = |id: &&str| SegmentSpec { id: (*id).to_owned(), name: None, namespace: None };
    MappingSpec {
        attributes: Attributes::Listed(attributes.iter().map(|p| p.parse().unwrap()).collect()),
        segments: segments.iter().map(segment).collect(),
        ..spec()
    }
}

fn whole(spec: MappingSpec) -> MappingSpec {
    MappingSpec { retain: Retain::Profile, ..spec }
}

#[tokio::test(start_paused = true)]
async fn exactly_the_members_of_a_newly_mapped_segment_are_exported_as_they_were_last_known() {
    let mut sink = Changing::new(mapped(&["name"], &["s"]));
    for id in 0..3000 {
        sink.take(&record(id, &["s"], "")).await;
    }
    assert_eq!(sink.delivered().await.len(), 3000);
    let mut members = Vec::new();
    for id in 0..3000 {
        if id % 3 == 0 {
            sink.take(&record(id, &["s", "t"], "")).await;
        }
        if id % 9 == 0 {
            sink.take(&record(id, &["s"], "")).await;
        } else if id % 3 == 0 {
            members.push(id);
        }
    }
    let renamed = record(3, &["s", "t"], "").replace(r#""n""#, r#""renamed""#);
    sink.take(&renamed).await;
    assert_eq!(sink.delivered().await, [3], "nothing else is relevant yet");

    sink.remap(mapped(&["name"], &["s", "t"]));
    let store = sink.store();
    let counts = store.counts();
    assert_eq!((counts.due, counts.unreconciled), (members.len() as u64, 0));
    let mut names = HashMap::new();
    for claimed in store.claim(3000).await.unwrap().ready {
        assert_eq!(claimed.triggers, Triggers::MEMBERSHIP);
        names.insert(number(&claimed), name_of(&claimed));
    }
    let mut claimed: Vec<_> = names.keys().copied().collect();
    claimed.sort_unstable();
    assert_eq!(claimed, members);
    assert!(names.iter().all(|(id, name)| name == if *id == 3 { "renamed" } else { "n" }));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_mapped_makes_nothing_due_though_something_is_added_at_once() {
    let mut sink = Changing::new(mapped(&["name", "city"], &["s", "u"]));
    sink.take(&record(1, &["s", "u", "t"], r#","city":"c""#)).await;
    sink.take(&record(2, &["s", "u"], r#","city":"c""#)).await;
    assert_eq!(sink.delivered().await, [1, 2]);
    sink.remap(mapped(&["name"], &["s", "t"]));
    assert_eq!(sink.deliver().await, [(1, Triggers::MEMBERSHIP)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_added_several_mappings_ago_still_counts_for_a_row_that_old() {
    let mut sink = Changing::new(mapped(&["name"], &["s"]));
    for (id, segment) in [(1, "t"), (2, "u"), (3, "v")] {
        sink.take(&record(id, &["s", segment], "")).await;
    }
    assert_eq!(sink.delivered().await, [1, 2, 3]);
    // The store is closed before any row is judged, twice.
    sink.remap_only(mapped(&["name"], &["s", "t", "v"]));
    sink.remap_only(mapped(&["name"], &["s", "t"]));
    sink.remap_only(mapped(&["name"], &["s", "t", "u"]));
    sink.remap(mapped(&["name"], &["t", "u"]));
    assert_eq!(sink.delivered().await, [1, 2], "nobody asks for v any more");
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_was_mapped_and_unmapped_before_exports_its_members_again() {
    let mut sink = Changing::new(mapped(&["name"], &["s", "t"]));
    for id in 1..=3 {
        sink.take(&record(id, &["s", "t"], "")).await;
    }
    sink.take(&record(4, &["s"], "")).await;
    sink.take(&record(3, &["s"], "")).await;
    assert_eq!(sink.delivered().await, [1, 2, 3, 4]);
    let first = sink.store().mapped_at().clone();
    sink.remap(mapped(&["name"], &["s"]));
    assert!(sink.delivered().await.is_empty());
    sink.take(&record(2, &["s"], "")).await;
    assert!(sink.delivered().await.is_empty());
    sink.remap(mapped(&["name"], &["s", "t"]));
    // 2 left unseen, so that the endpoint holds it for a member; 3 had left before, as was said.
    assert_eq!(sink.delivered().await, [1, 2]);
    let again = sink.store().mapped_at();
    assert_eq!(again.0[0], first.0[0]);
    assert_eq!(again.0[1].created, sink.now, "it is mapped since now");
}

#[tokio::test(start_paused = true)]
async fn options_order_and_removals_make_nothing_due() {
    let mut sink = Changing::new(mapped(&["name", "city"], &["s", "t"]));
    for id in 1..=2 {
        sink.take(&record(id, &["s", "t"], r#","city":"c""#)).await;
    }
    sink.deliver().await;
    let before = mapped(&["city", "name"], &["t", "s"]);
    let mut named = before.clone();
    named.segments[0].name = Some("Tee".to_owned());
    for spec in [
        before.clone(),
        MappingSpec { segment_names: true, ..named.clone() },
        MappingSpec { segment_timestamps: true, ..named.clone() },
        MappingSpec { legacy_status: true, removed: Removed::Null, ..before.clone() },
        MappingSpec { when: When::Always, ..before.clone() },
    ] {
        sink.remap_only(spec.clone());
        assert_eq!(sink.store().counts().unreconciled, 0, "no row is judged by {spec:?}");
        assert!(sink.delivered().await.is_empty(), "{spec:?}");
    }
    for spec in [
        MappingSpec { unmapped_segments: true, ..before.clone() },
        mapped(&["name"], &["s", "t"]),
        mapped(&["name"], &["s"]),
        MappingSpec { identities: Some(vec!["none".to_owned()]), ..mapped(&["name"], &["s"]) },
    ] {
        sink.remap(spec.clone());
        assert!(sink.delivered().await.is_empty(), "{spec:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_added_attribute_or_namespace_exports_those_who_have_it_where_it_was_kept() {
    let crmid = Some(vec!["crmid".to_owned()]);
    let some = |spec: MappingSpec| MappingSpec { identities: crmid.clone(), ..spec };
    let mut sink = Changing::new(whole(some(mapped(&["name", "home.city"], &[]))));
    let also = |home: &str, ecid: bool| {
        let ecid = if ecid { r#","ecid":[{"id":"e"}]"# } else { "" };
        format!(r#","home":{home},"identityMap":{{"crmid":[{{"id":"c"}}]{ecid}}}"#)
    };
    sink.take(&record(1, &[], &also(r#"{"city":"c","zip":"z"}"#, false))).await;
    sink.take(&record(2, &[], &also(r#"{"city":"c"}"#, true))).await;
    sink.deliver().await;
    sink.remap(whole(some(mapped(&["home"], &[]))));
    assert_eq!(sink.deliver().await, [(1, Triggers::ATTRIBUTE)]);
    sink.remap(whole(mapped(&["home"], &[])));
    assert_eq!(sink.deliver().await, [(2, Triggers::IDENTITY)]);
}

#[tokio::test(start_paused = true)]
async fn an_attribute_that_was_not_kept_arrives_with_the_next_update_and_never_out_of_date() {
    let mut sink = Changing::new(mapped(&["name", "city"], &[]));
    sink.take(&record(1, &[], r#","city":"old""#)).await;
    sink.take(&record(2, &[], r#","city":"old""#)).await;
    sink.deliver().await;
    sink.remap(mapped(&["name"], &[]));
    assert_eq!(sink.take(&record(1, &[], r#","city":"new""#)).await, Verdict::Unchanged);
    // A mapping more, by which the row of the one before is judged.
    sink.remap(mapped(&["name", "zip"], &[]));
    sink.remap(mapped(&["name", "city"], &[]));
    let claims = claim(sink.store()).await;
    assert_eq!(claims.iter().map(number).collect::<Vec<_>>(), [2], "1 is not known to live there");
    assert_eq!(claims[0].triggers, Triggers::ATTRIBUTE);
    let verdict = sink.take(&record(1, &[], r#","city":"new""#)).await;
    assert_eq!(verdict, Verdict::Changed(Triggers::ATTRIBUTE));
}

#[tokio::test(start_paused = true)]
async fn an_update_first_judges_the_kept_profile_so_that_no_change_falls_between() {
    let mut sink = Changing::new(mapped(&["name"], &["s"]));
    sink.take(&record(1, &["s", "t"], "")).await;
    sink.take(&record(2, &["s"], "")).await;
    sink.take(&record(3, &["t"], "")).await;
    sink.take(&record(4, &["t"], "")).await;
    assert_eq!(sink.delivered().await, [1, 2]);
    sink.remap_only(mapped(&["name"], &["s", "t"]));
    assert_eq!(sink.store().counts().unreconciled, 4);
    // The same again: due by the mapping, not by the update.
    assert_eq!(sink.take(&record(1, &["s", "t"], "")).await, Verdict::Unchanged);
    // Nobody was told that 4 was a member.
    assert_eq!(sink.take(&record(4, &[], "")).await, Verdict::NotFollowed);
    let renamed = record(2, &["s"], "").replace(r#""n""#, r#""renamed""#);
    assert_eq!(sink.take(&renamed).await, Verdict::Changed(Triggers::ATTRIBUTE));
    assert_eq!(sink.store().counts().unreconciled, 1);
    assert_eq!(sink.deliver().await, [(1, Triggers::MEMBERSHIP), (2, Triggers::ATTRIBUTE)]);
    sink.store().reconcile_step();
    assert_eq!(sink.deliver().await, [(3, Triggers::FOLLOWED)]);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_says_nothing_new_by_either_mapping_is_left_to_the_background() {
    let mut sink = Changing::new(mapped(&["name"], &["s"]));
    sink.take(&record(1, &["s"], r#","city":"c""#)).await;
    sink.take(&record(2, &["v"], "")).await;
    sink.take(&record(3, &["s"], "")).await;
    sink.deliver().await;
    sink.remap_only(mapped(&["name", "city"], &["s", "u"]));
    assert_eq!(sink.take(&record(2, &["v"], "")).await, Verdict::NotFollowed);
    assert_eq!(sink.take(&record(3, &["s"], "")).await, Verdict::Unchanged);
    assert_eq!(sink.store().counts().unreconciled, 3);
    // What was not kept before is new.
    let verdict = sink.take(&record(1, &["s"], r#","city":"c""#)).await;
    assert_eq!(verdict, Verdict::Changed(Triggers::ATTRIBUTE));
    assert_eq!(sink.store().counts().unreconciled, 2);
    sink.deliver().await;
    sink.store().reconcile_step();
    assert_eq!(sink.store().counts().unreconciled, 0);
    assert!(sink.delivered().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_is_no_longer_followed_and_was_never_offered_is_withdrawn() {
    for met_by_update in [true, false] {
        let mut sink = Changing::new(mapped(&["name"], &["s"]));
        sink.take(&record(1, &["s"], "")).await;
        sink.take(&record(2, &["s", "t"], "")).await;
        sink.store().with(super::super::Engine::stop).unwrap();
        sink.remap_only(mapped(&["name"], &["t"]));
        assert_eq!(sink.store().counts().due, 2);
        if met_by_update {
            assert_eq!(sink.take(&record(1, &["s"], "")).await, Verdict::NotFollowed);
        }
        // What a claim meets is judged before it is taken.
        assert_eq!(sink.delivered().await, [2]);
        assert_eq!(sink.store().counts().due, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_update_brings_the_row_up_to_date_and_changes_nothing_else() {
    let versioned = |spec| MappingSpec { version: Some("v".parse().unwrap()), ..spec };
    let mut sink = Changing::new(versioned(mapped(&["name"], &["s"])));
    sink.take(&record(1, &["s", "t"], r#","v":2"#)).await;
    sink.deliver().await;
    sink.remap_only(versioned(mapped(&["name"], &["s", "t"])));
    assert_eq!(sink.take(&record(1, &[], r#","v":1"#)).await, Verdict::Stale);
    assert_eq!(sink.store().counts().unreconciled, 0);
    assert_eq!(sink.deliver().await, [(1, Triggers::MEMBERSHIP)]);
}

#[tokio::test(start_paused = true)]
async fn ended_in_the_middle_it_goes_on_where_it_was_and_exports_nothing_twice() {
    let mut sink = Changing::new(mapped(&["name"], &["s"]));
    for id in 0..2000 {
        let segments = if id % 2 == 0 { &["s", "t"][..] } else { &["s"] };
        sink.take(&record(id, segments, "")).await;
    }
    sink.deliver().await;
    let both = mapped(&["name"], &["s", "t"]);
    let mut exported = Vec::new();
    let mut left = 2000;
    sink.remap_only(both.clone());
    while sink.reconciles() {
        assert_eq!(sink.store().counts().unreconciled, left);
        sink.store().reconcile_step();
        left = sink.store().counts().unreconciled;
        exported.extend(sink.delivered().await);
        sink.remap_only(both.clone());
    }
    exported.sort_unstable();
    assert_eq!(exported, (0..2000).step_by(2).collect::<Vec<_>>());
    assert_eq!(left, 0);
}

#[tokio::test(start_paused = true)]
async fn a_claim_judges_a_full_queue_of_an_older_mapping_piece_by_piece() {
    let mut sink = Changing::new(mapped(&["name"], &["s"]));
    for id in 0..200 {
        sink.take(&record(id, &["s"], "")).await;
    }
    sink.remap_only(mapped(&["name"], &["t"]));
    assert_eq!(sink.store().counts().unreconciled, 200);
    assert!(claim(sink.store()).await.is_empty());
    let left = sink.store().counts().unreconciled;
    assert!(0 < left && left < 200, "{left}");
}

#[tokio::test]
async fn a_store_reconciles_in_the_background_and_says_when_something_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let former = mapping(with_segment("s"));
    let store = threaded_with(dir.path(), former.clone());
    let seed = store.seed();
    let updates = (0..2000).map(|id| {
        let segment = if id % 4 == 0 { "t" } else { "u" };
        seeded_update(seed, &former, &record(id, &[segment], ""), START)
    });
    store.apply(updates.collect(), Vec::new()).await.unwrap();
    store.stop().await.unwrap();
    drop(store);
    let store = threaded_with(dir.path(), mapping(with_segment("t")));
    let mut claimed = 0;
    while claimed < 500 {
        store.wait_due().await;
        claimed += store.claim(1000).await.unwrap().ready.len();
    }
    assert_eq!(claimed, 500);
    while store.counts().unreconciled > 0 {
        tokio::task::yield_now().await;
    }
    assert!(store.counts().complete);
    assert_eq!((store.counts().followed, store.counts().due), (500, 500));
}

/// A stored mapping without the parts that a reader can do without.
const OLDER: &str = r#"{"generation":3,"added":2,"spec":{"key":[["id"]],"at":null,"version":null,"strip_prefix":null,"attributes":{"Listed":[["name"]]},"segments":[{"id":"s","name":null,"namespace":null}],"identities":null,"unmapped_segments":false,"segment_names":false,"segment_timestamps":false,"legacy_status":false,"removed":"omit","when":"changed","retain":"mapped"},"mapped_at":[{"created":5,"updated":6}]}"#;

#[tokio::test(start_paused = true)]
async fn a_store_of_an_older_version_keeps_its_mapping() {
    let mut sink = Changing::new(mapped(&["name"], &["s"]));
    sink.take(&record(1, &["s", "t"], "")).await;
    sink.deliver().await;
    let disk = sink.store().disk();
    let mut batch = disk.batch();
    batch.meta("mapping", &OLDER.to_owned()).unwrap();
    batch.commit(super::super::Durability::Os).unwrap();
    drop(disk);
    sink.remap(mapped(&["name"], &["s"]));
    let record = sink.store().with(|engine| engine.record().clone());
    assert_eq!((record.generation, record.mapped_at.0[0].created), (3, 5));
    sink.deliver().await;
    sink.remap(mapped(&["name"], &["s", "t"]));
    assert_eq!(sink.deliver().await, [(1, Triggers::MEMBERSHIP)]);
}
