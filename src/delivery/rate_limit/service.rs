use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;

use super::{RateLimiter, learned::Change};
use crate::{
    delivery::{AttemptError, Class, Classes, retry_after},
    telemetry::Component,
};

/// Lets an attempt begin when its slot has come.
///
/// The slot is taken in `poll_ready`, as the last thing that is waited for: whoever took it earlier
/// and then waited for something else would send at another time than the slot's. A handle that
/// has become ready and is never called has wasted its slot.
pub struct RateLimit<S> {
    inner: S,
    limiter: RateLimiter,
    lessons: Arc<Lessons>,
    slot: Slot,
}

/// What answers teach the limiter.
#[derive(Debug, Default)]
pub(super) struct Lessons {
    /// Refusals by these classes; the log tells of them as this component's.
    pub(super) refusals: Option<(Classes, Arc<Component>)>,
    /// What headers say about a quota, and for how long they may stop everything.
    pub(super) longest: Option<Duration>,
}

enum Slot {
    None,
    /// The future is boxed only where there is something to wait for.
    Waiting(Pin<Box<dyn Future<Output = ()> + Send + Sync>>),
    Taken,
}

impl<S> RateLimit<S> {
    pub(super) fn new(inner: S, limiter: RateLimiter, lessons: Arc<Lessons>) -> Self {
        Self { inner, limiter, lessons, slot: Slot::None }
    }
}

impl<S: Clone> Clone for RateLimit<S> {
    /// The clone shares the pace, but has no slot.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.limiter.clone(), Arc::clone(&self.lessons))
    }
}

impl<S> Service<Request<Bytes>> for RateLimit<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
{
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = RateLimitFuture<S::Future>;

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
        let attempt = Attempt::new(self.limiter.clone(), Arc::clone(&self.lessons));
        RateLimitFuture { inner: self.inner.call(request), attempt }
    }
}

pin_project! {
    /// An attempt that has had its slot.
    #[derive(Debug)]
    pub struct RateLimitFuture<F> {
        #[pin]
        inner: F,
        attempt: Attempt,
    }
}

impl<F> Future for RateLimitFuture<F>
where
    F: Future<Output = Result<Response<Bytes>, AttemptError>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        if let Ok(answer) = &result {
            this.attempt.teach(answer);
        }
        Poll::Ready(result)
    }
}

/// Whether an answer says that attempts come too fast. One that asks to wait for long says that a
/// quota is used up, of which no pace is known; the gate keeps that wait.
fn says_too_fast<B>(answer: &Response<B>) -> bool {
    answer.status() == StatusCode::TOO_MANY_REQUESTS
        && retry_after(answer.headers()).is_none_or(|wait| wait <= Duration::from_secs(1))
}

/// An attempt that is under way until this is dropped.
#[derive(Debug)]
struct Attempt {
    limiter: RateLimiter,
    lessons: Arc<Lessons>,
    began: Instant,
}

impl Attempt {
    fn new(limiter: RateLimiter, lessons: Arc<Lessons>) -> Self {
        limiter.begin();
        Self { limiter, lessons, began: Instant::now() }
    }

    fn teach(&self, answer: &Response<Bytes>) {
        let Lessons { refusals, longest } = &*self.lessons;
        if let Some(longest) = longest {
            self.limiter.heed(answer.headers(), *longest);
        }
        let Some((classes, component)) = refusals else { return };
        let change = match classes.of_status(answer.status()) {
            Class::Delivered | Class::Refused => self.limiter.took(self.began),
            Class::Later if says_too_fast(answer) => self.limiter.too_fast(self.began),
            Class::Later | Class::Endpoint => None,
        };
        let Some(change) = change else { return };
        let sink = component.name();
        match change {
            Change::Begun(per_second) => tracing::info!(
                sink,
                per_second,
                "the endpoint answers 429: from now on the sink finds out what pace it bears"
            ),
            Change::Slowed(per_second) => tracing::debug!(sink, per_second, "slower after a 429"),
            Change::GivenUp => tracing::info!(
                sink,
                "the endpoint answers 429 now and then at any pace: it is not slowed any more"
            ),
            Change::Forgotten => tracing::info!(sink, "the pace learned from 429s is forgotten"),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.limiter.end();
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
