use std::{
    mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use http::{Request, Response, header::CONTENT_ENCODING};
use tokio::task::spawn_blocking;
use tower::Service;

use crate::delivery::{AttemptError, Coding};

/// Bodies from this size on are compressed. Profiles of 115 bytes grow by two, those of 260 lose a
/// fifth.
const WORTH_IT: usize = 256;

/// Bodies from this size on take milliseconds, in which the runtime's thread serves others.
const LARGE: usize = 64 * 1024;

/// Compresses the body of each request.
#[derive(Clone, Debug)]
pub struct Compress<S> {
    pub(super) inner: S,
    pub(super) coding: Coding,
}

/// The answer to a request whose body was compressed.
pub type CompressFuture<F> = Either<F, BoxFuture<'static, Result<Response<Bytes>, AttemptError>>>;

impl<S> Service<Request<Bytes>> for Compress<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = CompressFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let coding = self.coding;
        let encoded = request.headers().contains_key(CONTENT_ENCODING);
        match request.body().len() {
            _ if encoded => Either::Left(self.inner.call(request)),
            0..WORTH_IT => Either::Left(self.inner.call(request)),
            WORTH_IT..LARGE => {
                let compressed = coding.compress(request.body());
                Either::Left(self.inner.call(coding.replace(request, compressed)))
            }
            LARGE.. => {
                // The clone may not be ready: the one that is goes with the request.
                let clone = self.inner.clone();
                let mut inner = mem::replace(&mut self.inner, clone);
                Either::Right(Box::pin(async move {
                    let body = request.body().clone();
                    let compressing = spawn_blocking(move || coding.compress(&body));
                    let compressed = compressing.await.unwrap_or_else(|e| Err(e.into()));
                    inner.call(coding.replace(request, compressed)).await
                }))
            }
        }
    }
}
