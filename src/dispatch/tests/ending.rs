use super::*;

#[tokio::test(start_paused = true)]
async fn a_drain_ends_when_nothing_is_due_and_not_before() {
    let mut rig = Rig::start(Setup { concurrency: 2, ..Setup::default() }, |_| after(secs(1), 200));
    rig.update_all(0..10, "a").await;
    rig.order(Phase::Drain);
    sleep(millis(4_900)).await;
    assert!(!rig.has_ended());
    rig.ended(millis(200)).await;
    assert_eq!(rig.endpoint.count(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_drain_of_nothing_ends_at_once() {
    let mut rig = Rig::start(Setup::default(), |_| at_once(200));
    rig.drain(millis(1)).await;
    let mut rig = Rig::start(Setup::default(), |_| at_once(200));
    sleep(secs(10)).await;
    rig.drain(millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_profiles_in_back_off() {
    let mut rig = Rig::start(Setup::default(), |call| {
        at_once(if call.id == 0 || call.at > secs(20) { 200 } else { 503 })
    });
    fastrand::seed(3);
    rig.update(1, "a").await;
    for round in 1..=4 {
        rig.endpoint.reached(round * 2 - 1).await;
        rig.update(0, &round.to_string()).await;
        rig.endpoint.reached(round * 2).await;
    }
    sleep(millis(1)).await;
    rig.order(Phase::Drain);
    sleep(millis(10)).await;
    assert!(!rig.has_ended());
    rig.ended(secs(120)).await;
    assert_eq!(rig.due(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_a_gate_to_open() {
    let mut rig = Rig::start(Setup::default(), |_| at_once(401));
    rig.update_all(0..10, "a").await;
    rig.order(Phase::Drain);
    sleep(secs(3600)).await;
    assert!(!rig.has_ended());
    rig.endpoint.set(|_| at_once(200));
    rig.ended(secs(31)).await;
    assert_eq!(rig.due(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_delivers_what_still_arrives() {
    let mut rig = Rig::start(Setup::default(), |_| after(secs(1), 200));
    rig.update(1, "a").await;
    rig.order(Phase::Drain);
    sleep(millis(500)).await;
    rig.update(1, "b").await;
    rig.update(2, "a").await;
    rig.ended(secs(3)).await;
    assert_eq!((rig.endpoint.count(), rig.due()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stop_claims_nothing_more_and_lets_what_is_in_flight_end() {
    let mut rig = Rig::start(Setup::default(), |_| after(secs(5), 200));
    rig.update_all(0..10, "a").await;
    rig.endpoint.reached(4).await;
    rig.order(Phase::Stop);
    sleep(secs(1)).await;
    assert!(!rig.has_ended());
    rig.ended(millis(4_100)).await;
    assert_eq!(rig.endpoint.count(), 4);
    assert_eq!((rig.due(), rig.counts().in_flight), (6, 0), "the outcomes are settled");
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_drain_that_a_gate_holds() {
    let mut rig = Rig::start(Setup::default(), |_| at_once(401));
    rig.update(1, "a").await;
    rig.order(Phase::Drain);
    sleep(secs(20)).await;
    rig.order(Phase::Stop);
    rig.ended(millis(1)).await;
    assert_eq!(rig.due(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_what_waits_idle() {
    let mut rig = Rig::start(Setup::default(), |_| at_once(200));
    sleep(secs(20)).await;
    rig.order(Phase::Stop);
    rig.ended(millis(1)).await;
}
