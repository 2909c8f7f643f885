//! Services and requests for the tests of the layers.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use tokio::time::{Instant, sleep};
use tower::Service;

use super::{AttemptError, ConcurrencyLimit, ConcurrencySettings, Trail};
use crate::telemetry::Component;

pub(crate) type Outcome = Result<Response<Bytes>, AttemptError>;

pub(crate) fn request() -> Request<Bytes> {
    Request::post("http://endpoint.example/profiles").body(Bytes::from_static(b"{}")).unwrap()
}

pub(crate) fn request_with(trail: &Trail) -> Request<Bytes> {
    let mut request = request();
    request.extensions_mut().insert(trail.clone());
    request
}

pub(crate) fn answer(status: u16) -> Outcome {
    answer_with(status, &[])
}

#[expect(clippy::unnecessary_wraps, reason = "a script plays outcomes")]
pub(crate) fn answer_with(status: u16, headers: &[(HeaderName, &str)]) -> Outcome {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    Ok(answer)
}

pub(crate) fn status(outcome: &Outcome) -> u16 {
    outcome.as_ref().unwrap().status().as_u16()
}

/// A limit that does not move.
pub(crate) fn at_once(attempts: usize) -> ConcurrencyLimit {
    ConcurrencyLimit::new(ConcurrencySettings::Fixed(attempts), &Component::detached())
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Answers by a list, each answer after a while, and 200 at once when the list is used up.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Played>);

#[derive(Default)]
struct Played {
    steps: Mutex<VecDeque<(Duration, Outcome)>>,
    seen: Mutex<Vec<(Instant, Request<Bytes>)>>,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = (Duration, Outcome)>) -> Self {
        let script = Self::default();
        script.0.steps.lock().unwrap().extend(steps);
        script
    }

    /// A script whose answers come at once.
    pub(crate) fn of(outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        Self::new(outcomes.into_iter().map(|outcome| (Duration::ZERO, outcome)))
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.seen.lock().unwrap().len()
    }

    /// When the calls came.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.0.seen.lock().unwrap().iter().map(|(at, _)| *at).collect()
    }

    pub(crate) fn last_request(&self) -> Request<Bytes> {
        self.0.seen.lock().unwrap().last().unwrap().1.clone()
    }

    /// The requests, in their order.
    pub(crate) fn requests(&self) -> Vec<Request<Bytes>> {
        self.0.seen.lock().unwrap().iter().map(|(_, request)| request.clone()).collect()
    }

    /// Calls under way.
    pub(crate) fn running(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    /// The most calls that were under way at once.
    pub(crate) fn most(&self) -> usize {
        self.0.most.load(Ordering::Relaxed)
    }
}

struct Running(Arc<Played>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Service<Request<Bytes>> for Script {
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = Pin<Box<dyn Future<Output = Outcome> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let played = Arc::clone(&self.0);
        played.seen.lock().unwrap().push((Instant::now(), request));
        let next = played.steps.lock().unwrap().pop_front();
        let (after, outcome) = next.unwrap_or((Duration::ZERO, answer(200)));
        let running = played.running.fetch_add(1, Ordering::Relaxed) + 1;
        played.most.fetch_max(running, Ordering::Relaxed);
        let running = Running(played);
        Box::pin(async move {
            let _running = running;
            if !after.is_zero() {
                sleep(after).await;
            }
            outcome
        })
    }
}
