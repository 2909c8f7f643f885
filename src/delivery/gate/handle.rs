use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::Response;
use tokio::{sync::watch, time::Instant};
use tracing::{debug, field::debug as debug_value, info, warn};

use super::{
    cause::{Cause, Reason},
    probe::Probe,
    state::{Answer, Outcome, Pass, State},
};
use crate::{
    delivery::{AttemptError, Class, ConcurrencyLimit, retry_after},
    telemetry::Component,
};

/// The gate of one sink. Clones are handles of the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    shared: Arc<Shared>,
    /// What this handle has seen of the changes.
    changes: watch::Receiver<()>,
}

/// What the gate lets through now.
#[derive(Debug)]
pub enum Admission {
    /// Anything, as far as the [limit](Gate::restarts) allows.
    Open,
    /// One delivery with [`Trail::of_probe`](super::super::Trail::of_probe). Until it has ended, or
    /// the permission has been dropped, no other is let through.
    Probe(Probe),
    /// Nothing.
    Closed {
        /// When to ask again; where absent, when the gate has [changed](Gate::changed).
        until: Option<Instant>,
    },
}

/// The three states of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateState {
    /// Everything is let through.
    Open,
    /// Nothing is.
    Closed,
    /// A probe is out.
    Probing,
}

impl GateState {
    /// The name, as status and metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Probing => "probing",
        }
    }
}

/// The state of a gate, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateStatus {
    /// The state.
    pub state: GateState,
    /// Why it is not open.
    pub reason: Option<Reason>,
    /// What an operator should know and do about that.
    pub message: Option<String>,
    /// When the next probe goes; absent while one is out, and where none will go.
    pub until: Option<Instant>,
}

/// What the handles, the layer and the probes share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    component: Arc<Component>,
    retry_after_max: Duration,
    /// Restarted when the gate opens.
    limit: Mutex<Option<ConcurrencyLimit>>,
}

impl Gate {
    /// A gate that is open. No `Retry-After` keeps it closed for longer than `retry_after_max`. Its
    /// state is shown among the metrics of `component`.
    pub fn new(retry_after_max: Duration, component: Arc<Component>) -> Self {
        let (sender, changes) = watch::channel(());
        let state = State::new();
        let labels = state.view().labels();
        component.gate(labels, labels);
        let state = Mutex::new(state);
        let shared =
            Shared { state, changed: sender, component, retry_after_max, limit: Mutex::default() };
        let shared = Arc::new(shared);
        Self { shared, changes }
    }

    /// Lets `limit`, in place of a former one, begin with a few attempts at once whenever the gate
    /// opens: an endpoint that has only just recovered is not to be met by all that waited.
    pub fn restarts(&self, limit: ConcurrencyLimit) {
        *self.shared.limit() = Some(limit);
    }

    /// Takes the place of a former gate of the same component: it is paused if that one was, and
    /// only its own state shows among the metrics.
    pub fn take_over(&self, former: &Self) {
        if former.status().reason == Some(Reason::Paused) {
            self.pause();
        }
        let (own, former) = (self.shared.lock().view(), former.shared.lock().view());
        self.shared.component.gate(former.labels(), own.labels());
    }

    /// Makes its own state the only one that shows after another gate of the same component was
    /// [made](Self::new).
    pub fn show(&self) {
        self.shared
            .component
            .gate(State::new().view().labels(), self.shared.lock().view().labels());
    }

    /// Shows no state any more.
    pub fn retire(&self) {
        let labels = self.shared.lock().view().labels();
        self.shared.component.no_gate(labels);
    }

    /// What may be sent now.
    pub fn ask(&self) -> Admission {
        let answer = self.shared.update(|state, now| {
            let answer = state.ask(now);
            let probing = matches!(answer, Answer::Probe { .. });
            // Told to no handle: who asked knows.
            (answer, if probing { Change::Shown } else { Change::None })
        });
        match answer {
            Answer::Open => Admission::Open,
            Answer::Closed { until } => Admission::Closed { until },
            Answer::Probe { id, closure } => {
                Admission::Probe(Probe::new(Arc::clone(&self.shared), id, closure))
            }
        }
    }

    /// Waits until the state has changed since this handle last waited. A change that came before
    /// the call is not missed; it may already be known from [`ask`](Self::ask). What only the asker
    /// does does not count: that it got a [`Probe`], and that it dropped it for want of a profile.
    pub async fn changed(&mut self) {
        // The sender lives as long as `self.shared`.
        let _ = self.changes.changed().await;
    }

    /// Closes the gate for a reason that single answers do not show, or prolongs its being closed.
    /// The first probe goes after a second.
    pub fn close(&self, reason: Reason, message: impl Into<String>) {
        let cause = Cause { reason, message: message.into() };
        self.shared.update(|state, now| ((), state.close(cause, state.interval(), now).into()));
    }

