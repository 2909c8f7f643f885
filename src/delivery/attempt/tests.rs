use std::sync::Arc;

use tokio::time::timeout;
use tower::{Layer, ServiceExt};

use super::AttemptLayer;
use crate::{
    delivery::{
        AttemptError, Trail,
        test_support::{Outcome, Script, answer, millis, request_with, secs},
    },
    telemetry::Component,
};

async fn trail_after(outcome: Outcome) -> Trail {
    let trail = Trail::default();
    let service = AttemptLayer::new(Component::detached()).layer(Script::of([outcome]));
    let _ = service.oneshot(request_with(&trail)).await;
    trail
}

#[tokio::test(start_paused = true)]
async fn an_answer_leaves_nothing_unknown_whatever_it_says() {
    for status in [200, 401, 422, 503] {
        let trail = trail_after(answer(status)).await;
        assert_eq!((trail.attempts(), trail.unknown()), (1, false), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_never_made_leaves_nothing_unknown() {
    for error in [AttemptError::Connect(String::new()), AttemptError::Tls(String::new())] {
        assert!(!trail_after(Err(error)).await.unknown());
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_leaves_the_outcome_unknown() {
    for error in [AttemptError::Interrupted(String::new()), AttemptError::Answer(String::new())] {
        assert!(trail_after(Err(error)).await.unknown());
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_given_up_leaves_the_outcome_unknown() {
    let script = Script::new([(secs(60), answer(200))]);
    let service = AttemptLayer::new(Component::detached()).layer(script);
    let trail = Trail::default();
    let attempt = service.oneshot(request_with(&trail));
    assert!(timeout(secs(1), attempt).await.is_err());
    assert_eq!((trail.attempts(), trail.unknown()), (1, true));
}

#[tokio::test(start_paused = true)]
async fn each_attempt_and_its_answer_is_counted() {
    let component = Component::detached();
    let slow = Script::new([(millis(40), answer(503)), (millis(40), answer(200))]);
    let service = AttemptLayer::new(Arc::clone(&component)).layer(slow);
    let trail = Trail::default();
    for _ in 0..3 {
        let _ = service.clone().oneshot(request_with(&trail)).await;
    }
    assert_eq!(trail.attempts(), 3);
    assert_eq!(component.requests.get(), 3);
    assert_eq!(component.responses(200).get(), 2);
    assert_eq!(component.responses(503).get(), 1);
}
