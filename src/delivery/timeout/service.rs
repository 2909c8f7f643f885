use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use tower::Service;

use crate::delivery::{AttemptError, limited::Limited};

/// Bounds the time of one attempt, with [`AttemptError::Timeout`].
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    pub(super) inner: S,
    pub(super) limit: Duration,
}

impl<S> Service<Request<Bytes>> for Timeout<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
{
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = Limited<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Limited::new(self.inner.call(request), self.limit, AttemptError::Timeout)
    }
}