    /// Closes the gate until it is resumed.
    pub fn pause(&self) {
        self.shared.update(|state, _| ((), state.pause().into()));
    }

    /// Ends a pause. If the gate was closed for another reason too, that reason holds on.
    pub fn resume(&self) {
        self.shared.update(|state, _| ((), state.resume().into()));
    }

    /// Notes that a profile has become due after none was: where only failures keep the gate
    /// closed, the profile need not wait for the time of the next probe, but is one at once.
    pub fn profile_due_after_empty(&self) {
        self.shared.update(|state, now| ((), state.probe_now(now).into()));
    }

    /// The state, for people.
    pub fn status(&self) -> GateStatus {
        let state = self.shared.lock();
        let View { state: phase, reason, until } = state.view();
        GateStatus { state: phase, reason, message: state.message().map(str::to_owned), until }
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Shared {
    pub(super) fn enter(&self, probe: Option<u64>) -> Option<Pass> {
        self.lock().enter(probe, Instant::now())
    }

    /// Tells the gate how an attempt ended that it let through.
    pub(super) fn record<B>(
        &self,
        pass: Pass,
        class: Class,
        result: &Result<Response<B>, AttemptError>,
    ) {
        let asked = match result {
            Ok(answer)
                if class == Class::Later && matches!(answer.status().as_u16(), 429 | 503) =>
            {
                retry_after(answer.headers()).map(|wait| wait.min(self.retry_after_max))
            }
            _ => None,
        };
        let cause = |row| match (class, asked) {
            (Class::Endpoint, _) => Cause::of_endpoint(result),
            (Class::Refused, _) => Cause::of_refused_probe(result),
            (_, Some(wait)) => Cause::of_retry_after(wait, result),
            (_, None) => Cause::of_row(row, result),
        };
        let outcome = Outcome { class, retry_after: asked, cause: &cause };
        self.update(|state, now| ((), state.record(pass, &outcome, now).into()));
    }

    /// Takes a probe back that will not be sent. The handles are told unless the asker dropped it
    /// itself.
    pub(super) fn give_back(&self, probe: u64, tell: bool) {
        let change = if tell { Change::Told } else { Change::Shown };
        self.update(|state, _| ((), if state.give_back(probe) { change } else { Change::None }));
    }

    /// Changes the state and tells of it as far as `change` says.
    fn update<T>(&self, change: impl FnOnce(&mut State, Instant) -> (T, Change)) -> T {
        let now = Instant::now();
        let mut state = self.lock();
        let before = state.view();
        let (value, change) = change(&mut state, now);
        if change != Change::None {
            // Under the lock, so that metrics and log tell the changes in their order.
            self.show(before, &state, now);
        }
        drop(state);
        if change == Change::Told {
            self.changed.send_replace(());
        }
        value
    }

    fn show(&self, before: View, state: &State, now: Instant) {
        let after = state.view();
        if before.state != GateState::Open && after.state == GateState::Open {
            // Before anyone hears of the opening.
            if let Some(limit) = &*self.limit() {
                limit.restart();
            }
        }
        self.component.gate(before.labels(), after.labels());
        let sink = self.component.name();
        let Some(reason) = after.reason else {
            if before.state != GateState::Open {
                info!(sink, "the endpoint takes profiles: the gate is open");
            }
            return;
        };
        let message = state.message().unwrap_or_default();
        let probe_in = after.until.map(|until| debug_value(until.saturating_duration_since(now)));
        if after.state == GateState::Probing {
            debug!(sink, %reason, "a probe goes");
        } else if before.reason == Some(reason) {
            debug!(sink, %reason, probe_in, "the gate stays closed: {message}");
        } else if reason == Reason::Paused {
            info!(sink, "the gate is closed by hand");
        } else {
            warn!(sink, %reason, probe_in, "the gate is closed, profiles wait: {message}");
        }
    }

    fn limit(&self) -> MutexGuard<'_, Option<ConcurrencyLimit>> {
        // A handle is whole whatever happened to the thread that put it there.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the parts of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who is to hear of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// There was none.
    None,
    /// Metrics and log.
    Shown,
    /// The handles that wait, too.
    Told,
}

impl From<bool> for Change {
    fn from(changed: bool) -> Self {
        if changed { Self::Told } else { Self::None }
    }
}

/// What the state looks like from outside, but for the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) state: GateState,
    pub(super) reason: Option<Reason>,
    pub(super) until: Option<Instant>,
}

impl View {
    fn labels(self) -> (&'static str, &'static str) {
        (self.state.name(), self.reason.map_or("none", Reason::name))
    }
}
