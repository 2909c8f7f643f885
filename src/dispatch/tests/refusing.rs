use http::HeaderName;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_refused_profile_is_a_dead_letter_with_what_an_operator_needs() {
    let setup = Setup { repetitions: 3, ..Setup::default() };
    let mut rig = Rig::start(setup, |_| {
        let mut refused = answer_with(422, &[(HeaderName::from_static("x-request-id"), "r-7")]);
        *refused.as_mut().unwrap().body_mut() = vec![b'x'; 10_000].into();
        (Duration::ZERO, refused)
    });
    rig.update(1, "a").await;
    rig.drain(secs(1)).await;
    let letter = rig.dead_letter(1).unwrap();
    assert_eq!(rig.endpoint.count(), 1, "it is not tried again");
    assert_eq!((letter.status, letter.attempts), (422, 1));
    assert_eq!(letter.request_id.as_deref(), Some("r-7"));
    assert_eq!(letter.answer.len(), 4096);
    assert_eq!(letter.version, rig.endpoint.calls()[0].version);
    assert_eq!(letter.at, rig.clock.now());
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_supersedes_a_dead_letter() {
    let mut rig =
        Rig::start(Setup::default(), |call| at_once(if call.name == "bad" { 400 } else { 200 }));
    rig.update(1, "bad").await;
    rig.endpoint.reached(1).await;
    sleep(millis(1)).await;
    assert!(rig.dead_letter(1).is_some());
    rig.update(1, "good").await;
    rig.drain(secs(1)).await;
    assert!(rig.dead_letter(1).is_none());
    assert_eq!(rig.endpoint.calls_of(1).last().unwrap().name, "good");
}

#[tokio::test(start_paused = true)]
async fn fewer_than_twenty_refusals_in_a_row_are_dead_letters() {
    let setup = Setup { concurrency: 1, ..Setup::default() };
    let mut rig = Rig::start(setup, |call| at_once(if call.id % 20 == 19 { 200 } else { 400 }));
    rig.update_all(0..60, "a").await;
    rig.drain(secs(1)).await;
    assert_eq!(rig.endpoint.count(), 60);
    assert_eq!(rig.counts().dead, 57);
    assert_eq!(rig.gate.status().state, GateState::Open);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refuses_everything_closes_the_gate_and_costs_no_profile() {
    for concurrency in [1, 32] {
        let setup = Setup { concurrency, ..Setup::default() };
        let mut rig = Rig::start(setup, |_| at_once(400));
        rig.update_all(0..100, "a").await;
        sleep(secs(600)).await;
        assert_eq!(rig.gate.status().reason, Some(Reason::RefusesEverything));
        assert_eq!((rig.counts().dead, rig.due()), (0, 100), "{concurrency}");
        let sent = rig.endpoint.calls();
        rig.endpoint.set(|_| at_once(200));
        rig.drain(secs(31)).await;
        assert_eq!(rig.counts().dead, 0);
        for (id, first) in (0..100).filter_map(|id| Some((id, sent.iter().find(|c| c.id == id)?))) {
            let last = rig.endpoint.calls_of(id).pop().unwrap();
            assert_eq!(last.version, first.version, "due again under the same version");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn profiles_refused_again_after_a_delivery_are_dead_letters_and_close_nothing() {
    let setup = Setup { concurrency: 1, ..Setup::default() };
    let mut rig = Rig::start(setup, |call| at_once(if call.id < 30 { 400 } else { 200 }));
    rig.update_all(0..30, "a").await;
    rig.endpoint.reached(20).await;
    rig.update(30, "a").await;
    rig.drain(secs(120)).await;
    let refused = |id| rig.endpoint.calls_of(id).len();
    assert_eq!(rig.counts().dead, 30);
    assert!(rig.dead_letter(30).is_none());
    assert_eq!(rig.gate.status().state, GateState::Open);
    // The first twenty have had one more try, or two where one was a probe; that the same twenty
    // are refused in a row again does not close the gate, nor do the ten that come after them.
    assert!((0..20).all(|id| (2..=3).contains(&refused(id))));
    assert!((20..30).all(|id| (1..=2).contains(&refused(id))));
}

#[tokio::test(start_paused = true)]
async fn where_only_refused_profiles_are_left_to_probe_with_they_are_dead_letters() {
    let setup = Setup { concurrency: 1, ..Setup::default() };
    let mut rig = Rig::start(setup, |_| (Duration::ZERO, answer_with(429, &[(RETRY_AFTER, "1")])));
    rig.update_all(0..3, "a").await;
    rig.endpoint.reached(1).await;
    rig.endpoint.set(|_| at_once(422));
    rig.drain(secs(60)).await;
    assert_eq!((rig.counts().dead, rig.due()), (3, 0));
    assert!((0..3).all(|id| rig.endpoint.calls_of(id).len() <= 3));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refuses_every_probe_costs_no_profile() {
    let setup = Setup { concurrency: 1, ..Setup::default() };
    let mut rig = Rig::start(setup, |_| at_once(401));
    rig.update_all(0..50, "a").await;
    rig.endpoint.reached(1).await;
    rig.endpoint.set(|_| at_once(400));
    sleep(secs(600)).await;
    assert_eq!((rig.counts().dead, rig.due()), (0, 50));
    rig.endpoint.set(|_| at_once(200));
    rig.drain(secs(31)).await;
    assert_eq!(rig.counts().dead, 0);
}

#[tokio::test(start_paused = true)]
async fn the_next_twenty_close_the_gate_again() {
    let setup = Setup { concurrency: 1, ..Setup::default() };
    let rig = Rig::start(setup, |call| at_once(if call.id < 100 { 400 } else { 200 }));
    rig.update_all(0..20, "a").await;
    rig.endpoint.reached(20).await;
    rig.update(100, "a").await;
    sleep(secs(60)).await;
    assert_eq!((rig.counts().dead, rig.due()), (20, 0));
    rig.update_all(20..40, "a").await;
    sleep(millis(1)).await;
    assert_eq!(rig.gate.status().reason, Some(Reason::RefusesEverything));
    assert_eq!((rig.counts().dead, rig.due()), (20, 20));
}

#[tokio::test(start_paused = true)]
async fn last_exports_are_not_lost_where_everything_is_refused() {
    let setup = Setup { segment: true, concurrency: 8, ..Setup::default() };
    let mut rig = Rig::start(setup, |_| at_once(200));
    rig.update_all(0..30, "a").await;
    rig.endpoint.reached(30).await;
    sleep(millis(1)).await;
    rig.endpoint.set(|_| at_once(400));
    for id in 0..30 {
        rig.leave(id, "a").await;
    }
    sleep(secs(60)).await;
    assert_eq!(rig.gate.status().reason, Some(Reason::RefusesEverything));
    rig.endpoint.set(|_| at_once(200));
    rig.drain(secs(31)).await;
    for id in 0..30 {
        assert!(!says_member(rig.endpoint.calls_of(id).last().unwrap()));
    }
    let calls = rig.endpoint.calls();
    let taken =
        (0..30).filter(|id| calls.iter().rev().find(|c| c.id == *id).unwrap().at > secs(60));
    assert_eq!(taken.count(), 30, "each was sent again to the mended endpoint");
}
