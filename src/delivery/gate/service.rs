use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::Service;

use super::{Probe, handle::Shared, state::Pass};
use crate::delivery::{AttemptError, Class, Classes, Trail};

/// Lets an attempt through when the gate is open or the attempt is the probe, and fails with
/// [`AttemptError::GateClosed`] otherwise.
///
/// An attempt that is dropped before its result is there counts as failed.
#[derive(Clone, Debug)]
pub struct Gated<S> {
    pub(super) inner: S,
    pub(super) gate: Arc<Shared>,
    pub(super) classes: Arc<Classes>,
}

impl<S> Service<Request<Bytes>> for Gated<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
{
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = GatedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let probe = request.extensions().get::<Trail>().and_then(Trail::probe).map(Probe::id);
        match self.gate.enter(probe) {
            None => GatedFuture { inner: None, visit: None },
            Some(pass) => GatedFuture {
                inner: Some(self.inner.call(request)),
                visit: Some(Visit {
                    gate: Arc::clone(&self.gate),
                    classes: Arc::clone(&self.classes),
                    pass,
                    ended: false,
                }),
            },
        }
    }
}

pin_project! {
    /// An attempt that the gate let through, or not.
    #[derive(Debug)]
    pub struct GatedFuture<F> {
        #[pin]
        inner: Option<F>,
        visit: Option<Visit>,
    }
}

impl<F> Future for GatedFuture<F>
where
    F: Future<Output = Result<Response<Bytes>, AttemptError>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(Err(AttemptError::GateClosed));
        };
        let result = ready!(inner.poll(cx));
        if let Some(visit) = this.visit.take() {
            visit.end(&result);
        }
        Poll::Ready(result)
    }
}

/// An attempt whose end the gate does not know yet.
#[derive(Debug)]
struct Visit {
    gate: Arc<Shared>,
    classes: Arc<Classes>,
    pass: Pass,
    ended: bool,
}

impl Visit {
    fn end(mut self, result: &Result<Response<Bytes>, AttemptError>) {
        self.ended = true;
        // Only a gate further in leaves a result without a class.
        let class = self.classes.of(result).unwrap_or(Class::Later);
        self.gate.record(self.pass, class, result);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if !self.ended {
            let error = AttemptError::Interrupted("given up before an answer came".to_owned());
            self.gate.record::<Bytes>(self.pass, Class::Later, &Err(error));
        }
    }
}
