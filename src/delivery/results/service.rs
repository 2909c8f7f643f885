use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower::Service;

use super::{Results, ResultsPointer, list};
use crate::{
    delivery::{AttemptError, Classes, Trail},
    endpoint::{ANSWER_LIMIT, AnswerLimit},
};

/// Bytes of an answer that are kept for each profile, besides [`ANSWER_LIMIT`].
const RESULT_BYTES: usize = 4096;

/// What the answer to a request is expected to say about single profiles. A request extension;
/// an answer to a request without it is passed on as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The profiles in the request.
    pub items: usize,
    /// Where the list of their results lies. Without it, only an answer 207 is expected to have
    /// one: the answer itself or its `/results`.
    pub at: Option<ResultsPointer>,
}

/// Adds [`Results`] to the answers of requests with [`Expected`], or fails with
/// [`AttemptError::Results`] where they cannot be told.
#[derive(Clone, Debug)]
pub struct ItemResults<S> {
    pub(super) inner: S,
    pub(super) classes: Arc<Classes>,
}

impl<S> Service<Request<Bytes>> for ItemResults<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
{
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = ItemResultsFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Bytes>) -> Self::Future {
        let expected = request.extensions().get::<Expected>().cloned();
        let reading = expected.map(|expected| {
            let limit = ANSWER_LIMIT + expected.items.saturating_mul(RESULT_BYTES);
            request.extensions_mut().insert(AnswerLimit(limit));
            let trail = request.extensions().get::<Trail>().cloned();
            Reading { expected, limit, trail, classes: Arc::clone(&self.classes) }
        });
        ItemResultsFuture { inner: self.inner.call(request), reading }
    }
}

pin_project! {
    /// An answer whose results are read when it has come.
    #[derive(Debug)]
    pub struct ItemResultsFuture<F> {
        #[pin]
        inner: F,
        reading: Option<Reading>,
    }
}

impl<F> Future for ItemResultsFuture<F>
where
    F: Future<Output = Result<Response<Bytes>, AttemptError>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        Poll::Ready(match this.reading.take() {
            Some(reading) => result.and_then(|answer| reading.read(answer)),
            None => result,
        })
    }
}

/// What is needed to read an answer.
#[derive(Debug)]
struct Reading {
    expected: Expected,
    limit: usize,
    trail: Option<Trail>,
    classes: Arc<Classes>,
}

impl Reading {
    fn read(self, mut answer: Response<Bytes>) -> Result<Response<Bytes>, AttemptError> {
        let Expected { items, at } = &self.expected;
        let status = answer.status();
        if !status.is_success() || (at.is_none() && status != StatusCode::MULTI_STATUS) {
            return Ok(answer);
        }
        match list::read(answer.body(), at.as_ref(), *items, &self.classes) {
            Ok(results) => {
                answer.extensions_mut().insert(Results(results));
                Ok(answer)
            }
            Err(reason) => {
                // Some profiles may have been taken.
                if let Some(trail) = &self.trail {
                    trail.set_unknown();
                }
                let cut = if answer.body().len() >= self.limit { " (it was cut off)" } else { "" };
                Err(AttemptError::Results { status, reason: format!("{reason}{cut}") })
            }
        }
    }
}
