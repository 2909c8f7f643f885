//! The state machine, without locks, clocks and logs.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    cause::{Cause, Reason},
    handle::{GateState, View},
};
use crate::delivery::Class;

/// Failures in a row that close the gate.
pub(super) const ROW: u32 = 10;
/// The first time until a probe, and the longest.
const FIRST_PROBE: Duration = Duration::from_secs(1);
const LAST_PROBE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct State {
    phase: Phase,
    paused: bool,
    /// Counts the changes between open and closed, so that an answer can be told to be a
    /// straggler's.
    epoch: u64,
    /// The probe that is out.
    probing: Option<u64>,
    probes: u64,
}

#[derive(Debug)]
enum Phase {
    Open { failed: u32 },
    Closed(Closure),
}

#[derive(Debug)]
struct Closure {
    cause: Cause,
    until: Instant,
    /// Until when the endpoint has asked us to wait; no later than `until`.
    asked_until: Instant,
    /// The pause before the latest probe.
    interval: Duration,
}

/// The permission to send one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    epoch: u64,
    /// The probe that this is.
    probe: Option<u64>,
}

/// What an attempt showed. The cause is only worked out when it is needed.
pub(super) struct Outcome<'a> {
    pub(super) class: Class,
    pub(super) retry_after: Option<Duration>,
    /// The cause, given how many attempts have failed in a row.
    pub(super) cause: &'a dyn Fn(u32) -> Cause,
}

/// What may be sent now.
pub(super) enum Answer {
    Open,
    Probe { id: u64, closure: u64 },
    Closed { until: Option<Instant> },
}

impl State {
    pub(super) fn new() -> Self {
        let phase = Phase::Open { failed: 0 };
        Self { phase, paused: false, epoch: 0, probing: None, probes: 0 }
    }

    pub(super) fn ask(&mut self, now: Instant) -> Answer {
        match &self.phase {
            _ if self.paused => Answer::Closed { until: None },
            Phase::Open { .. } => Answer::Open,
            Phase::Closed(_) if self.probing.is_some() => Answer::Closed { until: None },
            Phase::Closed(closure) if now < closure.until => {
                Answer::Closed { until: Some(closure.until) }
            }
            Phase::Closed(_) => {
                self.probes += 1;
                self.probing = Some(self.probes);
                Answer::Probe { id: self.probes, closure: self.epoch }
            }
        }
    }

    /// Whether an attempt may be sent now.
    pub(super) fn enter(&self, probe: Option<u64>, now: Instant) -> Option<Pass> {
        let probe = match &self.phase {
            _ if self.paused => return None,
            Phase::Open { .. } => None,
            Phase::Closed(closure) => {
                // The endpoint may have asked us to wait since the probe was let go.
                if probe.is_none() || probe != self.probing || closure.asked_to_wait(now) {
                    return None;
                }
                probe
            }
        };
        Some(Pass { epoch: self.epoch, probe })
    }

    /// Takes note of how an attempt ended. Says whether what the gate lets through changed.
    pub(super) fn record(&mut self, pass: Pass, outcome: &Outcome<'_>, now: Instant) -> bool {
        if pass.probe.is_some() {
            return self.record_probe(pass, outcome, now);
        }
        if let Some(wait) = outcome.retry_after {
            let changed = self.close((outcome.cause)(1), wait, now);
            self.note_asked(now + wait);
            return changed;
        }
        match (&mut self.phase, outcome.class) {
            // What was sent before the gate last opened says nothing about the time since.
            (Phase::Open { .. }, _) if pass.epoch != self.epoch => false,
            // An answer about the profile, too: the endpoint works.
            (Phase::Open { failed }, Class::Delivered | Class::Refused) => {
                *failed = 0;
                false
            }
            (Phase::Open { failed }, Class::Later) if *failed + 1 < ROW => {
                *failed += 1;
                false
            }
            (Phase::Open { .. }, Class::Later) => {
                self.close((outcome.cause)(ROW), FIRST_PROBE, now)
            }
            // Also from a request that was sent before the gate closed: it may tell more.
            (_, Class::Endpoint) => self.close((outcome.cause)(1), self.interval(), now),
            (Phase::Closed(_), _) => false,
        }
    }

