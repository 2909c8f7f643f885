use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio_util::sync::PollSemaphore;
use tower::Service;

use super::{ConcurrencyLimit, limit::Permit};
use crate::delivery::AttemptError;

/// Lets an attempt begin when one of the permits of a [`ConcurrencyLimit`] is free.
#[derive(Debug)]
pub struct Concurrency<S> {
    inner: S,
    limit: ConcurrencyLimit,
    permits: PollSemaphore,
    /// Taken in `poll_ready`, for the next call.
    permit: Option<Permit>,
}

impl<S> Concurrency<S> {
    pub(super) fn new(inner: S, limit: ConcurrencyLimit) -> Self {
        let permits = PollSemaphore::new(limit.permits());
        Self { inner, limit, permits, permit: None }
    }
}

impl<S: Clone> Clone for Concurrency<S> {
    /// The clone shares the permits, but has none yet.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.limit.clone())
    }
}

impl<S> Service<Request<Bytes>> for Concurrency<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
{
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = ConcurrencyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        if self.permit.is_none() {
            let permit = ready!(self.permits.poll_acquire(cx));
            self.permit = permit.map(|permit| self.limit.held(permit));
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let permit = self.permit.take();
        assert!(permit.is_some(), "a service is called only after it has become ready");
        ConcurrencyFuture { inner: self.inner.call(request), permit }
    }
}

pin_project! {
    /// An attempt that holds a permit.
    #[derive(Debug)]
    pub struct ConcurrencyFuture<F> {
        #[pin]
        inner: F,
        permit: Option<Permit>,
    }
}

impl<F: Future> Future for ConcurrencyFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        // Not only when the future is dropped, which its caller may put off.
        *this.permit = None;
        Poll::Ready(result)
    }
}
