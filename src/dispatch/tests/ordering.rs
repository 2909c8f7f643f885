use super::*;

#[tokio::test(start_paused = true)]
async fn a_newer_version_does_not_overtake_an_older_attempt() {
    let rig = Rig::start(Setup::default(), |_| after(secs(5), 200));
    rig.update(1, "a").await;
    rig.endpoint.reached(1).await;
    sleep(secs(1)).await;
    rig.update(1, "b").await;
    let newer = rig.endpoint.reached(2).await;
    assert_eq!((newer.at, newer.name.as_str()), (secs(5), "b"));
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_goes_as_soon_as_the_older_attempt_has_failed_and_its_delay_is_over() {
    let rig = Rig::start(Setup::default(), |call| match call.name.as_str() {
        "a" => after(secs(5), 503),
        _ => at_once(200),
    });
    rig.update(1, "a").await;
    rig.endpoint.reached(1).await;
    rig.update(1, "b").await;
    let newer = rig.endpoint.reached(2).await;
    assert_eq!(newer.name, "b");
    assert!((secs(5)..=millis(6_001)).contains(&newer.at), "{newer:?}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_replaced_by_newer_updates() {
    let rig = Rig::start(Setup::default(), |_| after(secs(1), 200));
    rig.update(1, "a").await;
    rig.endpoint.reached(1).await;
    for name in ["b", "c", "d"] {
        rig.update(1, name).await;
    }
    sleep(secs(60)).await;
    let names: Vec<_> = rig.endpoint.calls().into_iter().map(|call| call.name).collect();
    assert_eq!(names, ["a", "d"]);
}

#[tokio::test(start_paused = true)]
async fn one_profile_is_never_in_flight_twice_while_others_are() {
    let mut rig = Rig::start(Setup { concurrency: 16, ..Setup::default() }, |call| {
        after(millis(u64::from(call.id) * 7), 200)
    });
    for round in 0..50 {
        rig.update_all(1..=10, &round.to_string()).await;
        sleep(millis(10)).await;
    }
    // The endpoint of a rig panics where a profile is in flight twice.
    rig.drain(secs(10)).await;
    for id in 1..=10 {
        assert_eq!(rig.endpoint.calls_of(id).last().unwrap().name, "49");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_in_flight_than_the_concurrency_allows() {
    let mut rig = Rig::start(Setup { concurrency: 3, ..Setup::default() }, |_| after(secs(1), 200));
    rig.update_all(0..20, "a").await;
    rig.drain(millis(7_100)).await;
    assert_eq!((rig.endpoint.count(), rig.endpoint.most()), (20, 3));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_slot_of_the_rate_limit_can_still_be_replaced() {
    for latency in [Duration::ZERO, secs(1), secs(3)] {
        let setup = Setup { rate: Some(1), ..Setup::default() };
        let rig = Rig::start(setup, move |_| after(latency, 200));
        rig.update_all(0..10, "a").await;
        for waiting in (1..10).rev() {
            let sent = rig.endpoint.reached(10 - waiting).await.id;
            sleep(millis(500)).await;
            let replaced = (0..10).filter(|id| rig.endpoint.calls_of(*id).is_empty());
            rig.update_all(replaced, &format!("after {sent}")).await;
        }
        let calls = rig.endpoint.reached(10).await;
        assert_eq!(rig.endpoint.count(), 10, "each went once: {calls:?}");
        let times = rig.endpoint.times();
        assert!(rig.endpoint.gaps().iter().all(|gap| *gap >= secs(1)), "{times:?}");
        assert!(times[9] <= millis(9_100), "{times:?}");
        for pair in rig.endpoint.calls().windows(2) {
            assert_eq!(pair[1].name, format!("after {}", pair[0].id));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_in_the_queue_is_delivered_though_the_queue_is_never_empty() {
    let rig = Rig::start(Setup::default(), |call| match call.id {
        0 => after(secs(9), 200),
        _ => after(millis(10), 200),
    });
    rig.store.inner.limit_queue(16);
    rig.update_all(0..100, "a").await;
    sleep(secs(1)).await;
    assert_eq!((rig.endpoint.count(), rig.due()), (100, 1), "one is still in flight");
}

#[tokio::test(start_paused = true)]
async fn a_burst_may_be_used_by_profiles_that_arrive_one_after_the_other() {
    let setup = Setup { rate: Some(1), burst: 5, concurrency: 16, ..Setup::default() };
    let rig = Rig::start(setup, |_| after(secs(5), 200));
    for id in 0..10 {
        rig.update(id, "a").await;
        sleep(millis(20)).await;
    }
    assert_eq!(rig.endpoint.count(), 5);
    sleep(secs(4)).await;
    assert_eq!(rig.endpoint.count(), 9);
}
