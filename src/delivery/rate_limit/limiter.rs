use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http::HeaderMap;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use super::{
    learned::{Change, ENOUGH, Learned, Meter, PATIENCE, Share},
    pace::Pace,
    told::{self, Told},
};
use crate::delivery::RateLimitSettings;

/// How late a timer may wake a waiter.
pub(super) const GRAIN: Duration = Duration::from_millis(5);

/// After this time a waiter looks whether its slot comes earlier than it was said to.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The slots of one endpoint. Clones share them.
///
/// Of the pace that was promised, the one that was learned from refusals and the one that the
/// endpoint's headers ask for, the slowest holds.
#[derive(Clone, Debug)]
pub struct RateLimiter(Arc<Slots>);

#[derive(Debug)]
struct Slots {
    state: Mutex<State>,
    /// Whether there is any pace to keep.
    paced: AtomicBool,
    /// One permit: whoever holds it is first in line and waits for the next slot. So a slot wakes
    /// one waiter, in order of arrival, and one that gives up leaves the line as if it never came.
    line: Semaphore,
    /// Those in line, the first included.
    waiting: AtomicU32,
    /// Attempts that have begun and not ended, where the pace learns.
    in_flight: AtomicUsize,
}

#[derive(Debug)]
struct State {
    /// When the next slot falls due, evenly spaced.
    next: Instant,
    promised: Option<Pace>,
    learned: Option<Learned>,
    told: Option<Told>,
    meter: Meter,
    /// What was refused lately.
    share: Share,
    /// Until when few refusals are borne, which have nothing to do with the pace.
    borne_until: Instant,
    /// Whether someone had to wait for a slot since an attempt last ended.
    waited: bool,
}

impl RateLimiter {
    /// A limiter whose first slot is free now.
    pub fn new(settings: RateLimitSettings) -> Self {
        Self::with(Some(Pace::promised(settings)))
    }

    /// A limiter without a pace of its own. It may still learn one.
    pub fn unlimited() -> Self {
        Self::with(None)
    }

    fn with(promised: Option<Pace>) -> Self {
        let now = Instant::now();
        let state = State {
            next: now,
            promised,
            learned: None,
            told: None,
            meter: Meter::new(now),
            share: Share::default(),
            borne_until: now,
            waited: false,
        };
        Self(Arc::new(Slots {
            state: Mutex::new(state),
            paced: AtomicBool::new(promised.is_some()),
            line: Semaphore::new(1),
            waiting: AtomicU32::new(0),
            in_flight: AtomicUsize::new(0),
        }))
    }

    /// Takes a slot if one is free and nobody waits for it.
    pub fn try_take(&self) -> bool {
        if !self.0.paced.load(Relaxed) {
            return true;
        }
        let now = Instant::now();
        self.0.line.try_acquire().is_ok_and(|_first| self.0.book(now, now).is_ok())
    }

    /// Waits for a slot and takes it. Slots are given out in the order in which they were asked
    /// for. Dropped before its end, it has taken nothing.
    pub async fn take(&self) {
        let slots = &*self.0;
        if !slots.paced.load(Relaxed) {
            return;
        }
        let asked = Instant::now();
        let _waiting = Waiting::new(&slots.waiting);
        let _first = slots.line.acquire().await.expect("the semaphore is never closed");
        loop {
            let now = Instant::now();
            let Err(free) = slots.book(now, asked) else { return };
            sleep_until(free.min(now + LOOK_AGAIN)).await;
        }
    }

    /// The time between two slots, zero where there is no pace to keep.
    pub fn interval(&self) -> Duration {
        if !self.0.paced.load(Relaxed) {
            return Duration::ZERO;
        }
        self.0.state().pace(Instant::now()).map_or(Duration::ZERO, |pace| pace.interval)
    }

    /// How many more attempts could have a slot at once or within the timer's grain of 5 ms, or how
    /// long it is until one could, as far as is known, or until that has to be asked again. Those
    /// who wait already are served first.
    pub fn available(&self) -> Result<usize, Duration> {
        if !self.0.paced.load(Relaxed) {
            return Ok(usize::MAX);
        }
        let now = Instant::now();
        let mut state = self.0.state();
        let Some(pace) = state.pace(now) else { return Ok(usize::MAX) };
        let horizon = now + pace.tolerance + GRAIN;
        let waiting = self.0.waiting.load(Relaxed);
        let next = state.next_at(pace, now).max(state.not_before(now));
        let mine = next + pace.interval.saturating_mul(waiting);
        if mine > horizon {
            state.waited = true;
            let lasts = state.told.as_ref().and_then(|told| told.lasts(now));
            return Err(lasts.map_or(mine - horizon, |lasts| lasts.min(mine - horizon)));
        }
        Ok(pace.slots_in(horizon - mine))
    }

