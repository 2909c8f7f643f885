//! What the stack costs for each request over a service that answers at once, and what each layer
//! costs alone.

use std::{
    future::{Ready, ready},
    hint::black_box,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use profile_http::{
    clock::Clock,
    delivery::{
        AttemptError, AuthSettings, BackoffSettings, Classes, Coding, ConcurrencyLimit,
        ConcurrencySettings, DeliverySettings, Gate, Http2, IdempotencyKey, ProfileVersion,
        RateLimitSettings, RateLimiter, RequestSettings, Secret, SigningSettings, TlsSettings,
        Trail, attempt::AttemptLayer, auth::AuthLayer, compose, compress::CompressLayer,
        concurrency::ConcurrencyLayer, deadline::DeadlineLayer, gate::GateLayer,
        headers::HeadersLayer, observe::ObserveLayer, rate_limit::RateLimitLayer,
        results::ResultsLayer, retry::RetryLayer, sign::SignLayer, timeout::TimeoutLayer,
    },
    telemetry::Component,
};
use tokio::runtime::Runtime;
use tower::{Layer, Service, ServiceExt};

/// Answers 200 at once.
#[derive(Clone, Copy)]
struct NoOp;

impl Service<Request<Bytes>> for NoOp {
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = Ready<Result<Response<Bytes>, AttemptError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        black_box(request);
        ready(Ok(Response::new(Bytes::new())))
    }
}

/// So fast that nothing waits: what is measured is the taking of slots.
fn pace() -> RateLimitSettings {
    let most = u32::MAX.try_into().unwrap_or(std::num::NonZeroU32::MIN);
    RateLimitSettings { num: most, per: Duration::from_secs(1), burst: most }
}

fn settings() -> DeliverySettings {
    let mut headers = HeaderMap::new();
    headers.insert("x-tenant", HeaderValue::from_static("acme"));
    headers.insert("x-source", HeaderValue::from_static("cdp"));
    DeliverySettings {
        endpoint: Uri::from_static("http://endpoint.example/profiles").into(),
        method: Method::POST,
        headers,
        header_templates: Vec::new(),
        auth: AuthSettings::None,
        signing: None,
        request: RequestSettings {
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            http2: Http2::default(),
            proxy: None,
            deadline: Duration::from_secs(30),
            concurrency: ConcurrencySettings::Fixed(64),
            rate_limit: Some(pace()),
            honour_rate_limit_headers: true,
            retry: BackoffSettings {
                attempts: 3,
                initial: Duration::from_millis(200),
                max_duration: Duration::from_secs(10),
            },
            retry_after_max: Duration::from_mins(5),
            classes: Classes::default(),
            compression: None,
        },
        tls: TlsSettings::default(),
    }
}

/// A request as dispatch makes it.
fn request(settings: &DeliverySettings, body: &Bytes) -> Request<Bytes> {
    let mut request = Request::new(body.clone());
    *request.method_mut() = settings.method.clone();
    *request.uri_mut() = settings.endpoint.origin().clone();
    let extensions = request.extensions_mut();
    extensions.insert(Trail::default());
    extensions.insert(IdempotencyKey(0x1234_5678));
    extensions.insert(ProfileVersion(1_700_000_000_000_000));
    request
}

/// Measures requests through a clone of `service` for each, as dispatch makes them.
fn measure<S>(c: &mut Criterion, name: &str, service: &S)
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = AttemptError> + Clone,
{
    let settings = settings();
    let body = Bytes::from(vec![b'x'; 900]);
    let runtime = runtime();
    c.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let started = now();
                for _ in 0..times {
                    let answer = service.clone().oneshot(request(&settings, &body)).await;
                    black_box(answer.is_ok());
                }
                started.elapsed()
            })
        });
    });
}

#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn now() -> Instant {
    Instant::now()
}

fn runtime() -> Runtime {
    match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("a runtime is needed: {error}"),
    }
}

fn stack(c: &mut Criterion) {
    let settings = settings();
    let request = &settings.request;
    let component = Component::detached();
    let gate = Gate::new(request.retry_after_max, Arc::clone(&component));
    let limiter = RateLimiter::new(pace());
    let classes = Classes::default();
    let adaptive = ConcurrencySettings::Adaptive { max: 200 };
    let adaptive = ConcurrencyLimit::new(adaptive, &component);
    let fixed = ConcurrencyLimit::new(request.concurrency, &component);
    let attempt = AttemptLayer::new(Arc::clone(&component));
    let reporting = attempt.clone().reporting_to(adaptive.clone(), classes.clone());
    let learning = RateLimitLayer::new(RateLimiter::unlimited())
        .learning(classes.clone(), &component)
        .heeding_headers(request.retry_after_max);
    let retry = RetryLayer::new(request.retry, classes.clone(), Arc::clone(&component));

    measure(c, "nothing", &NoOp);
    let auth = match AuthLayer::new(&settings.auth, None) {
        Ok(auth) => auth,
        Err(error) => panic!("no authentication needs no file: {error}"),
    };
    let whole = compose(&settings, &gate, &component, auth, NoOp).service;
    measure(c, "stack", &whole);
    measure(c, "observe", &ObserveLayer::new(Arc::clone(&component)).layer(NoOp));
    for (name, coding) in [("compress gzip", Coding::Gzip), ("compress zstd", Coding::Zstd)] {
        measure(c, name, &CompressLayer::new(coding).layer(NoOp));
    }
    measure(c, "deadline", &DeadlineLayer::new(request.deadline).layer(NoOp));
    measure(c, "retry", &retry.layer(NoOp));
    measure(c, "concurrency", &ConcurrencyLayer::new(fixed).layer(NoOp));
    measure(c, "concurrency, adaptive", &ConcurrencyLayer::new(adaptive).layer(NoOp));
    measure(c, "rate_limit", &RateLimitLayer::new(limiter).layer(NoOp));
    measure(c, "rate_limit, learning", &learning.layer(NoOp));
    measure(c, "gate", &GateLayer::new(&gate, classes.clone()).layer(NoOp));
    measure(c, "results", &ResultsLayer::new(classes).layer(NoOp));
    measure(c, "timeout", &TimeoutLayer::new(request.timeout).layer(NoOp));
    let bearer = AuthSettings::Bearer { token: Secret::Text("token".into()) };
    if let Ok(auth) = AuthLayer::new(&bearer, None) {
        measure(c, "auth bearer", &auth.layer(NoOp));
    }
    measure(c, "headers", &HeadersLayer::new(settings.headers.clone()).layer(NoOp));
    let key = "whsec_ZXhhbXBsZS1zZWNyZXQtbm90LWZvci11c2U=";
    let secret = || Secret::Text(key.into());
    let seed = || Secret::Text(format!("{}=", "A".repeat(43)).into());
    for (name, secrets, ed25519_key) in
        [("sign v1", vec![secret()], None), ("sign v1a", vec![], Some(seed()))]
    {
        let layer = SignLayer::new(SigningSettings { secrets, ed25519_key }, Clock::system());
        measure(c, name, &layer.layer(NoOp));
    }
    measure(c, "attempt", &attempt.layer(NoOp));
    measure(c, "attempt, reported", &reporting.layer(NoOp));
}

criterion_group!(benches, stack);
criterion_main!(benches);
