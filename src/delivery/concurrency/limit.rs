use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::control::{Control, Seen};
use crate::{delivery::ConcurrencySettings, telemetry::Component};

/// How many attempts may be under way at once. Clones are handles of the same limit.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit(Arc<Shared>);

/// How an attempt ended, as far as it tells what the endpoint bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The endpoint took it.
    Delivered,
    /// The endpoint answered, though not that it took it.
    Answered,
    /// The endpoint pushed back: it said *later*, or nothing in time.
    PushedBack,
    /// It tells nothing.
    Unclear,
}

#[derive(Debug)]
struct Shared {
    permits: Arc<Semaphore>,
    limit: AtomicUsize,
    /// Permits that were out when the limit shrank and are forgotten as they come back.
    owed: AtomicUsize,
    /// Attempts on the wire: fewer than permits out, whose holders may wait for a slot or a token.
    in_flight: AtomicUsize,
    /// The most that were on the wire in the control's current round.
    peak: AtomicUsize,
    /// Whether the control has anything to decide: a fixed limit has only after a restart.
    moves: AtomicBool,
    control: Mutex<Control>,
    component: Arc<Component>,
}

/// One of the permits, which goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    limit: ConcurrencyLimit,
    permit: Option<OwnedSemaphorePermit>,
}

impl ConcurrencyLimit {
    /// A limit by these settings, of at least 1. It is shown among the metrics of `component`.
    ///
    /// An adaptive one begins at 4, and doubles with each round of answers until there is a first
    /// sign that this is too much.
    pub fn new(settings: ConcurrencySettings, component: &Arc<Component>) -> Self {
        let most = settings.most().clamp(1, Semaphore::MAX_PERMITS);
        let is_adaptive = matches!(settings, ConcurrencySettings::Adaptive { .. });
        let control = Control::new(most, is_adaptive, Instant::now());
        let limit = control.limit();
        let shared = Shared {
            permits: Arc::new(Semaphore::new(limit)),
            limit: AtomicUsize::new(limit),
            owed: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            moves: AtomicBool::new(control.moves()),
            control: Mutex::new(control),
            component: Arc::clone(component),
        };
        let limit = Self(Arc::new(shared));
        limit.show();
        limit
    }

    /// How many attempts may be under way now.
    pub fn current(&self) -> usize {
        self.0.limit.load(Relaxed)
    }

    /// Begins anew with a few attempts at once, as after a time in which the endpoint took nothing,
    /// and grows from there to what the limit was by one with each delivery.
    pub fn restart(&self) {
        self.change(Control::restart);
    }

    /// Notes that an attempt goes to the wire, and tells when. [`end`](Self::end) has to follow.
    pub fn begin(&self) -> Instant {
        let shared = &*self.0;
        let in_flight = shared.in_flight.fetch_add(1, Relaxed) + 1;
        shared.component.concurrency_in_flight.inc();
        if in_flight > shared.peak.load(Relaxed) {
            shared.peak.fetch_max(in_flight, Relaxed);
        }
        Instant::now()
    }

    /// Notes how the attempt ended that had begun then.
    pub fn end(&self, began: Instant, ended: Ended) {
        let shared = &*self.0;
        let in_flight = shared.in_flight.fetch_sub(1, Relaxed) - 1;
        shared.component.concurrency_in_flight.dec();
        if ended == Ended::Unclear || !shared.moves.load(Relaxed) {
            return;
        }
        self.change(|control, now| {
            let peak = shared.peak.load(Relaxed);
            if control.see(&Seen { began, now, ended, peak }) {
                shared.peak.store(in_flight, Relaxed);
            }
        });
    }

    pub(super) fn permits(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.permits)
    }

    pub(super) fn held(&self, permit: OwnedSemaphorePermit) -> Permit {
        Permit { limit: self.clone(), permit: Some(permit) }
    }

    /// Lets the control decide, and makes as many permits as it says.
    fn change(&self, decide: impl FnOnce(&mut Control, Instant)) {
        let shared = &*self.0;
        let now = Instant::now();
        // Nothing panics between the parts of a decision.
        let mut control = shared.control.lock().unwrap_or_else(PoisonError::into_inner);
        let before = control.limit();
        decide(&mut control, now);
        shared.moves.store(control.moves(), Relaxed);
        let limit = control.limit();
        if limit == before {
            return;
        }
        shared.limit.store(limit, Relaxed);
        if limit > before {
            let more = limit - before;
            let kept = self.settle_owed(more);
            shared.permits.add_permits(more - kept);
        } else {
            let fewer = before - limit;
            let forgotten = shared.permits.forget_permits(fewer);
            shared.owed.fetch_add(fewer - forgotten, Relaxed);
        }
        // Under the lock, so that the last decision is what is shown.
        self.show();
    }

    /// Takes up to `most` off what is owed, and says how many it were.
    fn settle_owed(&self, most: usize) -> usize {
        let owed = &self.0.owed;
        if owed.load(Relaxed) == 0 {
            return 0;
        }
        let less = |owed: usize| Some(owed.saturating_sub(most));
        owed.fetch_update(Relaxed, Relaxed, less).map_or(0, |owed| owed.min(most))
    }

    /// Shows the limit among the metrics, where another of the same component may show its own.
    pub(crate) fn show(&self) {
        self.0.component.concurrency_limit.set(i64::try_from(self.current()).unwrap_or(i64::MAX));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        if self.limit.settle_owed(1) == 1 {
            permit.forget();
        }
    }
}
