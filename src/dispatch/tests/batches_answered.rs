//! Answers that say something about each profile of a request.

use super::*;

fn of(max_profiles: usize) -> Setup {
    Setup { max_profiles, ..Setup::default() }
}

fn each(calls: &[Call], status: impl Fn(u32) -> u16) -> Reply {
    statuses(&calls.iter().map(|call| status(call.id)).collect::<Vec<_>>())
}

#[tokio::test(start_paused = true)]
async fn a_partial_failure_costs_only_the_profiles_at_fault() {
    let mut rig = Rig::of_batches(of(10), |calls| {
        each(calls, |id| match id {
            3 => 422,
            4 => 404,
            5 => 401,
            _ => 201,
        })
    });
    rig.update_all(0..20, "a").await;
    rig.drain(secs(1)).await;
    assert_eq!(rig.endpoint.requests(), 2, "nothing is sent again");
    assert_eq!((rig.counts().dead, rig.due()), (3, 0));
    let letter = rig.dead_letter(3).unwrap();
    assert_eq!((letter.status, &letter.answer[..]), (422, &b"422"[..]));
    assert!(letter.reason.contains("422") && letter.reason.contains("207"), "{}", letter.reason);
    assert_eq!(rig.gate.status().state, GateState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_may_succeed_later_waits_alone() {
    let rig = Rig::of_batches(of(10), |calls| each(calls, |id| if id < 3 { 503 } else { 200 }));
    rig.update_all(0..10, "a").await;
    rig.endpoint.reached(10).await;
    sleep(millis(1)).await;
    assert_eq!((rig.due(), rig.counts().ready), (3, 0));
    rig.endpoint.set_batches(|calls| each(calls, |_| 200));
    sleep(secs(2)).await;
    assert_eq!(rig.due(), 0);
    assert_eq!(rig.endpoint.calls().len(), 13);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_another_length_confirms_nothing_and_closes_the_gate() {
    let mut rig = Rig::of_batches(of(10), |_| statuses(&[200; 9]));
    rig.update_all(0..10, "a").await;
    sleep(secs(60)).await;
    let status = rig.gate.status();
    assert_eq!(status.reason.map(Reason::name), Some("endpoint"));
    let message = status.message.unwrap();
    assert!(message.contains("1 results was expected in it, found 9"), "{message}");
    assert_eq!((rig.due(), rig.counts().dead), (10, 0));
    // As any fault of the endpoint: probes are 1, 2, 4, 8, 16, 30 seconds apart.
    assert!(rig.endpoint.requests() < 8, "{}", rig.endpoint.requests());
    rig.endpoint.set_batches(|calls| each(calls, |_| 200));
    rig.drain(secs(31)).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_attributed_may_have_been_taken() {
    let setup = Setup { segment: true, ..of(10) };
    let mut rig = Rig::of_batches(setup, |_| statuses(&[]));
    rig.update_all(0..10, "a").await;
    rig.endpoint.reached(10).await;
    sleep(millis(10)).await;
    for id in 0..10 {
        rig.leave(id, "a").await;
    }
    rig.endpoint.set_batches(|calls| each(calls, |_| 200));
    rig.drain(secs(31)).await;
    for id in 0..10 {
        assert!(!says_member(rig.endpoint.calls_of(id).last().unwrap()), "{id} is seen off");
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_list_is_expected_any_success_must_have_it() {
    let setup = Setup { results: true, ..of(10) };
    let mut rig = Rig::of_batches(setup, |_| at_once(200));
    rig.update_all(0..10, "a").await;
    rig.endpoint.reached(10).await;
    sleep(millis(10)).await;
    assert!(rig.gate.status().message.unwrap().contains("/results"));
    rig.endpoint.set_batches(|calls| {
        let mut answer = http::Response::new(Vec::new());
        *answer.body_mut() = format!(r#"{{"results":{:?}}}"#, vec![200; calls.len()]).into();
        (Duration::ZERO, Ok(answer.map(Into::into)))
    });
    rig.drain(secs(31)).await;
    assert_eq!(rig.counts().dead, 0);
}

#[tokio::test(start_paused = true)]
async fn twenty_answers_that_refuse_each_profile_close_the_gate() {
    let setup = Setup { concurrency: 1, ..of(10) };
    let rig = Rig::of_batches(setup, |calls| each(calls, |_| 422));
    rig.update_all(0..300, "a").await;
    sleep(millis(500)).await;
    assert_eq!(rig.endpoint.requests(), 20);
    assert_eq!(rig.gate.status().reason, Some(Reason::RefusesEverything));
    assert_eq!((rig.counts().dead, rig.due()), (0, 300));
}
