//! What Tower asks of every layer: a service is called only after it has become ready, once for
//! each time, and a clone is not ready because its original was.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use super::{
    AttemptError, AuthSettings, BackoffSettings, Classes, Coding, Gate, RateLimitSettings,
    RateLimiter, Secret, SigningSettings,
    attempt::AttemptLayer,
    auth::AuthLayer,
    compress::CompressLayer,
    concurrency::ConcurrencyLayer,
    deadline::DeadlineLayer,
    gate::GateLayer,
    headers::HeadersLayer,
    observe::ObserveLayer,
    rate_limit::RateLimitLayer,
    results::ResultsLayer,
    retry::RetryLayer,
    sign::SignLayer,
    test_support::{Script, answer, at_once, millis, request, secs},
    timeout::TimeoutLayer,
};
use crate::{clock::Clock, telemetry::Component};

/// Panics when it is called without having become ready.
pub(super) struct StrictReady {
    inner: Script,
    ready: bool,
    /// The first poll is pending, so that a caller that ignores that is found out.
    polled: bool,
}

impl StrictReady {
    fn new(inner: Script) -> Self {
        Self { inner, ready: false, polled: false }
    }
}

impl Clone for StrictReady {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl Service<Request<Bytes>> for StrictReady {
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = <Script as Service<Request<Bytes>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        if !std::mem::replace(&mut self.polled, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        assert!(self.ready, "called before it was ready");
        self.ready = false;
        self.polled = false;
        self.inner.call(request)
    }
}

async fn obeys_readiness<L>(name: &str, layer: L)
where
    L: Layer<StrictReady>,
    L::Service: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError> + Clone,
{
    // The 503 makes a layer that repeats do so.
    let script = Script::of([answer(200), answer(503), answer(200)]);
    let mut service = layer.layer(StrictReady::new(script.clone()));
    for _ in 0..3 {
        service.ready().await.unwrap().call(request()).await.unwrap();
    }
    // A clone of a service that is ready, and the service itself after that.
    service.ready().await.unwrap();
    let clone = service.clone();
    service.call(request()).await.unwrap();
    clone.oneshot(request()).await.unwrap();
    // A service that is asked twice before it is called.
    service.ready().await.unwrap();
    service.ready().await.unwrap().call(request()).await.unwrap();
    assert!(script.calls() >= 6, "{name}");
}

#[tokio::test(start_paused = true)]
async fn every_layer_obeys_readiness() {
    let component = Component::detached();
    let classes = Classes::default();
    let gate = Gate::new(secs(300), Arc::clone(&component));
    let backoff = BackoffSettings { attempts: 3, initial: millis(100), max_duration: secs(10) };
    let pace = RateLimitSettings {
        num: 10.try_into().unwrap(),
        per: secs(1),
        burst: 1.try_into().unwrap(),
    };
    let bearer = AuthSettings::Bearer { token: Secret::Text("token".into()) };
    let learning = RateLimitLayer::new(RateLimiter::unlimited())
        .learning(classes.clone(), &component)
        .heeding_headers(secs(300));
    let retry = RetryLayer::new(backoff, classes.clone(), Arc::clone(&component));

    obeys_readiness("observe", ObserveLayer::new(Arc::clone(&component))).await;
    let large = |request: Request<Bytes>| request.map(|_| Bytes::from(vec![b'x'; 1 << 17]));
    let compress = CompressLayer::new(Coding::Gzip);
    obeys_readiness("compress", compress).await;
    obeys_readiness("compress", ServiceBuilder::new().map_request(large).layer(compress)).await;
    obeys_readiness("deadline", DeadlineLayer::new(secs(30))).await;
    obeys_readiness("retry", retry).await;
    obeys_readiness("concurrency", ConcurrencyLayer::new(at_once(2))).await;
    obeys_readiness("rate_limit", RateLimitLayer::new(RateLimiter::new(pace))).await;
    obeys_readiness("a pace that learns", learning).await;
    obeys_readiness("gate", GateLayer::new(&gate, classes.clone())).await;
    obeys_readiness("results", ResultsLayer::new(classes)).await;
    obeys_readiness("timeout", TimeoutLayer::new(secs(10))).await;
    obeys_readiness("headers", HeadersLayer::new(http::HeaderMap::new())).await;
    obeys_readiness("auth", AuthLayer::new(&bearer, None).unwrap()).await;
    let reporting = AttemptLayer::new(Arc::clone(&component));
    let reporting = reporting.reporting_to(at_once(2), Classes::default());
    let secret = Secret::Text("whsec_ZXhhbXBsZS1zZWNyZXQtbm90LWZvci11c2U=".into());
    let signing = SigningSettings { secrets: vec![secret], ed25519_key: None };
    obeys_readiness("sign", SignLayer::new(signing, Clock::system())).await;
    obeys_readiness("attempt", AttemptLayer::new(component)).await;
    obeys_readiness("an attempt that is reported", reporting).await;
}

#[tokio::test]
#[should_panic(expected = "called before it was ready")]
async fn the_probe_finds_a_caller_that_does_not_wait() {
    let mut service = StrictReady::new(Script::default());
    service.ready().await.unwrap();
    let _ = service.clone().call(request()).await;
}
