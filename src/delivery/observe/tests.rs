use std::sync::Arc;

use tower::{Layer, ServiceExt};

use super::ObserveLayer;
use crate::{
    delivery::{
        AttemptError,
        test_support::{Outcome, Script, answer, request, secs},
    },
    telemetry::Component,
};

async fn counted_after(outcome: Outcome, kind: &str) -> u64 {
    let component = Component::detached();
    let service = ObserveLayer::new(Arc::clone(&component)).layer(Script::of([outcome]));
    let _ = service.oneshot(request()).await;
    component.errors(kind, "sending").get()
}

#[tokio::test]
async fn a_failed_delivery_is_counted_by_its_kind() {
    assert_eq!(counted_after(Err(AttemptError::Timeout(secs(1))), "timed_out").await, 1);
    assert_eq!(counted_after(Err(AttemptError::Deadline(secs(1))), "deadline_exceeded").await, 1);
    assert_eq!(counted_after(answer(503), "request_failed").await, 1);
}

#[tokio::test]
async fn what_was_delivered_or_held_back_is_no_error() {
    assert_eq!(counted_after(answer(204), "request_failed").await, 0);
    assert_eq!(counted_after(Err(AttemptError::GateClosed), "gate_closed").await, 0);
}
