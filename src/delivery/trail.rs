use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use super::Probe;

/// The `Idempotency-Key` of a delivery, the same for each attempt of one version. Carried as a
/// request extension; the headers layer writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub u128);

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The `Profile-Version` of a delivery, carried as a request extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileVersion(pub u64);

/// What happened on the way of one delivery, over all of its attempts. A request extension whose
/// clones share one state, so that it can be read after the delivery has ended.
#[derive(Clone, Debug, Default)]
pub struct Trail(Arc<State>);

#[derive(Debug, Default)]
struct State {
    attempts: AtomicU32,
    unknown: AtomicBool,
    probe: Option<Probe>,
}

impl Trail {
    /// The trail of a probe: one attempt, not retried in the stack, let through a closed gate. The
    /// gate lets the next probe go when this one has ended and no clone of its trail is left.
    pub fn of_probe(mut probe: Probe) -> Self {
        probe.hand_on();
        Self(Arc::new(State { probe: Some(probe), ..State::default() }))
    }

    /// The gate's permission, when this delivery is a probe.
    pub fn probe(&self) -> Option<&Probe> {
        self.0.probe.as_ref()
    }

    /// Notes that an attempt is about to be sent.
    pub fn begin_attempt(&self) {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that an attempt ended without an answer although the endpoint may have taken it.
    pub fn set_unknown(&self) {
        self.0.unknown.store(true, Ordering::Relaxed);
    }

    /// Attempts sent so far.
    pub fn attempts(&self) -> u32 {
        self.0.attempts.load(Ordering::Relaxed)
    }

    /// Whether the outcome of at least one attempt is not known.
    pub fn unknown(&self) -> bool {
        self.0.unknown.load(Ordering::Relaxed)
    }
}
