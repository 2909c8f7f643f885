use futures_util::future::join_all;
use tokio::time::{Instant, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use super::ConcurrencyLayer;
use crate::{
    delivery::{
        BackoffSettings, Classes,
        retry::RetryLayer,
        test_support::{Script, answer, at_once, millis, request, secs, status},
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
