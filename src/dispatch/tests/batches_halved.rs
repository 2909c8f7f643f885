//! What a batch costs of which some are refused.

use http::HeaderName;

use super::*;

fn of(max_profiles: usize) -> Setup {
    Setup { max_profiles, ..Setup::default() }
}

/// An endpoint that refuses each request with one of these.
fn refusing(ids: impl Fn(u32) -> bool + Send + 'static) -> impl FnMut(&[Call]) -> Reply + Send {
    move |calls| at_once(if calls.iter().any(|call| ids(call.id)) { 422 } else { 200 })
}

#[tokio::test(start_paused = true)]
async fn one_that_is_refused_among_a_hundred_is_found_in_thirteen_requests_wherever_it_is() {
    // Of each round another one is refused.
    let is_bad = |call: &Call| call.id.to_string() == call.name;
    let rig = Rig::of_batches(of(100), move |calls| {
        at_once(if calls.iter().any(is_bad) { 422 } else { 200 })
    });
    let mut most = 0;
    for bad in 0..100 {
        let before = rig.endpoint.calls().len();
        let requests = rig.endpoint.requests();
        rig.update_together(0..100, &bad.to_string()).await;
        sleep(millis(300)).await;
        assert_eq!((rig.counts().dead, rig.due()), (1, 0));
        assert!(rig.dead_letter(bad).is_some());
        most = most.max(rig.endpoint.requests() - requests - 1);
        let mut taken: Vec<_> = rig
            .endpoint
            .calls()
            .drain(before..)
            .filter(|call| call.taken)
            .map(|call| call.id)
            .collect();
        taken.sort_unstable();
        let others = (0..100).filter(|id| *id != bad);
        assert!(taken.into_iter().eq(others), "each is taken once");
    }
    assert_eq!(most, 13);
}

