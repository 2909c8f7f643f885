//! An endpoint whose answers a test decides.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tower::Service;

use super::support::SEGMENT;
use crate::delivery::{
    AttemptError,
    test_support::{Outcome, answer, secs},
};

/// An answer and how long it takes.
pub(super) type Reply = (Duration, Outcome);

type Answers = Box<dyn FnMut(&Call) -> Reply + Send>;

pub(super) fn at_once(status: u16) -> Reply {
    (Duration::ZERO, answer(status))
}

pub(super) fn after(wait: Duration, status: u16) -> Reply {
    (wait, answer(status))
}

/// Longer than an attempt may take.
pub(super) fn hangs() -> Reply {
    (secs(3600), answer(200))
}

pub(super) fn interrupted() -> Reply {
    (Duration::ZERO, Err(AttemptError::Interrupted("reset".to_owned())))
}

/// A request as the endpoint saw it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// When, since the rig was started.
    pub(super) at: Duration,
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) version: u64,
    pub(super) idempotency_key: String,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
    /// Whether the endpoint took it, or may have for all that its sender can know.
    pub(super) taken: bool,
}

/// The endpoint. Clones share it.
#[derive(Clone)]
pub(super) struct Endpoint(Arc<Wire>);

struct Wire {
    started: Instant,
    answer: Mutex<Answers>,
    calls: watch::Sender<Vec<Call>>,
    running: Mutex<HashMap<u32, usize>>,
    most: AtomicUsize,
}

impl Endpoint {
    pub(super) fn new(answer: impl FnMut(&Call) -> Reply + Send + 'static) -> Self {
        Self(Arc::new(Wire {
            started: Instant::now(),
            answer: Mutex::new(Box::new(answer)),
            calls: watch::Sender::default(),
            running: Mutex::default(),
            most: AtomicUsize::new(0),
        }))
    }

    pub(super) fn set(&self, answer: impl FnMut(&Call) -> Reply + Send + 'static) {
        *self.0.answer.lock().unwrap() = Box::new(answer);
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.0.calls.borrow().clone()
    }

    pub(super) fn calls_of(&self, id: u32) -> Vec<Call> {
        self.0.calls.borrow().iter().filter(|call| call.id == id).cloned().collect()
    }

    pub(super) fn count(&self) -> usize {
        self.0.calls.borrow().len()
    }

    /// The ids of all calls, in their order.
    pub(super) fn ids(&self) -> Vec<u32> {
        self.0.calls.borrow().iter().map(|call| call.id).collect()
    }

    /// When the calls came.
    pub(super) fn times(&self) -> Vec<Duration> {
        self.0.calls.borrow().iter().map(|call| call.at).collect()
    }

    /// The time between each two calls.
    pub(super) fn gaps(&self) -> Vec<Duration> {
        gaps(&self.times())
    }

    /// The most requests that were under way at once.
    pub(super) fn most(&self) -> usize {
        self.0.most.load(Ordering::Relaxed)
    }

    /// Waits for the `n`th call.
    pub(super) async fn reached(&self, n: usize) -> Call {
        let mut calls = self.0.calls.subscribe();
        let reached = timeout(secs(86_400), calls.wait_for(|calls| calls.len() >= n)).await;
        reached.expect("no further request for a day").unwrap()[n - 1].clone()
    }
}

/// A request under way, until it is answered or dropped.
struct Running(Arc<Wire>, u32);

impl Running {
    fn begin(wire: &Arc<Wire>, id: u32) -> Self {
        let mut running = wire.running.lock().unwrap();
        let of_profile = running.entry(id).or_default();
        *of_profile += 1;
        assert_eq!(*of_profile, 1, "two requests of profile {id} at once");
        wire.most.fetch_max(running.values().sum(), Ordering::Relaxed);
        Self(Arc::clone(wire), id)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(running) = self.0.running.lock().unwrap().get_mut(&self.1) {
            *running -= 1;
        }
    }
}

impl Service<Request<Bytes>> for Endpoint {
    type Response = Response<Bytes>;
    type Error = AttemptError;
    type Future = Pin<Box<dyn Future<Output = Outcome> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AttemptError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let mut call = Call {
            at: self.0.started.elapsed(),
            id: body["id"].as_u64().unwrap().try_into().unwrap(),
            name: body["name"].as_str().unwrap().to_owned(),
            version: header("profile-version").parse().unwrap(),
            idempotency_key: header("idempotency-key"),
            url: request.uri().to_string(),
            headers: request.headers().clone(),
            body,
            taken: false,
        };
        let running = Running::begin(&self.0, call.id);
        let (after, outcome) = (self.0.answer.lock().unwrap())(&call);
        call.taken = outcome.as_ref().is_ok_and(|answer| answer.status().is_success())
            || outcome.as_ref().is_err_and(AttemptError::outcome_unknown);
        self.0.calls.send_modify(|calls| calls.push(call));
        Box::pin(async move {
            let _running = running;
            if !after.is_zero() {
                sleep(after).await;
            }
            outcome
        })
    }
}

/// The time between each two of these times.
pub(super) fn gaps(times: &[Duration]) -> Vec<Duration> {
    times.windows(2).map(|pair| pair[1].checked_sub(pair[0]).unwrap()).collect()
}

/// Whether an export says that the profile is a member.
pub(super) fn says_member(call: &Call) -> bool {
    call.body["segmentMembership"]["ups"][SEGMENT]["status"] == "realized"
}
