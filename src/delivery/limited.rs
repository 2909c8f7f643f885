use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::AttemptError;

pin_project! {
    /// A future that ends with an error when its time is over. What it ran is dropped with it.
    #[derive(Debug)]
    pub struct Limited<F> {
        #[pin]
        inner: F,
        #[pin]
        sleep: Sleep,
        limit: Duration,
        error: fn(Duration) -> AttemptError,
    }
}

impl<F> Limited<F> {
    /// Gives `inner` `limit` from now on, after which the result is `error(limit)`.
    pub(super) fn new(inner: F, limit: Duration, error: fn(Duration) -> AttemptError) -> Self {
        Self { inner, sleep: sleep(limit), limit, error }
    }
}

impl<F, T> Future for Limited<F>
where
    F: Future<Output = Result<T, AttemptError>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(result) = this.inner.poll(cx) {
            return Poll::Ready(result);
        }
        this.sleep.poll(cx).map(|()| Err((this.error)(*this.limit)))
    }
}
