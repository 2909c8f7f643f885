//! Endpoints that exist in virtual time only, and what a stack makes of them. Shared by the report
//! and the tests.

use std::{
    collections::VecDeque,
    future::pending,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use profile_http::{
    delivery::{
        Admission, AttemptError, AuthSettings, BackoffSettings, Classes, ConcurrencySettings,
        DeliverySettings, Gate, Http2, RequestSettings, Stack, TlsSettings, Trail, auth::AuthLayer,
        compose,
    },
    telemetry::Component,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tower::{Service, ServiceExt};

/// How an endpoint behaves. Requests are those under way at the moment, the new one included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint {
    /// Seconds to an answer.
    pub(crate) delay: f64,
    /// The mean of an exponentially distributed addition, as a part of the delay.
    pub(crate) jitter: f64,
    /// Each request beyond the first adds this part of the delay.
    pub(crate) scale: f64,
    /// From so many requests on, each one more multiplies the delay by this.
    pub(crate) knee: Option<(usize, f64)>,
    /// So many requests are worked on at once, the others wait.
    pub(crate) workers: Option<usize>,
    /// Beyond so many requests it never answers, and does not count those.
    pub(crate) drops_beyond: Option<usize>,
    /// Beyond so many requests it answers 503.
    pub(crate) defers_beyond: Option<usize>,
    /// With more than so many requests in the last second it answers with this status.
    pub(crate) per_second: Option<(usize, u16)>,
    /// This share of requests is answered with this status, whatever their pace.
    pub(crate) fails: (f64, u16),
    /// A bucket that leaks so many requests a second and holds so many; what overflows is refused
    /// with 429 and not counted. This is what nginx does for `limit_req` with `nodelay`.
    pub(crate) bucket: Option<(f64, f64)>,
}

/// An endpoint that answers after 100 ms whatever comes.
pub(crate) const CONSTANT: Endpoint = Endpoint {
    delay: 0.1,
    jitter: 0.0,
    scale: 0.0,
    knee: None,
    workers: None,
    drops_beyond: None,
    defers_beyond: None,
    per_second: None,
    fails: (0.0, 503),
    bucket: None,
};

/// What was measured between settling and the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// The mean of the limit.
    pub(crate) limit: f64,
    /// Deliveries per second.
    pub(crate) per_second: f64,
    /// Attempts answered with 429 or 503 or not at all, as a part of all.
    pub(crate) failed: f64,
}

/// How long an endpoint is delivered to, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Until this, nothing is measured.
    pub(crate) settling: usize,
    /// Until this, it is.
    pub(crate) end: usize,
}

/// Delivers without end to `endpoint`, with all that a stack has and this concurrency.
pub(crate) fn simulate(
    endpoint: Endpoint,
    concurrency: ConcurrencySettings,
    times: Times,
    seed: u64,
) -> Measured {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap_or_else(|error| panic!("a runtime is needed: {error}"));
    runtime.block_on(run(endpoint, concurrency, times))
}

async fn run(endpoint: Endpoint, concurrency: ConcurrencySettings, times: Times) -> Measured {
    let started = Instant::now();
    let settings = settings(concurrency);
    let component = Component::detached();
    let gate = Gate::new(settings.request.retry_after_max, Arc::clone(&component));
    let auth = AuthLayer::new(&settings.auth, None)
        .unwrap_or_else(|error| panic!("no authentication needs no file: {error}"));
    let wire = Wire::new(endpoint);
    let stack = compose(&settings, &gate, &component, auth, wire.clone());
    let deliveries = tokio::spawn(dispatch(stack.clone(), gate));
    sleep_until(started + secs(times.settling)).await;
    let before = wire.state().counted;
    let mut limits = 0.0;
    let mut looks = 0.0;
    while started.elapsed() < secs(times.end) {
        limits += as_f64(stack.limit.current());
        looks += 1.0;
        sleep(Duration::from_millis(50)).await;
    }
    let after = wire.state().counted;
    deliveries.abort();
    let delivered = as_f64(after.delivered - before.delivered);
    Measured {
        limit: limits / looks,
        per_second: delivered / as_f64(times.end - times.settling),
        failed: 1.0 - delivered / as_f64((after.all - before.all).max(1)),
    }
}

/// Delivers as much as gate, limit and pace let through, as the dispatcher of a sink does.
async fn dispatch(stack: Stack, mut gate: Gate) {
    let mut deliveries = JoinSet::new();
    loop {
        let until = match gate.ask() {
            Admission::Closed { until } => until,
            Admission::Probe(probe) => {
                let mut request = Request::new(Bytes::new());
                request.extensions_mut().insert(Trail::of_probe(probe));
                deliveries.spawn(stack.service.clone().oneshot(request));
                None
            }
            Admission::Open => {
                let limit = stack.limit.current() + stack.pauses.count();
                let room = limit.saturating_sub(deliveries.len());
                match stack.rate.available() {
                    Ok(slots) => {
                        for _ in 0..room.min(slots) {
                            let request = Request::new(Bytes::new());
                            deliveries.spawn(stack.service.clone().oneshot(request));
                        }
                        (slots < room).then(|| Instant::now() + Duration::from_millis(5))
                    }
                    Err(wait) => (room > 0).then(|| Instant::now() + wait),
                }
            }
        };
        tokio::select! {
            Some(_) = deliveries.join_next() => {}
            () = gate.changed() => {}
            () = stack.pauses.began() => {}
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
        }
    }
}

