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

use super::answers::Counters;
use crate::delivery::{AttemptError, Trail, concurrency::Ended};

/// Notes and counts each request that goes to the wire.
#[derive(Clone, Debug)]
pub struct Attempt<S> {
    pub(super) inner: S,
    pub(super) counters: Arc<Counters>,
}

impl<S> Service<Request<Bytes>> for Attempt<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
{
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = AttemptFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let trail = request.extensions().get::<Trail>().cloned();
        if let Some(trail) = &trail {
            trail.begin_attempt();
        }
        self.counters.component.requests.inc();
        let started = match &self.counters.limit {
            Some(reported) => reported.limit.begin(),
            None => Instant::now(),
        };
        let open = Open { trail, counters: Arc::clone(&self.counters), started, ended: false };
        AttemptFuture { inner: self.inner.call(request), open: Some(open) }
    }
}

pin_project! {
    /// The answer to one attempt.
    #[derive(Debug)]
    pub struct AttemptFuture<F> {
        #[pin]
        inner: F,
        open: Option<Open>,
    }
}

impl<F> Future for AttemptFuture<F>
where
    F: Future<Output = Result<Response<Bytes>, AttemptError>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        if let Some(open) = this.open.take() {
            open.end(&result);
        }
        Poll::Ready(result)
    }
}

/// An attempt whose end has not been seen.
#[derive(Debug)]
struct Open {
    trail: Option<Trail>,
    counters: Arc<Counters>,
    started: Instant,
    ended: bool,
}

impl Open {
    fn end(mut self, result: &Result<Response<Bytes>, AttemptError>) {
        self.ended = true;
        let trail = self.trail.take();
        if let Some(reported) = &self.counters.limit {
            reported.limit.end(self.started, reported.ended(result));
        }
        match result {
            Ok(answer) => {
                self.counters.component.rtt.observe(self.started.elapsed().as_secs_f64());
                self.counters.count(answer.status());
            }
            Err(error) if error.outcome_unknown() => {
                if let Some(trail) = trail {
                    trail.set_unknown();
                }
            }
            Err(_) => {}
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Some(trail) = &self.trail {
            trail.set_unknown();
        }
        if let Some(reported) = &self.counters.limit {
            reported.limit.end(self.started, Ended::PushedBack);
        }
    }
}
