use super::*;

#[tokio::test(start_paused = true)]
async fn exactly_one_probe_is_let_through_at_a_time() {
    let gate = new_gate();
    send(&gate, answer(403)).await.unwrap();
    assert_eq!(closed_for(&gate), Some(secs(1)));
    let probe = next_probe(&gate).await;
    assert_eq!(gate.status().state, GateState::Probing);
    // Until it has ended there is no time to wait for.
    assert_eq!(closed_for(&gate), None);
    sleep(secs(60)).await;
    assert_eq!(closed_for(&gate), None);
    assert!(matches!(send(&gate, answer(200)).await, Err(AttemptError::GateClosed)));
    assert_eq!(status(&send_probe(&gate, probe, answer(200)).await), 200);
    assert!(is_open(&gate));
}

#[tokio::test(start_paused = true)]
async fn probes_follow_after_one_second_doubling_to_thirty() {
    let gate = new_gate();
    send(&gate, answer(503)).await.unwrap();
    send(&gate, answer(404)).await.unwrap();
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        assert_eq!(closed_for(&gate), Some(secs(seconds)));
        let probe = next_probe(&gate).await;
        let _ = send_probe(&gate, probe, interrupted()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_interval_begins_anew_with_each_closing() {
    let gate = new_gate();
    send(&gate, answer(404)).await.unwrap();
    for outcome in [answer(404), answer(404), answer(200)] {
        let probe = next_probe(&gate).await;
        send_probe(&gate, probe, outcome).await.unwrap();
    }
    send(&gate, answer(404)).await.unwrap();
    assert_eq!(closed_for(&gate), Some(secs(1)));
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_tells_the_reason_of_now() {
    let gate = new_gate();
    for _ in 0..10 {
        let _ = send(&gate, interrupted()).await;
    }
    let probe = next_probe(&gate).await;
    send_probe(&gate, probe, answer(401)).await.unwrap();
    assert_eq!(gate.status().reason, Some(Reason::Endpoint(StatusCode::UNAUTHORIZED)));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_told_to_wait_waits() {
    let gate = new_gate();
    send(&gate, answer(403)).await.unwrap();
    let probe = next_probe(&gate).await;
    send_probe(&gate, probe, answer_with(429, &[(RETRY_AFTER, "42")])).await.unwrap();
    assert_eq!(closed_for(&gate), Some(secs(42)));
    assert_eq!(gate.status().reason, Some(Reason::RetryAfter));
}

#[tokio::test(start_paused = true)]
async fn a_refused_probe_neither_opens_the_gate_nor_lengthens_the_wait() {
    let gate = new_gate();
    send(&gate, answer(403)).await.unwrap();
    for _ in 0..5 {
        assert_eq!(closed_for(&gate), Some(secs(1)));
        let probe = next_probe(&gate).await;
        send_probe(&gate, probe, answer(422)).await.unwrap();
    }
    assert_eq!(gate.status().reason, Some(Reason::RefusesEverything));
}

#[tokio::test(start_paused = true)]
async fn only_a_probes_delivery_opens_the_gate() {
    let gate = new_gate();
    let slow = Script::new([(secs(10), answer(200))]);
    let straggler = tokio::spawn(behind(&gate, &slow).oneshot(request()));
    tokio::task::yield_now().await;
    send(&gate, answer(403)).await.unwrap();
    assert_eq!(status(&straggler.await.unwrap()), 200);
    assert_eq!(gate.status().state, GateState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_not_sent_is_given_back() {
    let gate = new_gate();
    send(&gate, answer(403)).await.unwrap();
    drop(next_probe(&gate).await);
    // With a trail, when the delivery's last handle goes.
    let trail = Trail::of_probe(probe(&gate));
    let copy = trail.clone();
    drop(trail);
    assert_eq!(closed_for(&gate), None);
    drop(copy);
    drop(probe(&gate));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_earlier_probe_does_not_give_back_a_later_one() {
    let gate = new_gate();
    send(&gate, answer(403)).await.unwrap();
    let trail = Trail::of_probe(next_probe(&gate).await);
    let service = behind(&gate, &Script::of([answer(403)]));
    service.oneshot(request_with(&trail)).await.unwrap();
    let _second = next_probe(&gate).await;
    drop(trail);
    assert_eq!(closed_for(&gate), None);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_after_it_was_sent_has_failed() {
    let gate = new_gate();
    send(&gate, answer(403)).await.unwrap();
    let probe = next_probe(&gate).await;
    let slow = Script::new([(secs(60), answer(200))]);
    let attempt = behind(&gate, &slow).oneshot(request_with(&Trail::of_probe(probe)));
    assert!(timeout(secs(5), attempt).await.is_err());
    assert_eq!(closed_for(&gate), Some(secs(2)));
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_wait_that_comes_meanwhile_outlasts_a_delivered_probe() {
    let gate = new_gate();
    let slow = Script::new([(secs(5), answer_with(503, &[(RETRY_AFTER, "60")]))]);
    let straggler = tokio::spawn(behind(&gate, &slow).oneshot(request()));
    tokio::task::yield_now().await;
    send(&gate, answer(403)).await.unwrap();
    let probe = next_probe(&gate).await;
    let slow = Script::new([(secs(9), answer(200))]);
    let probing = tokio::spawn(behind(&gate, &slow).oneshot(request_with(&Trail::of_probe(probe))));
    straggler.await.unwrap().unwrap();
    assert_eq!(status(&probing.await.unwrap()), 200);
    assert_eq!(closed_for(&gate), Some(secs(55)));
    let probe = next_probe(&gate).await;
    send_probe(&gate, probe, answer(200)).await.unwrap();
    assert!(is_open(&gate));
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_not_sent_when_the_endpoint_asks_to_wait_before_it_is() {
    let gate = new_gate();
    let slow = Script::new([(secs(2), answer_with(503, &[(RETRY_AFTER, "60")]))]);
    let straggler = tokio::spawn(behind(&gate, &slow).oneshot(request()));
    tokio::task::yield_now().await;
    send(&gate, answer(403)).await.unwrap();
    let probe = next_probe(&gate).await;
    straggler.await.unwrap().unwrap();
    let result = send_probe(&gate, probe, answer(200)).await;
    assert!(matches!(result, Err(AttemptError::GateClosed)));
    assert_eq!(closed_for(&gate), Some(secs(60)));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_in_flight_when_it_was_paused_does_not_end_the_pause() {
    let gate = new_gate();
    send(&gate, answer(403)).await.unwrap();
    let probe = next_probe(&gate).await;
    let slow = Script::new([(secs(9), answer(200))]);
    let probing = tokio::spawn(behind(&gate, &slow).oneshot(request_with(&Trail::of_probe(probe))));
    tokio::task::yield_now().await;
    gate.pause();
    probing.await.unwrap().unwrap();
    assert_eq!(closed_for(&gate), None);
    gate.resume();
    assert!(is_open(&gate));
}

#[tokio::test(start_paused = true)]
async fn the_first_profile_after_an_empty_queue_probes_at_once() {
    let gate = new_gate();
    send(&gate, answer(403)).await.unwrap();
    gate.profile_due_after_empty();
    let probe = probe(&gate);
    send_probe(&gate, probe, answer(403)).await.unwrap();
    assert_eq!(closed_for(&gate), Some(secs(2)));
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_wait_holds_for_the_first_profile_after_an_empty_queue_too() {
    let gate = new_gate();
    send(&gate, answer_with(503, &[(RETRY_AFTER, "60")])).await.unwrap();
    gate.profile_due_after_empty();
    assert_eq!(closed_for(&gate), Some(secs(60)));
}

#[tokio::test(start_paused = true)]
async fn probes_of_one_closing_have_the_same_number() {
    let gate = new_gate();
    send(&gate, answer(403)).await.unwrap();
    let first = next_probe(&gate).await;
    let closure = first.closure();
    send_probe(&gate, first, answer(403)).await.unwrap();
    let second = next_probe(&gate).await;
    assert_eq!(second.closure(), closure);
    send_probe(&gate, second, answer(200)).await.unwrap();
    send(&gate, answer(403)).await.unwrap();
    assert_ne!(next_probe(&gate).await.closure(), closure);
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_good_for_one_attempt() {
    let gate = new_gate();
    send(&gate, answer(403)).await.unwrap();
    let trail = Trail::of_probe(next_probe(&gate).await);
    let script = Script::of([answer(403)]);
    let service = behind(&gate, &script);
    service.clone().oneshot(request_with(&trail)).await.unwrap();
    let _second = next_probe(&gate).await;
    let result = service.oneshot(request_with(&trail)).await;
    assert!(matches!(result, Err(AttemptError::GateClosed)));
    assert_eq!(script.calls(), 1);
}
