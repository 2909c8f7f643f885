use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use super::{ConcurrencyLayer, ConcurrencyLimit, Ended};
use crate::{
    delivery::{
        BackoffSettings, Classes, ConcurrencySettings, RateLimitSettings, RateLimiter,
        attempt::AttemptLayer,
        rate_limit::RateLimitLayer,
        retry::RetryLayer,
        test_support::{Script, answer, at_once, millis, request, secs, status},
        timeout::TimeoutLayer,
    },
    telemetry::Component,
};

#[tokio::test(start_paused = true)]
async fn no_more_attempts_than_permits_are_under_way() {
    let script = Script::new((0..10).map(|_| (secs(1), answer(200))));
    let service = ConcurrencyLayer::new(at_once(3)).layer(script.clone());
    let started = Instant::now();
    join_all((0..10).map(|_| service.clone().oneshot(request()))).await;
    assert_eq!(script.most(), 3);
    assert_eq!(started.elapsed(), secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_gives_up_takes_no_permit_with_it() {
    let script = Script::new([(secs(5), answer(200))]);
    let service = ConcurrencyLayer::new(at_once(1)).layer(script);
    let first = tokio::spawn(service.clone().oneshot(request()));
    tokio::task::yield_now().await;
    for _ in 0..3 {
        assert!(timeout(secs(1), service.clone().oneshot(request())).await.is_err());
    }
    first.await.unwrap().unwrap();
    assert_eq!(status(&timeout(millis(1), service.oneshot(request())).await.unwrap()), 200);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_dropped_frees_its_permit() {
    let script = Script::new([(secs(60), answer(200))]);
    let service = ConcurrencyLayer::new(at_once(1)).layer(script);
    assert!(timeout(secs(1), service.clone().oneshot(request())).await.is_err());
    assert_eq!(status(&timeout(millis(1), service.oneshot(request())).await.unwrap()), 200);
}

#[tokio::test(start_paused = true)]
async fn a_result_frees_the_permit_though_its_future_is_kept() {
    let service = ConcurrencyLayer::new(at_once(1)).layer(Script::default());
    let mut first = service.clone();
    let mut attempt = std::pin::pin!(first.ready().await.unwrap().call(request()));
    attempt.as_mut().await.unwrap();
    timeout(millis(1), service.oneshot(request())).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_permit_is_free_during_the_pause_before_a_repetition() {
    let backoff = BackoffSettings { attempts: 1, initial: secs(9), max_duration: secs(10) };
    let script = Script::of([answer_asking_to_wait(), answer(200), answer(201)]);
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(backoff, Classes::default(), Component::detached()))
        .layer(ConcurrencyLayer::new(at_once(1)))
        .service(script);
    let first = tokio::spawn(service.clone().oneshot(request()));
    tokio::task::yield_now().await;
    let second = timeout(millis(1), service.oneshot(request())).await;
    assert_eq!(status(&second.unwrap()), 200);
    assert_eq!(status(&first.await.unwrap()), 201);
}

fn answer_asking_to_wait() -> crate::delivery::test_support::Outcome {
    crate::delivery::test_support::answer_with(503, &[(http::header::RETRY_AFTER, "1")])
}

fn adaptive(max: usize) -> (ConcurrencyLimit, Arc<Component>) {
    let component = Component::detached();
    (ConcurrencyLimit::new(ConcurrencySettings::Adaptive { max }, &component), component)
}

/// `count` attempts at once, each of which takes `time` and ends like this.
async fn together(limit: &ConcurrencyLimit, count: usize, time: Duration, ended: Ended) {
    let began: Vec<_> = (0..count).map(|_| limit.begin()).collect();
    sleep(time).await;
    for began in began {
        limit.end(began, ended);
    }
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_begins_with_four_and_doubles_with_each_round() {
    let (limit, component) = adaptive(200);
    let mut limits = Vec::new();
    for _ in 0..7 {
        limits.push(limit.current());
        together(&limit, limit.current(), millis(100), Ended::Delivered).await;
    }
    assert_eq!(limits, [4, 8, 16, 32, 64, 128, 200]);
    assert_eq!(component.concurrency_limit.get(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_not_used_does_not_grow() {
    let (limit, _) = adaptive(200);
    for _ in 0..100 {
        together(&limit, 1, millis(100), Ended::Delivered).await;
    }
    assert_eq!(limit.current(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_push_back_ends_the_doubling_and_counts_once() {
    let (limit, _) = adaptive(200);
    together(&limit, 4, millis(100), Ended::Delivered).await;
    together(&limit, 8, millis(100), Ended::Delivered).await;
    assert_eq!(limit.current(), 16);
    together(&limit, 16, millis(100), Ended::PushedBack).await;
    assert_eq!(limit.current(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_slower_endpoint_lowers_the_limit_by_a_tenth() {
    let (limit, _) = adaptive(100);
    for _ in 0..20 {
        together(&limit, limit.current(), millis(100), Ended::Delivered).await;
    }
    assert_eq!(limit.current(), 100);
    together(&limit, 100, millis(150), Ended::Delivered).await;
    together(&limit, 100, millis(150), Ended::Delivered).await;
    assert_eq!(limit.current(), 90);
}

#[tokio::test(start_paused = true)]
async fn what_tells_nothing_changes_nothing() {
    let (limit, component) = adaptive(200);
    together(&limit, 4, millis(100), Ended::Unclear).await;
    assert_eq!((limit.current(), component.concurrency_in_flight.get()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_is_shown() {
    let (limit, component) = adaptive(200);
    let began = limit.begin();
    assert_eq!(component.concurrency_in_flight.get(), 1);
    limit.end(began, Ended::Answered);
    assert_eq!(component.concurrency_in_flight.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn failures_that_a_lower_limit_does_not_help_are_borne() {
    let (limit, _) = adaptive(50);
    for round in 0..200 {
        let count = limit.current();
        let began: Vec<_> = (0..count).map(|_| limit.begin()).collect();
        sleep(millis(100)).await;
        for (n, began) in began.into_iter().enumerate() {
            // One in twenty, wherever the limit is.
            let fails = (round * 7 + n) % 20 == 0;
            limit.end(began, if fails { Ended::PushedBack } else { Ended::Delivered });
        }
    }
    assert!(limit.current() >= 40, "{}", limit.current());
}

#[tokio::test(start_paused = true)]
async fn a_limit_below_what_is_in_flight_lets_nothing_begin_until_enough_has_ended() {
    let limit = at_once(16);
    let script = Script::new((0..32).map(|n| (millis(100 * (n + 1)), answer(200))));
    let service = ConcurrencyLayer::new(limit.clone()).layer(script.clone());
    let mut attempts: Vec<_> =
        (0..32).map(|_| tokio::spawn(service.clone().oneshot(request()))).collect();
    tokio::task::yield_now().await;
    assert_eq!(script.running(), 16);
    limit.restart();
    assert_eq!(limit.current(), 4);
    // As long as twelve of the sixteen have not ended, none takes their place.
    for n in 1..=16_usize {
        sleep(millis(100)).await;
        tokio::task::yield_now().await;
        assert_eq!(script.calls(), 16 + n.saturating_sub(12), "after {n}");
    }
    attempts.drain(..).for_each(|attempt| attempt.abort());
}

#[tokio::test(start_paused = true)]
async fn a_fixed_limit_that_began_anew_grows_back_by_one_with_each_delivery() {
    let limit = at_once(12);
    limit.restart();
    together(&limit, 4, millis(100), Ended::Answered).await;
    assert_eq!(limit.current(), 4);
    together(&limit, 4, millis(100), Ended::Delivered).await;
    assert_eq!(limit.current(), 8);
    together(&limit, 8, millis(100), Ended::PushedBack).await;
    assert_eq!(limit.current(), 8);
    together(&limit, 8, millis(100), Ended::Delivered).await;
    assert_eq!(limit.current(), 12);
    together(&limit, 12, millis(100), Ended::Delivered).await;
    assert_eq!(limit.current(), 12);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_slot_is_not_the_endpoints_time() {
    let (limit, _) = adaptive(200);
    let one = 1.try_into().unwrap();
    let slow = RateLimitSettings { num: one, per: secs(1), burst: one };
    let attempt = AttemptLayer::new(Component::detached());
    let service = ServiceBuilder::new()
        .layer(ConcurrencyLayer::new(limit.clone()))
        .layer(RateLimitLayer::new(RateLimiter::new(slow)))
        .layer(attempt.reporting_to(limit.clone(), Classes::default()))
        .service(Script::new((0..40).map(|_| (millis(100), answer(200)))));
    join_all((0..40).map(|_| service.clone().oneshot(request()))).await;
    // One was on the wire at a time, so the limit was not what held them.
    assert_eq!(limit.current(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_times_out_is_a_push_back() {
    let (limit, _) = adaptive(200);
    let attempt = AttemptLayer::new(Component::detached());
    let service = ServiceBuilder::new()
        .layer(ConcurrencyLayer::new(limit.clone()))
        .layer(TimeoutLayer::new(secs(1)))
        .layer(attempt.reporting_to(limit.clone(), Classes::default()))
        .service(Script::new((0..4).map(|_| (secs(60), answer(200)))));
    join_all((0..4).map(|_| service.clone().oneshot(request()))).await;
    assert_eq!(limit.current(), 2);
}
