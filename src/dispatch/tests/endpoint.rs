//! An endpoint whose answers a test decides.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
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

type Answers = Box<dyn FnMut(&[Call]) -> Reply + Send>;

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

/// A status for each profile.
pub(super) fn statuses(statuses: &[u16]) -> Reply {
    let mut answer = Response::new(Bytes::from(serde_json::to_vec(statuses).unwrap()));
    *answer.status_mut() = StatusCode::MULTI_STATUS;
    (Duration::ZERO, Ok(answer))
}

pub(super) fn interrupted() -> Reply {
    (Duration::ZERO, Err(AttemptError::Interrupted("reset".to_owned())))
}

/// A profile in a request as the endpoint saw it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The number of the request.
    pub(super) request: usize,
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
    requests: AtomicUsize,
    running: Mutex<Vec<Vec<u32>>>,
    most: AtomicUsize,
}

impl Endpoint {
    /// An endpoint of requests that carry one profile each.
    pub(super) fn new(mut answer: impl FnMut(&Call) -> Reply + Send + 'static) -> Self {
        Self::of_batches(move |calls| answer(&calls[0]))
    }

    pub(super) fn of_batches(answer: impl FnMut(&[Call]) -> Reply + Send + 'static) -> Self {
        Self(Arc::new(Wire {
            started: Instant::now(),
            answer: Mutex::new(Box::new(answer)),
            calls: watch::Sender::default(),
            requests: AtomicUsize::new(0),
            running: Mutex::default(),
            most: AtomicUsize::new(0),
        }))
    }

    pub(super) fn set(&self, mut answer: impl FnMut(&Call) -> Reply + Send + 'static) {
        self.set_batches(move |calls| answer(&calls[0]));
    }

    pub(super) fn set_batches(&self, answer: impl FnMut(&[Call]) -> Reply + Send + 'static) {
        *self.0.answer.lock().unwrap() = Box::new(answer);
    }

    /// How many requests there were.
    pub(super) fn requests(&self) -> usize {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// The ids in each request.
    pub(super) fn batches(&self) -> Vec<Vec<u32>> {
        let mut batches = vec![Vec::new(); self.requests()];
        self.calls().iter().for_each(|call| batches[call.request].push(call.id));
        batches
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
struct Running(Arc<Wire>, Vec<u32>);

impl Running {
    fn begin(wire: &Arc<Wire>, ids: Vec<u32>) -> Self {
        let mut running = wire.running.lock().unwrap();
        for (place, id) in ids.iter().enumerate() {
            assert!(!ids[..place].contains(id), "profile {id} twice in a request");
            let elsewhere = running.iter().flatten().any(|other| other == id);
            assert!(!elsewhere, "two requests of profile {id} at once");
        }
        running.push(ids.clone());
        wire.most.fetch_max(running.len(), Ordering::Relaxed);
        Self(Arc::clone(wire), ids)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.lock().unwrap().retain(|ids| *ids != self.1);
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
        let header = |name: &str| {
            let value = request.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let mut body: Value = serde_json::from_slice(request.body()).unwrap();
        let version = header("profile-version");
        let (profiles, versions) = match body.get_mut("profiles") {
            None => (vec![body], vec![version.unwrap().parse().unwrap()]),
            Some(profiles) => {
                assert_eq!(version, None, "of which profile?");
                let profiles = profiles.as_array_mut().unwrap().split_off(0);
                (profiles, serde_json::from_value(body["versions"].take()).unwrap())
            }
        };
        let number = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let call = |(body, version): (Value, u64)| Call {
            request: number,
            at: self.0.started.elapsed(),
            id: body["id"].as_u64().unwrap().try_into().unwrap(),
            // A last export has none.
            name: body["name"].as_str().unwrap_or_default().to_owned(),
            version,
            idempotency_key: header("idempotency-key").unwrap(),
            url: request.uri().to_string(),
            headers: request.headers().clone(),
            body,
            taken: false,
        };
        assert_eq!(profiles.len(), versions.len());
        let mut calls: Vec<_> = profiles.into_iter().zip(versions).map(call).collect();
        let ids = calls.iter().map(|call| call.id).collect();
        let running = Running::begin(&self.0, ids);
        let (after, outcome) = (self.0.answer.lock().unwrap())(&calls);
        for (place, call) in calls.iter_mut().enumerate() {
            call.taken = is_taken(&outcome, place);
        }
        self.0.calls.send_modify(|seen| seen.extend(calls));
        Box::pin(async move {
            let _running = running;
            if !after.is_zero() {
                sleep(after).await;
            }
            outcome
        })
    }
}

/// Whether the profile at this place was taken, or may have been for all that its sender can know.
fn is_taken(outcome: &Outcome, place: usize) -> bool {
    match outcome {
        Err(error) => error.outcome_unknown(),
        Ok(answer) if answer.status() == StatusCode::MULTI_STATUS => {
            let statuses = serde_json::from_slice::<Vec<u16>>(answer.body()).unwrap_or_default();
            statuses.get(place).is_none_or(|status| (200..300).contains(status))
        }
        Ok(answer) => answer.status().is_success(),
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
