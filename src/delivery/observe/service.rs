use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;
use tracing::{Span, debug, debug_span, field::Empty};

use crate::{
    delivery::{AttemptError, IdempotencyKey, Trail},
    telemetry::Component,
};

/// Logs and counts what becomes of each delivery.
#[derive(Clone, Debug)]
pub struct Observe<S> {
    pub(super) inner: S,
    pub(super) component: Arc<Component>,
}

impl<S> Service<Request<Bytes>> for Observe<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
{
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = ObserveFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let span = debug_span!("delivery", idempotency_key = Empty);
        if !span.is_disabled()
            && let Some(key) = request.extensions().get::<IdempotencyKey>()
        {
            span.record("idempotency_key", tracing::field::display(key));
        }
        ObserveFuture {
            trail: request.extensions().get::<Trail>().cloned(),
            inner: span.in_scope(|| self.inner.call(request)),
            span,
            component: Arc::clone(&self.component),
            started: Instant::now(),
        }
    }
}

pin_project! {
    /// The outcome of one delivery.
    #[derive(Debug)]
    pub struct ObserveFuture<F> {
        #[pin]
        inner: F,
        span: Span,
        trail: Option<Trail>,
        component: Arc<Component>,
        started: Instant,
    }
}

impl<F> Future for ObserveFuture<F>
where
    F: Future<Output = Result<Response<Bytes>, AttemptError>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = this.span.enter();
        let result = ready!(this.inner.poll(cx));
        let attempts = this.trail.as_ref().map(Trail::attempts);
        let elapsed = this.started.elapsed();
        match &result {
            Ok(answer) => {
                let status = answer.status();
                debug!(status = status.as_u16(), attempts, ?elapsed, "answered");
                if !status.is_success() {
                    this.component.errors("request_failed", "sending").inc();
                    this.component.note_error(format!("the endpoint answered {status}"));
                }
            }
            Err(AttemptError::GateClosed) => debug!(attempts, ?elapsed, "held back by the gate"),
            Err(error) => {
                debug!(%error, attempts, ?elapsed, "failed");
                this.component.errors(error.kind(), "sending").inc();
                this.component.note_error(error.to_string());
            }
        }
        Poll::Ready(result)
    }
}
