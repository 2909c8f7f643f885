use std::collections::HashSet;

use super::*;

#[tokio::test(start_paused = true)]
async fn each_attempt_of_a_version_has_the_same_idempotency_key() {
    let setup = Setup { repetitions: 2, ..Setup::default() };
    let rig = Rig::start(setup, |call| at_once(if call.at < secs(2) { 503 } else { 200 }));
    rig.update(1, "a").await;
    sleep(secs(60)).await;
    let calls = rig.endpoint.calls();
    assert!(calls.len() > 3, "repeated in the stack and after a wait");
    assert!(calls.iter().all(|call| call.idempotency_key == calls[0].idempotency_key));
    assert!(calls.iter().all(|call| call.version == calls[0].version));
    assert_eq!(calls[0].idempotency_key.len(), 32);
}

#[tokio::test(start_paused = true)]
async fn idempotency_keys_differ_between_versions_and_between_profiles() {
    let mut rig = Rig::start(Setup::default(), |_| at_once(200));
    for round in 0..10 {
        rig.update_all(0..10, &round.to_string()).await;
        sleep(millis(1)).await;
    }
    rig.drain(secs(1)).await;
    let calls = rig.endpoint.calls();
    let keys: HashSet<_> = calls.iter().map(|call| &call.idempotency_key).collect();
    let versions: HashSet<_> = calls.iter().map(|call| (call.id, call.version)).collect();
    assert_eq!((calls.len(), keys.len(), versions.len()), (100, 100, 100));
}

#[tokio::test(start_paused = true)]
async fn a_release_changes_neither_version_nor_key() {
    let rig = Rig::start(Setup::default(), |_| at_once(403));
    rig.update(1, "a").await;
    rig.endpoint.reached(5).await;
    let calls = rig.endpoint.calls();
    assert!(calls.iter().all(|call| call.version == calls[0].version));
    assert!(calls.iter().all(|call| call.idempotency_key == calls[0].idempotency_key));
}

#[tokio::test(start_paused = true)]
async fn a_restart_changes_neither_version_nor_key() {
    let rig = Rig::start(Setup::default(), |_| at_once(403));
    rig.update_all(0..3, "a").await;
    rig.endpoint.reached(4).await;
    let mut rig = rig.restart().await;
    let before = rig.endpoint.calls();
    rig.endpoint.set(|_| at_once(200));
    rig.drain(secs(31)).await;
    assert_eq!(rig.due(), 0);
    for call in &rig.endpoint.calls()[before.len()..] {
        let Some(first) = before.iter().find(|first| first.id == call.id) else { continue };
        assert_eq!((call.version, &call.idempotency_key), (first.version, &first.idempotency_key));
    }
}

#[tokio::test(start_paused = true)]
async fn what_becomes_due_again_where_everything_was_refused_has_the_same_key() {
    let mut rig = Rig::start(Setup::default(), |_| at_once(400));
    rig.update_all(0..20, "a").await;
    rig.endpoint.reached(20).await;
    let before = rig.endpoint.calls();
    rig.endpoint.set(|_| at_once(200));
    rig.drain(secs(31)).await;
    let after = &rig.endpoint.calls()[before.len()..];
    assert_eq!(after.len(), 20);
    for call in after {
        let first = before.iter().find(|first| first.id == call.id).unwrap();
        assert_eq!((call.version, &call.idempotency_key), (first.version, &first.idempotency_key));
    }
}

#[tokio::test(start_paused = true)]
async fn another_store_gives_other_keys() {
    let mut keys = HashSet::new();
    for _ in 0..2 {
        let mut rig = Rig::start(Setup::default(), |_| at_once(200));
        rig.update(1, "a").await;
        rig.drain(secs(1)).await;
        keys.insert(rig.endpoint.calls()[0].idempotency_key.clone());
    }
    assert_eq!(keys.len(), 2);
}