    fn record_probe(&mut self, pass: Pass, outcome: &Outcome<'_>, now: Instant) -> bool {
        if self.probing != pass.probe {
            return false;
        }
        self.probing = None;
        let Phase::Closed(closure) = &mut self.phase else {
            return true;
        };
        if outcome.class == Class::Delivered {
            // Unless the endpoint, asked elsewhere meanwhile, wanted us to wait.
            if !closure.asked_to_wait(now) {
                self.open();
            }
            return true;
        }
        // An answer about the profile says that the endpoint works, though not that it would take
        // any: that does not open the gate, but it is no reason to wait longer each time either.
        if outcome.class != Class::Refused {
            closure.interval = (closure.interval * 2).min(LAST_PROBE);
        }
        let pause = closure.interval.max(outcome.retry_after.unwrap_or_default());
        self.close((outcome.cause)(1), pause, now);
        if let Some(wait) = outcome.retry_after {
            self.note_asked(now + wait);
        }
        true
    }

    /// Notes until when the endpoint has asked us to wait.
    fn note_asked(&mut self, until: Instant) {
        if let Phase::Closed(closure) = &mut self.phase {
            closure.asked_until = closure.asked_until.max(until);
        }
    }

    /// Closes the gate for `pause`, or prolongs its being closed: the later end holds, with its
    /// cause.
    pub(super) fn close(&mut self, cause: Cause, pause: Duration, now: Instant) -> bool {
        let until = now + pause;
        match &mut self.phase {
            Phase::Open { .. } => {
                self.epoch += 1;
                self.phase = Phase::Closed(Closure {
                    cause,
                    until,
                    asked_until: now,
                    interval: FIRST_PROBE,
                });
                true
            }
            Phase::Closed(closure) if until >= closure.until => {
                closure.cause = cause;
                closure.until = until;
                true
            }
            Phase::Closed(_) => false,
        }
    }

    /// The pause before the next probe where nothing else is said.
    pub(super) fn interval(&self) -> Duration {
        match &self.phase {
            Phase::Open { .. } => FIRST_PROBE,
            Phase::Closed(closure) => closure.interval,
        }
    }

    /// The probe will not be sent; another may go. Says whether this is news.
    pub(super) fn give_back(&mut self, probe: u64) -> bool {
        let out = self.probing == Some(probe);
        if out {
            self.probing = None;
        }
        out
    }

    pub(super) fn pause(&mut self) -> bool {
        !std::mem::replace(&mut self.paused, true)
    }

    pub(super) fn resume(&mut self) -> bool {
        let was_paused = std::mem::replace(&mut self.paused, false);
        if was_paused && matches!(self.phase, Phase::Open { .. }) {
            self.open();
        }
        was_paused
    }

    /// Lets a probe go now, or as soon as the endpoint has asked us to wait no longer.
    pub(super) fn probe_now(&mut self, now: Instant) -> bool {
        match &mut self.phase {
            Phase::Closed(closure) if closure.until > now.max(closure.asked_until) => {
                closure.until = now.max(closure.asked_until);
                true
            }
            _ => false,
        }
    }

    pub(super) fn view(&self) -> View {
        match &self.phase {
            _ if self.paused => {
                View { state: GateState::Closed, reason: Some(Reason::Paused), until: None }
            }
            Phase::Open { .. } => View { state: GateState::Open, reason: None, until: None },
            Phase::Closed(Closure { cause, until, .. }) => {
                let (state, until) = match self.probing {
                    Some(_) => (GateState::Probing, None),
                    None => (GateState::Closed, Some(*until)),
                };
                View { state, reason: Some(cause.reason), until }
            }
        }
    }

    /// What an operator should know and do.
    pub(super) fn message(&self) -> Option<&str> {
        match &self.phase {
            _ if self.paused => Some("paused by hand; resume it through the API"),
            Phase::Open { .. } => None,
            Phase::Closed(closure) => Some(&closure.cause.message),
        }
    }

    fn open(&mut self) {
        self.epoch += 1;
        self.phase = Phase::Open { failed: 0 };
    }
}

impl Closure {
    fn asked_to_wait(&self, now: Instant) -> bool {
        now < self.asked_until
    }
}
