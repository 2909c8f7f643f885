//! `Idempotency-Key` and `Profile-Version`: the same for the same, another for anything else,
//! whatever happens in between.

use std::collections::HashSet;

use super::{support::START, *};

const DAY: u64 = 86_400_000_000;

fn well(_: &[Call]) -> Reply {
    at_once(200)
}

fn key(call: &Call) -> (u64, String) {
    (call.version, call.idempotency_key.clone())
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_what_was_in_flight_goes_again_under_the_same_key() {
    let rig = Rig::of_batches(Setup::default(), |_| hangs());
    rig.update(1, "a").await;
    let first = rig.endpoint.reached(1).await;
    let mut rig = rig.crash(START + 10_000_000).await;
    rig.endpoint.set_batches(well);
    rig.drain(secs(1)).await;
    let calls = rig.endpoint.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(key(&calls[1]), key(&first));
}

#[tokio::test(start_paused = true)]
async fn a_newer_update_gets_another_key_and_a_higher_version() {
    let mut rig = Rig::of_batches(Setup::default(), |_| at_once(422));
    rig.update(1, "a").await;
    rig.endpoint.reached(1).await;
    sleep(millis(1)).await;
    rig.endpoint.set_batches(well);
    rig.update(1, "b").await;
    rig.drain(secs(1)).await;
    let calls = rig.endpoint.calls();
    assert!(calls[1].version > calls[0].version);
    assert_ne!(calls[1].idempotency_key, calls[0].idempotency_key);
}

#[tokio::test(start_paused = true)]
async fn after_the_store_was_lost_versions_go_on_and_keys_are_others() {
    let mut rig = Rig::of_batches(Setup::default(), well);
    rig.update(1, "a").await;
    rig.drain(secs(1)).await;
    let first = rig.endpoint.calls().remove(0);
    rig.killed().await.close().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut rig = Rig::at(elsewhere, START + 1_000_000, Setup::default(), well);
    rig.update(1, "a").await;
    rig.drain(secs(1)).await;
    let second = rig.endpoint.calls().remove(0);
    assert!(second.version > first.version, "it is as new as the time of day");
    assert_ne!(second.idempotency_key, first.idempotency_key);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_takes_no_version_back() {
    let mut rig = Rig::of_batches(Setup::default(), well);
    rig.update(1, "a").await;
    rig.drain(secs(1)).await;
    let mut rig = rig.crash(START - DAY).await;
    rig.update(1, "b").await;
    rig.update(2, "a").await;
    rig.drain(secs(1)).await;
    let calls = rig.endpoint.calls();
    assert!(calls[1].version > calls[0].version && calls[2].version > calls[0].version);
    let keys: HashSet<_> = calls.iter().map(|call| &call.idempotency_key).collect();
    assert_eq!(keys.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_of_a_batch_has_the_same_key_and_each_part_its_own() {
    let setup = Setup { max_profiles: 8, repetitions: 1, ..Setup::default() };
    let mut attempts = HashSet::new();
    let mut rig = Rig::of_batches(setup, move |calls| {
        let ids: Vec<_> = calls.iter().map(|call| call.id).collect();
        // The first attempt of each request fails for now.
        let bad = ids.contains(&5);
        at_once(if attempts.insert(ids) {
            503
        } else if bad {
            422
        } else {
            200
        })
    });
    rig.update_all(0..8, "a").await;
    rig.drain(secs(60)).await;
    let batches = rig.endpoint.batches();
    let calls = rig.endpoint.calls();
    let key = |request: usize| {
        let call = calls.iter().find(|call| call.request == request).unwrap();
        call.idempotency_key.clone()
    };
    assert_eq!(calls.iter().map(|call| call.idempotency_key.len()).max(), Some(32));
    for (one, ids) in batches.iter().enumerate() {
        for (other, others) in batches.iter().enumerate() {
            assert_eq!(key(one) == key(other), ids == others, "{ids:?} and {others:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_same_batch_has_the_same_key() {
    let setup = Setup { max_profiles: 4, ..Setup::default() };
    let rig = Rig::of_batches(setup, |_| hangs());
    rig.update_all(0..4, "a").await;
    let first = rig.endpoint.reached(4).await;
    let mut rig = rig.crash(START + 10_000_000).await;
    rig.endpoint.set_batches(well);
    rig.drain(secs(1)).await;
    let batches = rig.endpoint.batches();
    let again = &rig.endpoint.calls()[4];
    // After the start they are due in the order of the store.
    assert_eq!(batches[0] == batches[1], first.idempotency_key == again.idempotency_key);
    for id in 0..4 {
        let calls = rig.endpoint.calls_of(id);
        assert_eq!(calls[0].version, calls[1].version);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_one_newer_version_or_another_order_has_another_key() {
    let setup = Setup { max_profiles: 2, ..Setup::default() };
    let mut rig = Rig::of_batches(setup, well);
    let mut keys = HashSet::new();
    for (ids, name) in [([1, 2], "a"), ([2, 1], "b"), ([1, 2], "c"), ([1, 3], "d")] {
        rig.update_all(ids, name).await;
        let calls = rig.endpoint.reached(2 * (keys.len() + 1)).await;
        keys.insert(calls.idempotency_key);
        sleep(millis(1)).await;
    }
    assert_eq!(keys.len(), 4);
    rig.drain(secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_everything_was_refused_for_goes_again_under_its_version_in_batches_too() {
    let setup = Setup { max_profiles: 5, concurrency: 1, ..Setup::default() };
    let mut rig = Rig::of_batches(setup, |_| at_once(400));
    rig.update_all(0..150, "a").await;
    sleep(secs(10)).await;
    assert_eq!(rig.gate.status().reason, Some(Reason::RefusesEverything));
    rig.endpoint.set_batches(well);
    rig.drain(secs(31)).await;
    for id in 0..150 {
        let calls = rig.endpoint.calls_of(id);
        assert!(calls.iter().all(|call| call.version == calls[0].version), "{id}");
    }
}
