use super::*;

fn closed_for(rig: &Rig) -> Option<Duration> {
    rig.gate.status().until.map(|until| until - Instant::now())
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_the_endpoint_counts_against_no_profile() {
    let rig = Rig::start(Setup::default(), |_| at_once(403));
    rig.update_all(0..20, "a").await;
    rig.endpoint.reached(1).await;
    sleep(millis(500)).await;
    assert!(rig.endpoint.count() <= 4, "what was not in flight is not sent");
    assert_eq!((rig.due(), rig.counts().in_flight), (20, 0));
    rig.endpoint.set(|_| at_once(200));
    sleep(millis(600)).await;
    assert_eq!(rig.due(), 0, "all that was due goes on at once, without a delay of its own");
    assert!((0..20).all(|id| rig.dead_letter(id).is_none()));
}

#[tokio::test(start_paused = true)]
async fn ten_failures_in_a_row_close_the_gate() {
    let setup = Setup { concurrency: 1, ..Setup::default() };
    let rig = Rig::start(setup, |_| at_once(503));
    rig.update_all(0..30, "a").await;
    sleep(millis(900)).await;
    assert_eq!(rig.endpoint.count(), 10);
    assert_eq!(rig.gate.status().reason, Some(Reason::Failing));
    assert_eq!(rig.due(), 30);
}

#[tokio::test(start_paused = true)]
async fn failures_with_a_delivery_between_do_not_close_the_gate() {
    let setup = Setup { concurrency: 1, ..Setup::default() };
    let rig = Rig::start(setup, |call| at_once(if call.id % 10 == 9 { 200 } else { 503 }));
    rig.update_all(0..30, "a").await;
    rig.endpoint.reached(30).await;
    assert_eq!(rig.gate.status().state, GateState::Open);
}

fn wait(seconds: &str) -> Reply {
    (Duration::ZERO, answer_with(429, &[(RETRY_AFTER, seconds)]))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_time_that_retry_after_names() {
    let setup = Setup { concurrency: 1, ..Setup::default() };
    let rig = Rig::start(setup, |_| wait("60"));
    rig.update_all(0..10, "a").await;
    rig.endpoint.reached(1).await;
    rig.endpoint.set(|_| at_once(200));
    for arrival in 10..60 {
        sleep(secs(1)).await;
        rig.update(arrival, "a").await;
    }
    assert_eq!((rig.endpoint.count(), rig.due()), (1, 60));
    let probe = rig.endpoint.reached(2).await;
    assert!((secs(60)..millis(60_010)).contains(&probe.at), "{probe:?}");
    // The one that was told to wait may have a delay of its own, of a second at most.
    sleep(secs(1)).await;
    assert_eq!(rig.due(), 0);
}

#[tokio::test(start_paused = true)]
async fn retry_after_holds_for_the_first_profile_after_an_empty_queue() {
    let setup = Setup { segment: true, ..Setup::default() };
    let rig = Rig::start(setup, |_| wait("60"));
    rig.update(1, "a").await;
    rig.endpoint.reached(1).await;
    sleep(millis(1)).await;
    // Nothing is due any more, and then something is.
    rig.leave(1, "a").await;
    sleep(secs(2)).await;
    assert_eq!(rig.due(), 0);
    rig.endpoint.set(|_| at_once(200));
    rig.update(2, "a").await;
    assert!(rig.endpoint.reached(2).await.at >= secs(60));
}

#[tokio::test(start_paused = true)]
async fn of_several_reasons_the_latest_end_holds() {
    let rig = Rig::start(Setup { concurrency: 3, ..Setup::default() }, |call| match call.id {
        0 => after(millis(10), 403),
        1 => (millis(100), answer_with(503, &[(RETRY_AFTER, "20")])),
        _ => (millis(200), answer_with(503, &[(RETRY_AFTER, "5")])),
    });
    rig.update_all(0..3, "a").await;
    rig.endpoint.reached(3).await;
    rig.endpoint.set(|_| at_once(200));
    let probe = rig.endpoint.reached(4).await;
    assert!((millis(20_100)..millis(20_110)).contains(&probe.at), "{probe:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_sends_nothing_until_it_is_resumed() {
    let rig = Rig::start(Setup::default(), |_| at_once(200));
    rig.gate.pause();
    rig.update_all(0..10, "a").await;
    sleep(secs(24 * 3600)).await;
    rig.update(10, "a").await;
    sleep(secs(1)).await;
    assert_eq!((rig.endpoint.count(), rig.due()), (0, 11));
    assert_eq!(closed_for(&rig), None);
    rig.gate.resume();
    sleep(millis(1)).await;
    assert_eq!(rig.due(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_lets_what_is_in_flight_end_and_sends_no_repetition_of_it() {
    let setup = Setup { repetitions: 3, ..Setup::default() };
    let rig = Rig::start(setup, |call| after(secs(1), if call.id == 0 { 200 } else { 503 }));
    rig.update_all(0..2, "a").await;
    rig.endpoint.reached(2).await;
    rig.gate.pause();
    sleep(secs(3600)).await;
    assert_eq!((rig.endpoint.count(), rig.due()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_costs_no_work_while_nothing_happens() {
    type Closes = fn(&Rig);
    let closes: [(&str, Closes); 3] = [
        ("paused", |rig| rig.gate.pause()),
        ("refuses", |rig| rig.gate.close(Reason::RefusesEverything, "all")),
        ("open", |_| {}),
    ];
    for (what, close) in closes {
        let rig = Rig::start(Setup::default(), |_| at_once(403));
        close(&rig);
        sleep(secs(3600)).await;
        assert!(rig.claims() < 10, "{what}: {}", rig.claims());
    }
    // With something due, a probe every 30 seconds.
    let rig = Rig::start(Setup::default(), |_| at_once(403));
    rig.update_all(0..3, "a").await;
    sleep(secs(3600)).await;
    assert!((100..140).contains(&rig.endpoint.count()), "{}", rig.endpoint.count());
    assert!(rig.claims() < 300, "{}", rig.claims());
}

#[tokio::test(start_paused = true)]
async fn deliveries_begin_gently_after_the_gate_has_opened() {
    let setup = Setup { concurrency: 64, ..Setup::default() };
    let rig = Rig::start(setup, |_| after(millis(100), 403));
    rig.update(0, "a").await;
    rig.endpoint.reached(1).await;
    rig.endpoint.set(|_| after(millis(100), 200));
    sleep(millis(200)).await;
    rig.update_all(1..100, "a").await;
    let first = rig.endpoint.reached(3).await.at;
    sleep(millis(50)).await;
    assert_eq!(rig.endpoint.count(), 2 + 4, "a few at first");
    sleep(millis(600)).await;
    assert_eq!(rig.due(), 0, "then more with each answer; the first at {first:?}");
}
