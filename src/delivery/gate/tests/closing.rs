use super::*;

#[tokio::test(start_paused = true)]
async fn an_endpoint_answer_closes_the_gate_and_is_returned() {
    for code in [308, 401, 402, 403, 404, 405, 407, 410, 501] {
        let gate = new_gate();
        assert_eq!(status(&send(&gate, answer(code)).await), code);
        assert_eq!(closed_for(&gate), Some(secs(1)));
        let status = gate.status();
        assert_eq!(status.state, GateState::Closed);
        assert_eq!(status.reason, Some(Reason::Endpoint(StatusCode::from_u16(code).unwrap())));
        assert!(status.message.unwrap().contains(&code.to_string()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_profile_can_help_closes_the_gate() {
    let refused = TokenError::Refused("invalid_client".to_owned());
    for (error, reason) in [
        (AttemptError::Tls("expired".to_owned()), Reason::Tls),
        (AttemptError::Secret("cannot read the secret file".to_owned()), Reason::Secret),
        (AttemptError::Token(refused), Reason::Token),
    ] {
        let gate = new_gate();
        let _ = send(&gate, Err(error)).await;
        assert_eq!(gate.status().reason, Some(reason));
    }
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_is_refused_does_not_close_the_gate() {
    let gate = new_gate();
    for _ in 0..100 {
        send(&gate, answer(422)).await.unwrap();
    }
    assert!(is_open(&gate));
}

#[tokio::test(start_paused = true)]
async fn ten_failures_in_a_row_close_the_gate() {
    let gate = new_gate();
    for _ in 0..9 {
        let _ = send(&gate, interrupted()).await;
    }
    assert!(is_open(&gate));
    send(&gate, answer(503)).await.unwrap();
    assert_eq!(closed_for(&gate), Some(secs(1)));
    let status = gate.status();
    assert_eq!(status.reason, Some(Reason::Failing));
    let message = status.message.unwrap();
    assert!(message.contains("10 attempts in a row") && message.contains("503"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_failure_breaks_the_row() {
    for between in [200, 409] {
        let gate = new_gate();
        for _ in 0..5 {
            for _ in 0..9 {
                send(&gate, answer(500)).await.unwrap();
            }
            send(&gate, answer(between)).await.unwrap();
        }
        assert!(is_open(&gate), "{between}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_given_up_counts_as_failed() {
    let gate = new_gate();
    let script = Script::new((0..10).map(|_| (secs(60), answer(200))));
    for _ in 0..10 {
        let attempt = behind(&gate, &script).oneshot(request());
        assert!(timeout(secs(1), attempt).await.is_err());
    }
    assert_eq!(gate.status().reason, Some(Reason::Failing));
}

async fn closed_by_retry_after(code: u16, headers: &[(HeaderName, &str)]) -> Option<Duration> {
    let gate = new_gate();
    send(&gate, answer_with(code, headers)).await.unwrap();
    if is_open(&gate) { None } else { closed_for(&gate) }
}

#[tokio::test(start_paused = true)]
async fn retry_after_on_429_and_503_closes_the_gate_for_that_long() {
    let date = "Fri, 31 Dec 1999 23:00:00 GMT";
    let later = "Fri, 31 Dec 1999 23:00:20 GMT";
    assert_eq!(closed_by_retry_after(429, &[(RETRY_AFTER, "7")]).await, Some(secs(7)));
    assert_eq!(closed_by_retry_after(503, &[(RETRY_AFTER, "0.5")]).await, Some(secs(1)));
    let dated = [(RETRY_AFTER, later), (DATE, date)];
    assert_eq!(closed_by_retry_after(503, &dated).await, Some(secs(20)));
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_heeded_no_longer_than_configured() {
    assert_eq!(closed_by_retry_after(429, &[(RETRY_AFTER, "86400")]).await, Some(secs(300)));
}

#[tokio::test(start_paused = true)]
async fn retry_after_elsewhere_or_none_does_not_close_the_gate() {
    assert_eq!(closed_by_retry_after(500, &[(RETRY_AFTER, "7")]).await, None);
    assert_eq!(closed_by_retry_after(422, &[(RETRY_AFTER, "7")]).await, None);
    assert_eq!(closed_by_retry_after(429, &[(RETRY_AFTER, "0")]).await, None);
    assert_eq!(closed_by_retry_after(429, &[]).await, None);
}

#[tokio::test(start_paused = true)]
async fn of_several_reasons_the_latest_end_holds() {
    let gate = new_gate();
    let slow = Script::new([(millis(10), answer_with(503, &[(RETRY_AFTER, "60")]))]);
    let slower = Script::new([(millis(20), answer(401))]);
    let one = tokio::spawn(behind(&gate, &slow).oneshot(request()));
    let other = tokio::spawn(behind(&gate, &slower).oneshot(request()));
    tokio::task::yield_now().await;
    // Closes for one second, then for sixty; the next second ends earlier and changes nothing.
    send(&gate, answer(403)).await.unwrap();
    assert_eq!(gate.status().reason, Some(Reason::Endpoint(StatusCode::FORBIDDEN)));
    one.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
    assert_eq!(gate.status().reason, Some(Reason::RetryAfter));
    assert_eq!(closed_for(&gate), Some(millis(59_990)));
}

/// Sends one attempt that is answered after a while, and goes on meanwhile.
async fn straggler(gate: &Gate, after: Duration, outcome: Outcome) -> JoinHandle<Outcome> {
    let attempt = behind(gate, &Script::new([(after, outcome)])).oneshot(request());
    let straggler = tokio::spawn(attempt);
    tokio::task::yield_now().await;
    straggler
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_wait_holds_though_another_reason_comes_after_it() {
    let gate = new_gate();
    let forbidden = straggler(&gate, millis(18_500), answer(403)).await;
    send(&gate, answer_with(503, &[(RETRY_AFTER, "19")])).await.unwrap();
    forbidden.await.unwrap().unwrap();
    assert_eq!(closed_for(&gate), Some(secs(1)));
    gate.profile_due_after_empty();
    assert_eq!(closed_for(&gate), Some(millis(500)));
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_wait_holds_though_the_gate_is_closed_for_longer() {
    let gate = new_gate();
    let asking = straggler(&gate, secs(17), answer_with(503, &[(RETRY_AFTER, "10")])).await;
    send(&gate, answer(403)).await.unwrap();
    for _ in 0..4 {
        let probe = next_probe(&gate).await;
        send_probe(&gate, probe, answer(403)).await.unwrap();
    }
    asking.await.unwrap().unwrap();
    assert_eq!(closed_for(&gate), Some(secs(14)));
    gate.profile_due_after_empty();
    assert_eq!(closed_for(&gate), Some(secs(10)));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_the_gate_is_closed() {
    let gate = new_gate();
    let script = Script::default();
    let mut service = behind(&gate, &script);
    // It waited for permit and slot, became ready, and then the gate closed.
    service.ready().await.unwrap();
    send(&gate, answer(403)).await.unwrap();
    let trail = Trail::default();
    let result = service.call(request_with(&trail)).await;
    assert!(matches!(result, Err(AttemptError::GateClosed)));
    assert_eq!(script.calls(), 0);
    // Nor when a probe is due.
    sleep(secs(2)).await;
    let result = service.ready().await.unwrap().call(request()).await;
    assert!(matches!(result, Err(AttemptError::GateClosed)));
}

#[tokio::test(start_paused = true)]
async fn stragglers_do_not_close_a_gate_that_has_opened_since() {
    let gate = new_gate();
    let slow = Script::new((0..20).map(|n| (secs(10), answer(if n < 19 { 503 } else { 401 }))));
    let service = behind(&gate, &slow);
    let stragglers: Vec<_> =
        (0..20).map(|_| tokio::spawn(service.clone().oneshot(request()))).collect();
    tokio::task::yield_now().await;
    send(&gate, answer(403)).await.unwrap();
    let probe = next_probe(&gate).await;
    send_probe(&gate, probe, answer(200)).await.unwrap();
    for straggler in stragglers {
        straggler.await.unwrap().unwrap();
    }
    assert!(is_open(&gate));
}

#[tokio::test(start_paused = true)]
async fn a_pause_has_no_end_and_no_probes() {
    let gate = new_gate();
    gate.pause();
    assert_eq!(closed_for(&gate), None);
    assert_eq!(gate.status().reason, Some(Reason::Paused));
    assert!(matches!(send(&gate, answer(200)).await, Err(AttemptError::GateClosed)));
    gate.profile_due_after_empty();
    sleep(secs(3600)).await;
    assert_eq!(closed_for(&gate), None);
    gate.resume();
    assert!(is_open(&gate));
}

#[tokio::test(start_paused = true)]
async fn a_pause_outlasts_other_reasons_and_they_outlast_it() {
    let gate = new_gate();
    send(&gate, answer(403)).await.unwrap();
    gate.pause();
    sleep(secs(10)).await;
    assert_eq!(closed_for(&gate), None);
    gate.resume();
    let probe = probe(&gate);
    send_probe(&gate, probe, answer(200)).await.unwrap();
    assert!(is_open(&gate));
}

#[tokio::test(start_paused = true)]
async fn dispatch_can_close_the_gate() {
    let gate = new_gate();
    gate.close(Reason::RefusesEverything, "20 profiles in a row were refused");
    assert_eq!(closed_for(&gate), Some(secs(1)));
    let status = gate.status();
    assert_eq!(status.reason, Some(Reason::RefusesEverything));
    assert_eq!(status.message.as_deref(), Some("20 profiles in a row were refused"));
}

#[tokio::test(start_paused = true)]
async fn answers_are_classed_as_the_operator_says() {
    let classes = Classes { later: vec![404], ..Classes::default() };
    let gate = new_gate();
    let service = GateLayer::new(&gate, classes).layer(Script::of([answer(404)]));
    service.oneshot(request()).await.unwrap();
    assert!(is_open(&gate));
}
