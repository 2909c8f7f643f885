use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use tokio::time::{sleep, timeout_at};
use tower::{Service, ServiceExt};

use super::policy::Policy;
use crate::delivery::{AttemptError, Trail};

/// Repeats a delivery that may succeed in a moment.
#[derive(Clone, Debug)]
pub struct Retry<S> {
    pub(super) inner: S,
    pub(super) policy: Arc<Policy>,
}

impl<S> Service<Request<Bytes>> for Retry<S>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, AttemptError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        // The one that is ready goes; the clone, which is not, stays.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        Box::pin(deliver(ready, request, Arc::clone(&self.policy)))
    }
}

async fn deliver<S>(
    mut service: S,
    request: Request<Bytes>,
    policy: Arc<Policy>,
) -> Result<Response<Bytes>, AttemptError>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError>,
{
    if request.extensions().get::<Trail>().is_some_and(|trail| trail.probe().is_some()) {
        return service.call(request).await;
    }
    let mut session = policy.begin();
    loop {
        let result = service.call(request.clone()).await;
        let Some(pause) = session.pause_after(&result) else {
            return result;
        };
        {
            let _pause = policy.pauses.begin();
            sleep(pause).await;
        }
        match timeout_at(session.end, service.ready()).await {
            Ok(ready) => ready?,
            Err(_) => return result,
        };
        policy.component.retries.inc();
    }
}
