use super::*;

/// Lets `n` probes fail and returns the ids of the profiles that were probed.
async fn probed(rig: &Rig, n: usize) -> Vec<u32> {
    let before = rig.endpoint.count();
    rig.endpoint.reached(before + n).await;
    rig.endpoint.ids().split_off(before)
}

#[tokio::test(start_paused = true)]
async fn probes_go_after_one_second_doubling_to_thirty_whatever_their_profile() {
    let setup = Setup { concurrency: 1, repetitions: 3, ..Setup::default() };
    let rig = Rig::start(setup, |call| if call.at.is_zero() { at_once(403) } else { at_once(503) });
    rig.update_all(0..3, "a").await;
    rig.endpoint.reached(9).await;
    let gaps: Vec<_> = rig.endpoint.gaps().iter().map(Duration::as_secs).collect();
    // Single attempts, and no delay of a profile's own between them.
    assert_eq!(gaps, [1, 2, 4, 8, 16, 30, 30, 30]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_adds_no_delay_to_its_profile() {
    let rig =
        Rig::start(Setup::default(), |call| at_once(if call.at.is_zero() { 403 } else { 503 }));
    rig.update(1, "a").await;
    rig.endpoint.reached(40).await;
    // Delays of its own would have grown to five minutes.
    assert!(rig.endpoint.gaps()[5..].iter().all(|gap| gap.as_secs() == 30));
}

#[tokio::test(start_paused = true)]
async fn each_probe_takes_a_profile_that_was_not_probed_yet() {
    let rig = Rig::start(Setup { concurrency: 1, ..Setup::default() }, |_| at_once(403));
    rig.update_all(0..5, "a").await;
    rig.endpoint.reached(1).await;
    let mut ids = probed(&rig, 5).await;
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3, 4]);
    // All were; now each gets another turn.
    let mut again = probed(&rig, 5).await;
    again.sort_unstable();
    assert_eq!(again, [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_new_arrival_is_the_next_probe() {
    let rig = Rig::start(Setup { concurrency: 1, ..Setup::default() }, |_| at_once(403));
    rig.update_all(0..5, "a").await;
    rig.endpoint.reached(1 + 5).await;
    rig.update(5, "a").await;
    assert_eq!(probed(&rig, 1).await, [5]);
}

#[tokio::test(start_paused = true)]
async fn a_new_arrival_is_the_next_probe_also_behind_hundreds_that_were_probed() {
    let rig = Rig::start(Setup { concurrency: 1, ..Setup::default() }, |_| at_once(403));
    rig.update_all(0..300, "a").await;
    rig.endpoint.reached(1 + 300).await;
    rig.update(300, "a").await;
    assert_eq!(probed(&rig, 1).await, [300]);
    assert_eq!((rig.due(), rig.counts().in_flight), (301, 0), "the others are not held");
}

#[tokio::test(start_paused = true)]
async fn only_a_probes_delivery_opens_the_gate() {
    let rig = Rig::start(Setup::default(), |call| match call.id {
        0 => after(millis(500), 200),
        _ => after(millis(10), 403),
    });
    rig.update_all(0..4, "a").await;
    rig.endpoint.reached(4).await;
    sleep(millis(600)).await;
    assert_eq!(rig.due(), 3, "the straggler was delivered");
    assert_eq!(rig.gate.status().state, GateState::Closed);
    assert_eq!(rig.endpoint.count(), 4);
    rig.endpoint.set(|_| at_once(200));
    sleep(millis(500)).await;
    assert_eq!(rig.gate.status().state, GateState::Open);
    assert_eq!(rig.due(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_profile_after_an_empty_queue_probes_at_once() {
    let setup = Setup { segment: true, concurrency: 1, ..Setup::default() };
    let rig = Rig::start(setup, |_| at_once(403));
    rig.update(1, "a").await;
    rig.endpoint.reached(1 + 6).await;
    // Half a minute until the next probe; whoever was due leaves.
    rig.leave(1, "a").await;
    sleep(secs(1)).await;
    assert_eq!(rig.due(), 0);
    rig.endpoint.set(|_| at_once(200));
    let arrived = Instant::now();
    rig.update(2, "a").await;
    assert_eq!(rig.endpoint.reached(8).await.id, 2);
    assert_eq!(arrived.elapsed(), Duration::ZERO);
    sleep(millis(1)).await;
    assert_eq!(rig.gate.status().state, GateState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_second_profile_after_an_empty_queue_waits_for_the_next_probe() {
    let setup = Setup { segment: true, concurrency: 1, ..Setup::default() };
    let rig = Rig::start(setup, |_| at_once(403));
    rig.update(1, "a").await;
    rig.endpoint.reached(1 + 6).await;
    rig.leave(1, "a").await;
    sleep(secs(1)).await;
    rig.update(2, "a").await;
    rig.endpoint.reached(8).await;
    let arrived = Instant::now();
    rig.update(3, "a").await;
    assert_eq!(rig.endpoint.reached(9).await.id, 3);
    assert_eq!(arrived.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_probe_goes_as_soon_as_the_first_of_profiles_that_all_wait_is_ready() {
    // Some failures, each followed by a delivery, make the waits long.
    let rig = Rig::start(Setup::default(), |call| at_once(if call.id == 0 { 200 } else { 503 }));
    rig.update_all(1..3, "a").await;
    for round in 1..=8 {
        rig.endpoint.reached(round * 3 - 1).await;
        rig.update(0, &round.to_string()).await;
        rig.endpoint.reached(round * 3).await;
    }
    sleep(millis(1)).await;
    rig.gate.close(Reason::Failing, "closed by the test");
    rig.endpoint.set(|_| at_once(200));
    sleep(secs(300)).await;
    assert_eq!(rig.due(), 0);
    assert_eq!(rig.gate.status().state, GateState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_refused_probe_leaves_its_profile_due_and_the_next_takes_another() {
    let setup = Setup { concurrency: 1, ..Setup::default() };
    let rig = Rig::start(setup, |_| at_once(403));
    rig.update_all(0..3, "a").await;
    rig.endpoint.reached(1).await;
    rig.endpoint.set(|call| at_once(if call.id == 1 { 422 } else { 200 }));
    sleep(secs(10)).await;
    assert_eq!(rig.gate.status().state, GateState::Open);
    assert_eq!(rig.due(), 0);
    // Refused once more, with the gate open.
    assert!(rig.dead_letter(1).is_some());
    assert!(rig.dead_letter(0).is_none() && rig.dead_letter(2).is_none());
}
