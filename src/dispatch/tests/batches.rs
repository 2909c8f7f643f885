//! What goes into one request, and when.

use super::*;

fn of(max_profiles: usize) -> Setup {
    Setup { max_profiles, ..Setup::default() }
}

fn sizes(rig: &Rig) -> Vec<usize> {
    rig.endpoint.batches().iter().map(Vec::len).collect()
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_goes_at_once_and_what_is_left_waits_for_more() {
    let rig = Rig::of_batches(of(10), |_| at_once(200));
    rig.update_all(0..25, "a").await;
    sleep(millis(199)).await;
    assert_eq!(sizes(&rig), [10, 10]);
    sleep(millis(2)).await;
    assert_eq!(sizes(&rig), [10, 10, 5]);
}

#[tokio::test(start_paused = true)]
async fn the_time_counts_from_the_first_that_waits() {
    let rig = Rig::of_batches(of(10), |_| at_once(200));
    for id in 0..5 {
        rig.update(id, "a").await;
        sleep(millis(60)).await;
    }
    // The first four came within 200 ms.
    sleep(millis(200)).await;
    assert_eq!(sizes(&rig), [4, 1]);
    assert_eq!(rig.endpoint.calls()[0].at, millis(200));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fills_up_waits_no_longer() {
    let rig = Rig::of_batches(of(10), |_| at_once(200));
    rig.update_all(0..9, "a").await;
    sleep(millis(100)).await;
    rig.update(9, "a").await;
    sleep(millis(1)).await;
    assert_eq!(sizes(&rig), [10]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_others_is_replaced_by_a_newer_update() {
    let rig = Rig::of_batches(of(10), |_| at_once(200));
    for name in ["a", "b", "c"] {
        rig.update(1, name).await;
        sleep(millis(50)).await;
    }
    sleep(secs(1)).await;
    let calls = rig.endpoint.calls();
    assert_eq!((calls.len(), calls[0].name.as_str()), (1, "c"));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_more_does_not_ask_the_store_again_and_again() {
    let rig = Rig::of_batches(of(1000), |_| at_once(200));
    for id in 0..100 {
        rig.update(id, "a").await;
        sleep(millis(1)).await;
    }
    assert!(rig.claims() < 5, "{}", rig.claims());
    sleep(secs(1)).await;
    assert_eq!(sizes(&rig), [100]);
}

#[tokio::test(start_paused = true)]
async fn one_profile_alone_is_framed_too() {
    let rig = Rig::of_batches(of(10), |_| at_once(200));
    rig.update(1, "a").await;
    // The endpoint of the tests demands versions, and no `Profile-Version` beside them.
    assert_eq!(rig.endpoint.reached(1).await.id, 1);
    assert_eq!(rig.endpoint.batches(), [[1]]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_more() {
    let mut rig = Rig::of_batches(of(10), |_| at_once(200));
    rig.update_all(0..13, "a").await;
    rig.drain(millis(1)).await;
    assert_eq!(rig.endpoint.calls().len(), 13);
}

#[tokio::test(start_paused = true)]
async fn concurrency_counts_requests() {
    let setup = Setup { concurrency: 2, ..of(10) };
    let mut rig = Rig::of_batches(setup, |_| after(secs(1), 200));
    rig.update_all(0..50, "a").await;
    sleep(millis(500)).await;
    assert_eq!(sizes(&rig), [10, 10]);
    assert_eq!(rig.counts().in_flight, 20, "what there is no room for is not claimed");
    rig.drain(secs(3)).await;
    assert_eq!((sizes(&rig), rig.endpoint.most()), (vec![10; 5], 2));
}

#[tokio::test(start_paused = true)]
async fn the_rate_limit_counts_requests() {
    let setup = Setup { rate: Some(1), ..of(10) };
    let mut rig = Rig::of_batches(setup, |_| at_once(200));
    rig.update_all(0..30, "a").await;
    sleep(millis(500)).await;
    assert_eq!(rig.counts().due, 20);
    assert_eq!(rig.counts().in_flight, 0);
    rig.drain(secs(3)).await;
    let calls = rig.endpoint.calls();
    assert_eq!([0, 10, 20].map(|n| calls[n].at.as_secs()), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_body_is_no_larger_than_it_may_be_and_one_large_profile_goes_alone() {
    let setup = Setup { concurrency: 1, max_bytes: 1000, ..of(100) };
    let mut rig = Rig::of_batches(setup, |_| at_once(200));
    rig.update_all(0..5, "a").await;
    rig.update(5, &"x".repeat(2000)).await;
    rig.update_all(6..100, "a").await;
    rig.drain(secs(1)).await;
    let sizes = sizes(&rig);
    assert!(rig.endpoint.batches().contains(&vec![5]), "{:?}", rig.endpoint.batches());
    assert!(sizes.iter().all(|size| *size < 30), "{sizes:?}");
    assert!(sizes.len() < 15, "{sizes:?}");
    assert_eq!(rig.endpoint.calls().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_for_now_costs_each_profile_a_wait_of_its_own() {
    let rig = Rig::of_batches(of(50), |_| at_once(503));
    rig.update_all(0..50, "a").await;
    rig.endpoint.reached(50).await;
    rig.endpoint.set_batches(|_| at_once(200));
    sleep(secs(2)).await;
    assert_eq!(rig.due(), 0);
    let times = rig.endpoint.times();
    let moments: std::collections::HashSet<_> = times[50..].iter().collect();
    assert!(moments.len() > 3, "{moments:?}");
    assert!(rig.endpoint.requests() < 10, "and those that are ready go together");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_failed_three_times_goes_alone() {
    // It makes the endpoint stumble, whatever it is sent with.
    let rig = Rig::of_batches(of(10), |calls| {
        at_once(if calls.iter().any(|call| call.id == 3) { 500 } else { 200 })
    });
    rig.update_all(0..10, "a").await;
    for id in 100..1000 {
        rig.update(id, "a").await;
        sleep(millis(100)).await;
    }
    sleep(secs(1)).await;
    assert_eq!(rig.due(), 1);
    let batches = rig.endpoint.batches();
    let sizes = batches.iter().filter(|ids| ids.contains(&3)).map(Vec::len).collect::<Vec<_>>();
    assert!(sizes.len() > 3 && sizes[3..].iter().all(|size| *size == 1), "{sizes:?}");
}

fn poisonous(calls: &[Call]) -> Reply {
    after(millis(50), if calls.iter().any(|call| call.id == 42) { 404 } else { 200 })
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_draws_the_endpoints_faults_is_found_in_its_batch() {
    // Wherever in it the profile is, and whatever is left to be delivered then.
    for concurrency in [1, 4, 1, 4, 1, 4] {
        let mut rig = Rig::of_batches(Setup { concurrency, ..of(20) }, poisonous);
        rig.update_together(0..200, "a").await;
        rig.drain(secs(30)).await;
        assert_eq!(rig.dead_letter(42).unwrap().status, 404);
        assert_eq!(rig.counts().dead, 1);
        let calls = rig.endpoint.calls();
        let others = (0..200).filter(|id| *id != 42);
        for id in others {
            let taken = calls.iter().filter(|call| call.id == id && call.taken).count();
            assert_eq!(taken, 1, "{id}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_of_them_hold_nobody_else() {
    let mut rig = Rig::of_batches(of(20), |calls| {
        let poison = calls.iter().any(|call| [42, 99].contains(&call.id));
        after(millis(50), if poison { 404 } else { 200 })
    });
    rig.update_all(0..200, "a").await;
    sleep(secs(120)).await;
    // Neither is known to be at fault while the other one fails, too.
    assert_eq!(rig.due() + rig.counts().dead, 2);
    let calls = rig.endpoint.calls();
    let taken = |id| calls.iter().filter(|call| call.id == id && call.taken).count();
    assert!((0..200).filter(|id| ![42, 99].contains(id)).all(|id| taken(id) == 1));
    rig.endpoint.set_batches(|_| at_once(200));
    rig.drain(secs(31)).await;
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_full_batches_go_on() {
    let mut rig = Rig::of_batches(of(20), |_| after(millis(50), 403));
    rig.update_all(0..200, "a").await;
    sleep(secs(60)).await;
    assert_eq!((rig.due(), rig.counts().dead), (200, 0));
    let before = rig.endpoint.requests();
    rig.endpoint.set_batches(|_| after(millis(50), 200));
    rig.drain(secs(31)).await;
    let after = rig.endpoint.requests() - before;
    assert!(after <= 1 + 200 / 20 + 2, "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_carries_one_profile() {
    let mut rig = Rig::of_batches(of(20), |_| at_once(401));
    rig.update_all(0..40, "a").await;
    sleep(secs(40)).await;
    let first = rig.endpoint.batches().iter().position(|ids| ids.len() == 1).unwrap();
    assert!(rig.endpoint.batches()[first..].iter().all(|ids| ids.len() == 1));
    rig.endpoint.set_batches(|_| at_once(200));
    rig.drain(secs(31)).await;
}
