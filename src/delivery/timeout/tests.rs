use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use super::TimeoutLayer;
use crate::delivery::{
    AttemptError,
    test_support::{Script, answer, request, secs, status},
};

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_dropped() {
    let script = Script::new([(secs(60), answer(200))]);
    let service = TimeoutLayer::new(secs(10)).layer(script.clone());
    let started = Instant::now();
    let result = service.oneshot(request()).await;
    assert!(matches!(result, Err(AttemptError::Timeout(limit)) if limit == secs(10)));
    assert_eq!(started.elapsed(), secs(10));
    assert_eq!(script.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_in_time_is_left_alone() {
    let service = TimeoutLayer::new(secs(10)).layer(Script::new([(secs(9), answer(201))]));
    assert_eq!(status(&service.oneshot(request()).await), 201);
}
