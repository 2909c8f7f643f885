use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;
use tower::Service;

use crate::delivery::AttemptError;

/// Lets an attempt begin when one of a fixed number of permits is free.
#[derive(Debug)]
pub struct Concurrency<S> {
    inner: S,
    permits: PollSemaphore,
    /// Taken in `poll_ready`, for the next call.
    permit: Option<OwnedSemaphorePermit>,
}

impl<S> Concurrency<S> {
    pub(super) fn new(inner: S, permits: Arc<Semaphore>) -> Self {
        Self { inner, permits: PollSemaphore::new(permits), permit: None }
    }
}

impl<S: Clone> Clone for Concurrency<S> {
    /// The clone shares the permits, but has none yet.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.permits.clone_inner())
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
            self.permit = ready!(self.permits.poll_acquire(cx));
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
        permit: Option<OwnedSemaphorePermit>,
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
