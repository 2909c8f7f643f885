mod learning;

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, advance, sleep, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use super::{RateLimitLayer, RateLimiter};
use crate::{
    delivery::{
        BackoffSettings, Classes, RateLimitSettings,
        concurrency::ConcurrencyLayer,
        retry::RetryLayer,
        test_support::{Script, answer, at_once, millis, request, secs},
    },
    telemetry::Component,
};

fn limiter(num: u32, per: Duration, burst: u32) -> RateLimiter {
    let (num, burst) = (num.try_into().unwrap(), burst.try_into().unwrap());
    RateLimiter::new(RateLimitSettings { num, per, burst })
}

/// When each of `count` requests that come at once is sent, from their coming on.
async fn send_times(limiter: &RateLimiter, count: usize) -> Vec<Duration> {
    let script = Script::default();
    let service = RateLimitLayer::new(limiter.clone()).layer(script.clone());
    let started = Instant::now();
    join_all((0..count).map(|_| service.clone().oneshot(request()))).await;
    script.times().into_iter().map(|at| at - started).collect()
}

#[tokio::test(start_paused = true)]
async fn attempts_are_evenly_spaced() {
    let times = send_times(&limiter(10, secs(1), 1), 5).await;
    assert_eq!(times, [0, 100, 200, 300, 400].map(millis));
}

#[tokio::test(start_paused = true)]
async fn a_burst_goes_at_once_and_is_paid_for_afterwards() {
    let limiter = limiter(10, secs(1), 3);
    assert_eq!(send_times(&limiter, 5).await, [0, 0, 0, 100, 200].map(millis));
    // A long pause saves up no more than the burst.
    sleep(secs(60)).await;
    assert_eq!(send_times(&limiter, 5).await, [0, 0, 0, 100, 200].map(millis));
}

#[tokio::test(start_paused = true)]
async fn a_pause_saves_up_nothing() {
    let limiter = limiter(10, secs(1), 1);
    send_times(&limiter, 1).await;
    sleep(secs(60)).await;
    assert_eq!(send_times(&limiter, 3).await, [0, 100, 200].map(millis));
}

#[tokio::test(start_paused = true)]
async fn every_attempt_pays_repetitions_too() {
    let script = Script::of([answer(503), answer(503)]);
    let backoff = BackoffSettings { attempts: 3, initial: Duration::ZERO, max_duration: secs(60) };
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(backoff, Classes::default(), Component::detached()))
        .layer(RateLimitLayer::new(limiter(1, secs(5), 1)))
        .service(script.clone());
    let started = Instant::now();
    service.oneshot(request()).await.unwrap();
    let times: Vec<_> = script.times().into_iter().map(|at| at - started).collect();
    assert_eq!(times, [0, 5, 10].map(secs));
}