    /// Notes that an attempt begins.
    pub(super) fn begin(&self) {
        self.0.in_flight.fetch_add(1, Relaxed);
    }

    /// Notes that an attempt has ended.
    pub(super) fn end(&self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }

    /// Learns from an attempt that began at `began` and was taken.
    pub(super) fn took(&self, began: Instant) -> Option<Change> {
        let now = Instant::now();
        let mut state = self.0.state();
        let state = &mut *state;
        let waited = std::mem::take(&mut state.waited);
        state.meter.count(now);
        state.share.took(ENOUGH);
        let learned = state.learned.as_mut()?;
        if learned.took(began, now, waited) {
            return None;
        }
        state.learned = None;
        Some(Change::Forgotten)
    }

    /// Learns from an attempt that began at `began` and was refused for coming too fast.
    pub(super) fn too_fast(&self, began: Instant) -> Option<Change> {
        let now = Instant::now();
        let mut state = self.0.state();
        let state = &mut *state;
        state.share.refused();
        if now < state.borne_until && !state.share.is_large() {
            return None;
        }
        let change = match &mut state.learned {
            Some(learned) => learned.refused(began, now, state.meter.per_second(now))?,
            none => {
                // Where hardly anything is refused, what is allowed is near to what is sent.
                let meter = &mut state.meter;
                let is_small = state.share.is_small();
                let rate = if is_small { meter.at_once(now) } else { meter.per_second(now) };
                none.insert(Learned::new(now, rate)).begun()
            }
        };
        if change == Change::GivenUp {
            state.learned = None;
            state.share = Share::default();
            state.borne_until = now + PATIENCE;
        } else if let Some(learned) = &state.learned {
            state.next = state.next.max(now + learned.pace().interval);
            self.0.paced.store(true, Relaxed);
        }
        Some(change)
    }

    /// Heeds what an answer says about the quota that is left, but stops for no longer than
    /// `longest`.
    pub(super) fn heed(&self, headers: &HeaderMap, longest: Duration) {
        // The answer's own attempt has not ended yet.
        let others = self.0.in_flight.load(Relaxed).saturating_sub(1);
        let Some(quota) = told::read(headers) else { return };
        let now = Instant::now();
        let told = quota.slows(others, now, longest);
        let mut state = self.0.state();
        if told.is_some() {
            self.0.paced.store(true, Relaxed);
        }
        state.told = told;
    }
}

impl Slots {
    /// Takes the slot that is free at `now` for someone who has asked for it since `asked`, or says
    /// when one will be.
    fn book(&self, now: Instant, asked: Instant) -> Result<(), Instant> {
        let mut state = self.state();
        let Some(pace) = state.pace(now) else {
            // Under the lock, so that nobody sets a pace meanwhile.
            self.paced.store(false, Relaxed);
            return Ok(());
        };
        let next = state.next_at(pace, now);
        let early = next.saturating_duration_since(now + pace.tolerance);
        let free = state.not_before(now).max(now + early);
        if free > now {
            state.waited = true;
            return Err(free);
        }
        let since = now.checked_sub(pace.grain).map_or(asked, |grain| asked.max(grain));
        state.next = next.max(since) + pace.interval;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the parts of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The slowest pace that there is to keep.
    fn pace(&self, now: Instant) -> Option<Pace> {
        let learned = self.learned.as_ref().map(Learned::pace);
        let told = self.told.as_ref().and_then(|told| told.pace(now));
        [self.promised, learned, told].into_iter().flatten().max_by_key(|pace| pace.interval)
    }

    /// When the next slot falls due at this pace. One that was reckoned at a slower pace comes the
    /// earlier: what made the sink wait holds no longer.
    fn next_at(&mut self, pace: Pace, now: Instant) -> Instant {
        self.next = self.next.min(now + pace.tolerance + pace.interval);
        self.next
    }

    /// Until when the quota that is used up stops everything.
    fn not_before(&self, now: Instant) -> Instant {
        self.told.as_ref().map_or(now, |told| told.from.max(now))
    }
}

struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
