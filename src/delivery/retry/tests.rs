use std::{sync::Arc, time::Duration};

use http::header::{DATE, RETRY_AFTER};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use super::{Budget, Retry, RetryLayer};
use crate::{
    delivery::{
        Admission, AttemptError, BackoffSettings, Classes, Gate, Reason, Trail,
        concurrency::ConcurrencyLayer,
        test_support::{
            Outcome, Script, answer, answer_with, at_once, millis, request, request_with, secs,
            status,
        },
    },
    telemetry::Component,
};

const SETTINGS: BackoffSettings = BackoffSettings {
    attempts: 3,
    initial: Duration::from_millis(200),
    max_duration: Duration::from_secs(10),
};

fn layer(settings: BackoffSettings) -> RetryLayer {
    RetryLayer::new(settings, Classes::default(), Component::detached())
}

fn retrying(script: &Script) -> Retry<Script> {
    layer(SETTINGS).layer(script.clone())
}

fn unreachable() -> Outcome {
    Err(AttemptError::Connect("refused".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn what_may_succeed_later_is_repeated_until_it_does() {
    let timeout = Err(AttemptError::Timeout(secs(1)));
    let script = Script::of([answer(503), unreachable(), timeout, answer(200)]);
    assert_eq!(status(&retrying(&script).oneshot(request()).await), 200);
    assert_eq!(script.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_last_result_stands_when_the_repetitions_are_used_up() {
    let script = Script::of([answer(500), answer(500), answer(500), answer(504), answer(200)]);
    assert_eq!(status(&retrying(&script).oneshot(request()).await), 504);
    assert_eq!(script.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn only_the_class_later_is_repeated() {
    for code in [200, 308, 401, 404, 409, 422] {
        let script = Script::of([answer(code)]);
        assert_eq!(status(&retrying(&script).oneshot(request()).await), code);
        assert_eq!(script.calls(), 1, "{code}");
    }
    for error in [AttemptError::Tls(String::new()), AttemptError::GateClosed] {
        let script = Script::of([Err(error)]);
        assert!(retrying(&script).oneshot(request()).await.is_err());
        assert_eq!(script.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_closes_meanwhile_ends_the_repetitions() {
    let script = Script::of([answer(503), Err(AttemptError::GateClosed)]);
    let result = retrying(&script).oneshot(request()).await;
    assert!(matches!(result, Err(AttemptError::GateClosed)));
    assert_eq!(script.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_a_single_attempt() {
    let gate = Gate::new(secs(300), Component::detached());
    gate.close(Reason::Failing, "for the test");
    sleep(secs(1)).await;
    let Admission::Probe(probe) = gate.ask() else { panic!("a probe is due") };
    let script = Script::of([answer(503)]);
    let result = retrying(&script).oneshot(request_with(&Trail::of_probe(probe))).await;
    assert_eq!(status(&result), 503);
    assert_eq!(script.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn pauses_have_full_jitter_and_their_bound_doubles() {
    let mut longest = [Duration::ZERO; 3];
    let mut shortest = [Duration::MAX; 3];
    for _ in 0..300 {
        let script = Script::of([unreachable(), unreachable(), unreachable()]);
        retrying(&script).oneshot(request()).await.unwrap();
        for (n, pair) in script.times().windows(2).enumerate() {
            let pause = pair[1] - pair[0];
            longest[n] = longest[n].max(pause);
            shortest[n] = shortest[n].min(pause);
        }
    }
    for (n, bound) in [200, 400, 800].map(millis).into_iter().enumerate() {
        // A timer may wake a millisecond late.
        assert!(longest[n] <= bound + millis(1), "{n}: {longest:?}");
        assert!(longest[n] > bound * 9 / 10, "{n}: {longest:?}");
        assert!(shortest[n] < bound / 10, "{n}: {shortest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_repetition_begins_after_max_duration() {
    let settings = BackoffSettings { attempts: 1000, initial: secs(4), max_duration: secs(10) };
    for _ in 0..20 {
        let script = Script::new((0..1000).map(|_| (millis(900), answer(503))));
        let started = Instant::now();
        let service = layer(settings).layer(script.clone());
        assert_eq!(status(&service.oneshot(request()).await), 503);
        assert!(script.times().iter().all(|at| *at - started <= secs(10)));
        assert!(script.calls() > 2, "{}", script.calls());
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_permit_ends_with_max_duration_and_the_last_result_stands() {
    let script = Script::new([(secs(1), answer(503)), (secs(60), answer(200))]);
    let limited = ConcurrencyLayer::new(at_once(1)).layer(script.clone());
    let service = layer(SETTINGS).layer(limited.clone());
    let delivery = tokio::spawn(service.oneshot(request()));
    tokio::task::yield_now().await;
    // This one is next in line for the permit and keeps it for a minute.
    let started = Instant::now();
    let other = tokio::spawn(limited.oneshot(request()));
    assert_eq!(status(&delivery.await.unwrap()), 503);
    assert_eq!(started.elapsed(), secs(10));
    other.abort();
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for() {
    let script = Script::of([answer_with(429, &[(RETRY_AFTER, "1.5")])]);
    let started = Instant::now();
    assert_eq!(status(&retrying(&script).oneshot(request()).await), 200);
    assert!((secs(2)..=millis(2201)).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_max_duration_ends_the_delivery_at_once() {
    let date = "Fri, 31 Dec 1999 23:00:00 GMT";
    for (value, date) in [("11", date), ("Fri, 31 Dec 1999 23:01:00 GMT", date)] {
        let script = Script::of([answer_with(503, &[(RETRY_AFTER, value), (DATE, date)])]);
        let started = Instant::now();
        assert_eq!(status(&retrying(&script).oneshot(request()).await), 503);
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert_eq!(script.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn each_repetition_sends_the_same_request() {
    let script = Script::of([answer(503)]);
    let mut request = request();
    request.headers_mut().insert("x-a", "1".parse().unwrap());
    retrying(&script).oneshot(request).await.unwrap();
    let last = script.last_request();
    assert_eq!(last.headers()["x-a"], "1");
    assert_eq!(last.body(), "{}");
    assert_eq!(last.uri(), "http://endpoint.example/profiles");
}

#[tokio::test(start_paused = true)]
async fn repetitions_are_counted() {
    let component = Component::detached();
    let layer = RetryLayer::new(SETTINGS, Classes::default(), Arc::clone(&component));
    layer.layer(Script::of([answer(503), answer(503)])).oneshot(request()).await.unwrap();
    assert_eq!(component.retries.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_for_long_is_spared_the_repetitions() {
    let script = Script::of((0..5000).map(|_| answer(503)));
    let mut service = retrying(&script);
    for _ in 0..1000 {
        service.ready().await.unwrap().call(request()).await.unwrap();
    }
    assert_eq!(script.calls(), 1000 + 50);
}

#[tokio::test(start_paused = true)]
async fn repetitions_are_at_most_a_fifth_of_what_succeeds() {
    // Each delivery fails once before it succeeds.
    let script = Script::of((0..4000).map(|n| answer(if n % 2 == 0 { 503 } else { 200 })));
    let component = Component::detached();
    let layer = RetryLayer::new(SETTINGS, Classes::default(), Arc::clone(&component));
    let mut service = ServiceBuilder::new().layer(layer).service(script);
    let mut delivered = 0;
    for _ in 0..1000 {
        let result = service.ready().await.unwrap().call(request()).await;
        delivered += u64::from(status(&result) == 200);
    }
    assert!(component.retries.get() <= delivered / 5 + 50, "{}", component.retries.get());
}

#[test]
fn the_reserve_does_not_grow_in_good_times() {
    let budget = Budget::default();
    for _ in 0..10_000 {
        budget.deposit();
    }
    assert_eq!((0..1000).filter(|_| budget.withdraw()).count(), 50);
    for _ in 0..4 {
        budget.deposit();
    }
    assert!(!budget.withdraw());
    budget.deposit();
    assert!(budget.withdraw());
}