fn settings(concurrency: ConcurrencySettings) -> DeliverySettings {
    DeliverySettings {
        endpoint: Uri::from_static("http://endpoint.example/profiles").into(),
        method: Method::POST,
        headers: HeaderMap::new(),
        header_templates: Vec::new(),
        auth: AuthSettings::None,
        request: RequestSettings {
            timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(5),
            http2: Http2::default(),
            proxy: None,
            deadline: Duration::from_secs(30),
            concurrency,
            rate_limit: None,
            honour_rate_limit_headers: true,
            retry: BackoffSettings {
                attempts: 3,
                initial: Duration::from_millis(200),
                max_duration: Duration::from_secs(10),
            },
            retry_after_max: Duration::from_mins(5),
            compression: None,
            classes: Classes::default(),
        },
        signing: None,
        tls: TlsSettings::default(),
    }
}

/// The endpoint as the stack sees it.
#[derive(Clone)]
struct Wire(Arc<(Endpoint, Mutex<State>)>);

struct State {
    counted: Counted,
    in_flight: usize,
    /// The requests of the last second.
    recent: VecDeque<Instant>,
    /// How full the bucket was, and when.
    bucket: (f64, Instant),
}

#[derive(Clone, Copy, Default)]
struct Counted {
    all: usize,
    delivered: usize,
}

/// What a request gets.
enum Reply {
    After(f64, u16),
    Never,
}

impl Wire {
    fn new(endpoint: Endpoint) -> Self {
        let state = State {
            counted: Counted::default(),
            in_flight: 0,
            recent: VecDeque::new(),
            bucket: (0.0, Instant::now()),
        };
        Self(Arc::new((endpoint, Mutex::new(state))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reply(&self) -> Reply {
        let endpoint = &self.0.0;
        let mut state = self.state();
        let now = Instant::now();
        state.counted.all += 1;
        let requests = state.in_flight + 1;
        if endpoint.drops_beyond.is_some_and(|limit| requests > limit) {
            return Reply::Never;
        }
        state.in_flight = requests;
        let status = endpoint.refuses(&mut state, requests, now);
        let requests = if status == 200 { requests } else { 1 };
        Reply::After(endpoint.delay * endpoint.slowness(requests), status)
    }
}

/// A request that is worked on until it is answered or its sender gives up.
struct WorkedOn(Wire);

impl Drop for WorkedOn {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
    }
}

impl Endpoint {
    fn refuses(&self, state: &mut State, requests: usize, now: Instant) -> u16 {
        let (share, status) = self.fails;
        if fastrand::f64() < share {
            return status;
        }
        if self.defers_beyond.is_some_and(|limit| requests > limit) {
            return 503;
        }
        if let Some((limit, status)) = self.per_second {
            while state.recent.front().is_some_and(|at| now - *at >= Duration::from_secs(1)) {
                state.recent.pop_front();
            }
            state.recent.push_back(now);
            if state.recent.len() > limit {
                return status;
            }
        }
        if let Some((leaks, holds)) = self.bucket {
            let (level, at) = state.bucket;
            let level = (level - leaks * (now - at).as_secs_f64() + 1.0).max(0.0);
            if level > holds {
                return 429;
            }
            state.bucket = (level, now);
        }
        200
    }

    fn slowness(&self, requests: usize) -> f64 {
        let knee = self
            .knee
            .map_or(0.0, |(start, base)| base.powf(as_f64(requests.saturating_sub(start))) - 1.0);
        let queue = self.workers.map_or(1.0, |workers| as_f64(requests) / as_f64(workers));
        let jitter = -self.jitter * (1.0 - fastrand::f64()).ln();
        queue.max(1.0) + as_f64(requests - 1) * self.scale + knee + jitter
    }
}

impl Service<Request<Bytes>> for Wire {
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Bytes>, AttemptError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        let reply = self.reply();
        let wire = self.clone();
        Box::pin(async move {
            let Reply::After(secs, status) = reply else { return pending().await };
            let worked_on = WorkedOn(wire);
            sleep(Duration::from_secs_f64(secs)).await;
            worked_on.0.state().counted.delivered += usize::from(status == 200);
            drop(worked_on);
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
            Ok(answer)
        })
    }
}

fn secs(secs: usize) -> Duration {
    Duration::from_secs_f64(as_f64(secs))
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
pub(crate) fn as_f64(count: usize) -> f64 {
    count as f64
}
