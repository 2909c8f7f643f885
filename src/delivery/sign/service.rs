use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Either};
use http::{Request, Response};
use tower::Service;

use super::signer::Signer;
use crate::delivery::AttemptError;

/// Writes `webhook-id`, `webhook-timestamp` and `webhook-signature` into each request. A request
/// whose keys cannot be read is not sent.
#[derive(Clone)]
pub struct Sign<S> {
    pub(super) inner: S,
    pub(super) signer: Arc<Signer>,
}

/// The answer to a request that was signed.
pub type SignFuture<F> = Either<F, BoxFuture<'static, Result<Response<Bytes>, AttemptError>>>;

impl<S> Service<Request<Bytes>> for Sign<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = SignFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Bytes>) -> Self::Future {
        if let Some(keys) = self.signer.at_hand() {
            self.signer.sign(&keys, &mut request);
            return Either::Left(self.inner.call(request));
        }
        // The clone may not be ready: the one that is goes with the request.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let signer = Arc::clone(&self.signer);
        Either::Right(Box::pin(async move {
            let keys = signer.read().await?;
            signer.sign(&keys, &mut request);
            inner.call(request).await
        }))
    }
}

impl<S: fmt::Debug> fmt::Debug for Sign<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sign").field("inner", &self.inner).finish_non_exhaustive()
    }
}
