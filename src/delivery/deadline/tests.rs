use tokio::time::{Instant, sleep};
use tower::{Service, ServiceBuilder, ServiceExt};

use super::DeadlineLayer;
use crate::{
    delivery::{
        AttemptError, BackoffSettings, Classes,
        concurrency::ConcurrencyLayer,
        retry::RetryLayer,
        test_support::{Script, answer, at_once, request, secs, status},
    },
    telemetry::Component,
};

#[tokio::test(start_paused = true)]
async fn the_deadline_covers_repetitions_and_their_pauses() {
    let backoff = BackoffSettings { attempts: 9, initial: secs(1), max_duration: secs(60) };
    let retry = RetryLayer::new(backoff, Classes::default(), Component::detached());
    let script = Script::new((0..9).map(|_| (secs(4), answer(503))));
    let service =
        ServiceBuilder::new().layer(DeadlineLayer::new(secs(10))).layer(retry).service(script);
    let started = Instant::now();
    let result = service.oneshot(request()).await;
    assert!(matches!(result, Err(AttemptError::Deadline(limit)) if limit == secs(10)));
    assert_eq!(started.elapsed(), secs(10));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_permit_does_not_count() {
    let script = Script::new([(secs(9), answer(200)), (secs(9), answer(200))]);
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(secs(10)))
        .layer(ConcurrencyLayer::new(at_once(1)))
        .service(script);
    let first = tokio::spawn(service.clone().oneshot(request()));
    sleep(secs(1)).await;
    // It waits eight seconds and then takes nine.
    assert_eq!(status(&service.oneshot(request()).await), 200);
    assert_eq!(status(&first.await.unwrap()), 200);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_ready_and_not_called_lets_no_time_run() {
    let mut service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(secs(10)))
        .service(Script::new([(secs(9), answer(200))]));
    service.ready().await.unwrap();
    sleep(secs(5)).await;
    assert_eq!(status(&service.call(request()).await), 200);
}