#[tokio::test(start_paused = true)]
async fn many_waiters_are_woken_one_by_one_in_their_order() {
    let limiter = limiter(100, secs(1), 1);
    let order = std::sync::Mutex::new(Vec::new());
    join_all((0..200).map(async |n| {
        limiter.take().await;
        order.lock().unwrap().push((n, Instant::now()));
    }))
    .await;
    let order = order.into_inner().unwrap();
    assert!(order.iter().map(|(n, _)| *n).eq(0..200));
    assert!(order.windows(2).all(|pair| pair[1].1 - pair[0].1 == millis(10)));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_gives_up_costs_nothing() {
    let limiter = limiter(1, secs(10), 1);
    limiter.take().await;
    let started = Instant::now();
    for _ in 0..5 {
        assert!(timeout(secs(1), limiter.take()).await.is_err());
    }
    // Both the first in line and one behind it give up.
    let first = tokio::spawn({
        let limiter = limiter.clone();
        async move { limiter.take().await }
    });
    tokio::task::yield_now().await;
    assert!(timeout(secs(1), limiter.take()).await.is_err());
    first.abort();
    limiter.take().await;
    assert_eq!(started.elapsed(), secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_does_not_overtake_those_who_wait() {
    let limiter = limiter(1, secs(1), 1);
    limiter.take().await;
    let mut waiter = Box::pin(limiter.take());
    assert!(futures_util::poll!(&mut waiter).is_pending());
    // The slot is free, but the waiter has not run yet.
    advance(secs(1)).await;
    assert!(!limiter.try_take());
    waiter.await;
}

#[tokio::test(start_paused = true)]
async fn all_clones_keep_one_pace() {
    let layer = RateLimitLayer::new(limiter(1, secs(1), 1));
    let script = Script::default();
    let (one, other) = (layer.layer(script.clone()), layer.layer(script.clone()));
    let started = Instant::now();
    one.oneshot(request()).await.unwrap();
    other.clone().oneshot(request()).await.unwrap();
    assert_eq!(started.elapsed(), secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_not_taken_while_a_permit_is_waited_for() {
    // Two requests take a minute; meanwhile no slots are banked for those who wait.
    let script = Script::new([(secs(60), answer(200)), (secs(60), answer(200))]);
    let service = ServiceBuilder::new()
        .layer(ConcurrencyLayer::new(at_once(2)))
        .layer(RateLimitLayer::new(limiter(1, secs(1), 1)))
        .service(script.clone());
    let started = Instant::now();
    join_all((0..5).map(|_| service.clone().oneshot(request()))).await;
    let times: Vec<_> = script.times().into_iter().map(|at| at - started).collect();
    assert_eq!(times, [0, 1, 60, 61, 62].map(secs));
}

#[tokio::test(start_paused = true)]
async fn a_pace_finer_than_the_timer_is_kept() {
    // 20 for each millisecond, which is the grain of the timer.
    let limiter = limiter(20_000, secs(1), 1);
    let started = Instant::now();
    join_all((0..100).map(async |_| {
        for _ in 0..200 {
            limiter.take().await;
        }
    }))
    .await;
    let took = started.elapsed();
    assert!((millis(995)..=millis(1010)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_not_made_up_for() {
    let limiter = limiter(100, secs(1), 1);
    limiter.take().await;
    let mut waiters: Vec<_> = (0..50).map(|_| Box::pin(limiter.take())).collect();
    for waiter in &mut waiters {
        assert!(futures_util::poll!(waiter).is_pending());
    }
    advance(secs(10)).await;
    let started = Instant::now();
    join_all(waiters).await;
    assert!(started.elapsed() >= millis(480), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn available_tells_the_slots_or_the_time_until_one() {
    let limiter = limiter(1, secs(1), 3);
    assert_eq!(limiter.available(), Ok(3));
    limiter.take().await;
    assert_eq!(limiter.available(), Ok(2));
    limiter.take().await;
    limiter.take().await;
    let wait = limiter.available().unwrap_err();
    assert!(wait <= secs(1) && wait >= millis(990), "{wait:?}");
    sleep(wait).await;
    assert_eq!(limiter.available(), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn available_counts_those_who_wait_already() {
    let limiter = limiter(1, secs(1), 1);
    limiter.take().await;
    let waiter = tokio::spawn({
        let limiter = limiter.clone();
        async move { limiter.take().await }
    });
    tokio::task::yield_now().await;
    let wait = limiter.available().unwrap_err();
    assert!(wait > secs(1) && wait <= secs(2), "{wait:?}");
    waiter.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pace_that_does_not_divide_evenly_is_never_exceeded() {
    let limiter = limiter(3, secs(1), 1);
    let started = Instant::now();
    for _ in 0..31 {
        limiter.take().await;
    }
    assert!(started.elapsed() >= secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_ready_service_keeps_its_slot() {
    let mut service = RateLimitLayer::new(limiter(1, secs(1), 1)).layer(Script::default());
    service.ready().await.unwrap();
    sleep(secs(5)).await;
    let started = Instant::now();
    service.ready().await.unwrap().call(request()).await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
}
