use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use tower::Service;

use super::RateLimiter;
use crate::delivery::AttemptError;

/// Lets an attempt begin when its slot has come.
///
/// The slot is taken in `poll_ready`, as the last thing that is waited for: whoever took it earlier
/// and then waited for something else would send at another time than the slot's. A handle that
/// has become ready and is never called has wasted its slot.
pub struct RateLimit<S> {
    inner: S,
    limiter: RateLimiter,
    slot: Slot,
}

enum Slot {
    None,
    /// The future is boxed only where there is something to wait for.
    Waiting(Pin<Box<dyn Future<Output = ()> + Send + Sync>>),
    Taken,
}

impl<S> RateLimit<S> {
    pub(super) fn new(inner: S, limiter: RateLimiter) -> Self {
        Self { inner, limiter, slot: Slot::None }
    }
}

impl<S: Clone> Clone for RateLimit<S> {
    /// The clone shares the pace, but has no slot.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.limiter.clone())
    }
}

impl<S> Service<Request<Bytes>> for RateLimit<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
{
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        ready!(self.inner.poll_ready(cx))?;
        loop {
            self.slot = match &mut self.slot {
                Slot::Taken => return Poll::Ready(Ok(())),
                Slot::None if self.limiter.try_take() => Slot::Taken,
                Slot::None => {
                    let limiter = self.limiter.clone();
                    Slot::Waiting(Box::pin(async move { limiter.take().await }))
                }
                Slot::Waiting(slot) => {
                    ready!(slot.as_mut().poll(cx));
                    Slot::Taken
                }
            };
        }
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let slot = std::mem::replace(&mut self.slot, Slot::None);
        assert!(matches!(slot, Slot::Taken), "a service is called only after it has become ready");
        self.inner.call(request)
    }
}

impl<S: fmt::Debug> fmt::Debug for RateLimit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}
