use super::*;

#[tokio::test(start_paused = true)]
async fn an_opening_lets_the_limit_begin_with_a_few() {
    let gate = new_gate();
    let limit = at_once(16);
    gate.restarts(limit.clone());
    assert_eq!(limit.current(), 16);
    send(&gate, answer(403)).await.unwrap();
    assert_eq!(limit.current(), 16);
    let probe = next_probe(&gate).await;
    send_probe(&gate, probe, answer(200)).await.unwrap();
    assert_eq!(limit.current(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_pause_lets_the_limit_begin_with_a_few() {
    let gate = new_gate();
    let limit = at_once(16);
    gate.restarts(limit.clone());
    gate.resume();
    assert_eq!(limit.current(), 16, "there was no pause");
    gate.pause();
    gate.resume();
    assert_eq!(limit.current(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_change_before_the_wait_is_not_missed() {
    let gate = new_gate();
    let mut waiting = gate.clone();
    let mut other = gate.clone();
    assert!(timeout(secs(1), waiting.changed()).await.is_err());
    gate.pause();
    timeout(secs(1), waiting.changed()).await.unwrap();
    timeout(secs(1), other.changed()).await.unwrap();
    assert!(timeout(secs(1), waiting.changed()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn every_change_is_told_but_deliveries_through_an_open_gate() {
    let mut gate = new_gate();
    let mut told = async |expected: bool, what: &str, change: &dyn Fn(&Gate)| {
        change(&gate);
        let mut seen = gate.clone();
        assert_eq!(timeout(secs(1), seen.changed()).await.is_ok(), expected, "{what}");
        gate = seen;
    };
    told(true, "pause", &Gate::pause).await;
    told(false, "paused already", &Gate::pause).await;
    told(true, "resume", &Gate::resume).await;
    told(true, "close", &|gate| gate.close(Reason::Failing, "x")).await;
    sleep(secs(2)).await;
    // Else an asker that finds no profile to probe with would ask again for ever.
    told(false, "a probe that the asker drops", &|gate| drop(probe(gate))).await;
    told(true, "a probe that a delivery drops", &|gate| drop(Trail::of_probe(probe(gate)))).await;
    let gate = gate;
    let first = probe(&gate);
    send_probe(&gate, first, answer(200)).await.unwrap();
    let mut seen = gate.clone();
    seen.changed().await;
    send(&gate, answer(200)).await.unwrap();
    assert!(timeout(secs(1), seen.changed()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_metrics_show_the_one_state_it_is_in() {
    let mut registry = prometheus_client::registry::Registry::default();
    let metrics = crate::telemetry::Metrics::new(&mut registry);
    let gate = Gate::new(secs(300), metrics.component("acme", "sink", "profile_http"));
    let current = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let lines =
            text.lines().filter(|l| l.starts_with("profile_http_gate{") && l.ends_with(" 1"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let shows = |state: &str, reason: &str| {
        let lines = current();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(&format!("state=\"{state}\"")), "{lines:?}");
        assert!(lines[0].contains(&format!("reason=\"{reason}\"")), "{lines:?}");
    };
    shows("open", "none");
    send(&gate, answer(403)).await.unwrap();
    shows("closed", "endpoint");
    let probe = next_probe(&gate).await;
    shows("probing", "endpoint");
    send_probe(&gate, probe, answer(200)).await.unwrap();
    shows("open", "none");
    // A probe fails while an answer to an older request asks to wait for longer than it would.
    let straggler = Script::new([(secs(2), answer_with(429, &[(RETRY_AFTER, "60")]))]);
    let straggler = tokio::spawn(behind(&gate, &straggler).oneshot(request()));
    tokio::task::yield_now().await;
    send(&gate, answer(403)).await.unwrap();
    let probe = next_probe(&gate).await;
    let slow = behind(&gate, &Script::new([(secs(3), answer(403))]));
    slow.oneshot(request_with(&Trail::of_probe(probe))).await.unwrap();
    straggler.await.unwrap().unwrap();
    shows("closed", "retry_after");
}