#[tokio::test(start_paused = true)]
async fn the_left_half_goes_first_and_what_must_hold_the_fault_is_not_sent_whole() {
    let mut rig = Rig::of_batches(of(9), refusing(|id| id == 7));
    rig.update_all(0..9, "a").await;
    rig.drain(secs(1)).await;
    let batches = rig.endpoint.batches();
    let expected: [&[u32]; 6] =
        [&[0, 1, 2, 3, 4, 5, 6, 7, 8], &[0, 1, 2, 3], &[4, 5], &[6], &[7], &[8]];
    assert_eq!(batches, expected);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_has_the_answer_to_its_profile_alone() {
    let mut rig = Rig::of_batches(of(8), |calls| {
        let bad = calls.iter().any(|call| call.id == 5);
        let id = format!("r-{}", calls.len());
        let header = (HeaderName::from_static("x-request-id"), id.as_str());
        (Duration::ZERO, answer_with(if bad { 400 } else { 200 }, &[header]))
    });
    rig.update_all(0..8, "a").await;
    rig.drain(secs(1)).await;
    let letter = rig.dead_letter(5).unwrap();
    assert_eq!(letter.request_id.as_deref(), Some("r-1"));
    assert_eq!(letter.attempts as usize, rig.endpoint.calls_of(5).len());
}

#[tokio::test(start_paused = true)]
async fn all_that_are_refused_are_dead_letters_and_no_other() {
    let bad = |id: u32| id % 7 == 3 || (40..60).contains(&id);
    let mut rig = Rig::of_batches(of(100), refusing(bad));
    rig.update_together(0..500, "a").await;
    rig.drain(secs(1)).await;
    for id in 0..500 {
        assert_eq!(rig.dead_letter(id).is_some(), bad(id), "{id}");
    }
    assert_eq!(rig.gate.status().state, GateState::Open);
}

#[tokio::test(start_paused = true)]
async fn seven_refused_among_a_thousand_cost_few_requests() {
    let bad = [3, 117, 118, 404, 555, 599, 998];
    let mut rig = Rig::of_batches(of(100), refusing(move |id| bad.contains(&id)));
    rig.update_together(0..1000, "a").await;
    rig.drain(secs(1)).await;
    assert_eq!(rig.counts().dead, 7);
    let extra = rig.endpoint.requests() - 10;
    assert!(extra <= 93, "{extra} is more than 7 x 2 x log2(100)");
}

#[tokio::test(start_paused = true)]
async fn parts_stay_in_flight_so_that_no_newer_version_overtakes_them() {
    let mut rig = Rig::of_batches(of(8), |calls| {
        let bad = calls.iter().any(|call| call.id == 7 && call.name == "a");
        after(secs(1), if bad { 422 } else { 200 })
    });
    rig.update_all(0..8, "a").await;
    sleep(millis(1_500)).await;
    rig.update_all(0..8, "b").await;
    // The endpoint of the tests finds two requests of one profile.
    rig.drain(secs(20)).await;
    for id in 0..8 {
        let calls = rig.endpoint.calls_of(id);
        assert!(calls.is_sorted_by_key(|call| call.version));
        assert_eq!(calls.last().unwrap().name, "b");
    }
    assert_eq!(rig.counts().dead, 0, "mended by its newer version");
}

#[tokio::test(start_paused = true)]
async fn twenty_refused_batches_close_the_gate_and_cost_no_profile() {
    for concurrency in [1, 4, 32] {
        let setup = Setup { concurrency, ..of(10) };
        let mut rig = Rig::of_batches(setup, |_| after(millis(5), 400));
        rig.update_all(0..400, "a").await;
        sleep(secs(120)).await;
        assert_eq!(rig.gate.status().reason, Some(Reason::RefusesEverything));
        assert_eq!((rig.counts().dead, rig.due()), (0, 400), "{concurrency}");
        rig.endpoint.set_batches(|_| at_once(200));
        rig.drain(secs(31)).await;
        assert_eq!(rig.counts().dead, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_to_parts_do_not_count_towards_the_twenty() {
    let setup = Setup { concurrency: 1, ..of(100) };
    let mut rig = Rig::of_batches(setup, |_| at_once(400));
    rig.update_all(0..100, "a").await;
    rig.drain(secs(10)).await;
    assert_eq!(rig.counts().dead, 100);
    assert_eq!(rig.gate.status().state, GateState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_not_halved_any_further_once_the_gate_is_closed() {
    let mut rig =
        Rig::of_batches(of(16), |calls| at_once(if calls.len() == 4 { 403 } else { 400 }));
    rig.update_all(0..16, "a").await;
    rig.endpoint.reached(16 + 8 + 4).await;
    sleep(millis(100)).await;
    assert_eq!(rig.endpoint.requests(), 3);
    assert_eq!((rig.due(), rig.counts().in_flight), (16, 0));
    rig.endpoint.set_batches(|_| at_once(200));
    rig.drain(secs(31)).await;
    assert_eq!(rig.counts().dead, 0);
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_gives_all_parts_back_at_once() {
    let setup = Setup { rate: Some(1), ..of(16) };
    let rig = Rig::of_batches(setup, |_| at_once(400));
    rig.update_all(0..16, "a").await;
    // The first three parts have had their slots, and the fourth waits for its own.
    sleep(millis(2_500)).await;
    assert_eq!(rig.counts().in_flight, 16);
    rig.gate.pause();
    sleep(millis(1_000)).await;
    assert_eq!((rig.due(), rig.counts().in_flight), (16, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_the_parts() {
    let mut rig = Rig::of_batches(of(16), |_| after(secs(1), 400));
    rig.update_all(0..16, "a").await;
    sleep(millis(1_500)).await;
    rig.order(Phase::Stop);
    rig.ended(secs(1)).await;
    assert_eq!(rig.endpoint.requests(), 2);
    assert_eq!((rig.due(), rig.counts().in_flight), (16, 0));
}

/// Takes no more than 10 profiles at once.
fn small(calls: &[Call]) -> Reply {
    at_once(if calls.len() > 10 { 413 } else { 200 })
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_is_sent_in_halves_and_the_next_batches_are_smaller() {
    let setup = Setup { concurrency: 1, ..of(64) };
    let mut rig = Rig::of_batches(setup, small);
    rig.update_together(0..1000, "a").await;
    rig.drain(secs(1)).await;
    assert_eq!((rig.counts().dead, rig.due()), (0, 0));
    let refused = rig.endpoint.batches().iter().filter(|ids| ids.len() > 10).count();
    let sent = rig.endpoint.requests();
    assert!(refused < 10, "{refused} of {sent} requests were too large");
    assert!(sent < 250, "{sent} requests for 1000 profiles in tens");
}

#[tokio::test(start_paused = true)]
async fn where_the_size_is_at_fault_both_halves_are_sent_whole() {
    let mut rig = Rig::of_batches(of(16), small);
    rig.update_all(0..16, "a").await;
    rig.drain(secs(1)).await;
    assert_eq!(rig.endpoint.batches().iter().map(Vec::len).collect::<Vec<_>>(), [16, 8, 8]);
}

#[tokio::test(start_paused = true)]
async fn the_size_grows_back_once_the_endpoint_takes_more() {
    let setup = Setup { concurrency: 1, max_bytes: 4000, ..of(64) };
    let mut rig = Rig::of_batches(setup, small);
    rig.update_all(0..200, "a").await;
    sleep(secs(1)).await;
    rig.endpoint.set_batches(|_| at_once(200));
    rig.update_together(1_000..20_000, "a").await;
    rig.drain(secs(10)).await;
    let last = rig.endpoint.batches()[rig.endpoint.requests() - 3].len();
    assert!(last > 40, "{last}");
}

#[tokio::test(start_paused = true)]
async fn one_profile_that_is_too_large_is_refused() {
    let mut rig = Rig::of_batches(of(16), |calls| {
        at_once(if calls.iter().any(|call| call.name.len() > 100) { 413 } else { 200 })
    });
    rig.update_all(0..9, "a").await;
    rig.update(9, &"x".repeat(1000)).await;
    rig.drain(secs(1)).await;
    assert_eq!((rig.counts().dead, rig.dead_letter(9).unwrap().status), (1, 413));
    assert_eq!(rig.gate.status().state, GateState::Open);
}
