use std::{
    fmt, mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use tower::{Service, ServiceExt};

use super::credentials::Credentials;
use crate::delivery::{AttemptError, RateLimiter};

/// Sends each request with a credential and, when the endpoint rejects it with 401, once more with
/// a newer one.
///
/// There is no second repetition, and none at all when the rejected credential came into being
/// after the request began: then age is not what is wrong with it. A 401 that stays is passed up.
#[derive(Clone)]
pub struct Auth<S> {
    inner: S,
    credentials: Option<Credentials>,
    pace: Option<RateLimiter>,
}

impl<S> Auth<S> {
    pub(super) fn new(
        inner: S,
        credentials: Option<Credentials>,
        pace: Option<RateLimiter>,
    ) -> Self {
        Self { inner, credentials, pace }
    }
}

impl<S> Service<Request<Bytes>> for Auth<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = BoxFuture<'static, Result<Response<Bytes>, AttemptError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let Some(credentials) = self.credentials.clone() else {
            return Box::pin(self.inner.call(request));
        };
        // The clone may not be ready: the one that is goes with the request.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        Box::pin(send(inner, credentials, self.pace.clone(), request))
    }
}

async fn send<S>(
    mut inner: S,
    credentials: Credentials,
    pace: Option<RateLimiter>,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, AttemptError>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
{
    let newest = credentials.generation();
    let credential = credentials.current().await?;
    let may_repeat = credentials.can_change() && credential.generation() <= newest;
    let copy = may_repeat.then(|| request.clone());

    let answer = inner.call(credential.authorize(request)).await?;
    if answer.status() != StatusCode::UNAUTHORIZED {
        credentials.accept(credential.generation());
        return Ok(answer);
    }
    let another = credentials.reject(credential.generation()).await;
    let Some(request) = copy.filter(|_| another) else { return Ok(answer) };
    drop(answer);

    let credential = credentials.current().await?;
    if let Some(pace) = pace {
        pace.take().await;
    }
    let answer = inner.ready().await?.call(credential.authorize(request)).await?;
    if answer.status() != StatusCode::UNAUTHORIZED {
        credentials.accept(credential.generation());
    }
    Ok(answer)
}

impl<S: fmt::Debug> fmt::Debug for Auth<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("inner", &self.inner).finish_non_exhaustive()
    }
}
