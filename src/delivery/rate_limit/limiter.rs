use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use crate::delivery::RateLimitSettings;

/// How late a timer may wake a waiter. A waiter keeps the slot that it would have had on time, as
/// far back as this; so a pace of many slots in each of the timer's ticks can be kept at all.
const GRAIN: Duration = Duration::from_millis(5);

/// The slots of one endpoint. Clones share them.
#[derive(Clone, Debug)]
pub struct RateLimiter(Arc<Slots>);

#[derive(Debug)]
struct Slots {
    /// The time between two slots.
    interval: Duration,
    /// How much earlier than evenly spaced a slot may be used: the burst.
    tolerance: Duration,
    /// When the next slot falls due, evenly spaced.
    next: Mutex<Instant>,
    /// One permit: whoever holds it is first in line and waits for the next slot. So a slot wakes
    /// one waiter, in order of arrival, and one that gives up leaves the line as if it never came.
    line: Semaphore,
    /// Those in line, the first included.
    waiting: AtomicU32,
}

impl RateLimiter {
    /// A limiter whose first slot is free now.
    pub fn new(settings: RateLimitSettings) -> Self {
        let num = u128::from(settings.num.get());
        // Rounded up, so that the pace is never exceeded.
        let interval = settings.per.as_nanos().div_ceil(num);
        let interval = Duration::from_nanos(u64::try_from(interval).unwrap_or(u64::MAX));
        Self(Arc::new(Slots {
            interval,
            tolerance: interval.saturating_mul(settings.burst.get() - 1),
            next: Mutex::new(Instant::now()),
            line: Semaphore::new(1),
            waiting: AtomicU32::new(0),
        }))
    }

    /// Takes a slot if one is free and nobody waits for it.
    pub fn try_take(&self) -> bool {
        let now = Instant::now();
        self.0.line.try_acquire().is_ok_and(|_first| self.0.book(now, now).is_ok())
    }

    /// Waits for a slot and takes it. Slots are given out in the order in which they were asked
    /// for. Dropped before its end, it has taken nothing.
    pub async fn take(&self) {
        let slots = &*self.0;
        let asked = Instant::now();
        let _waiting = Waiting::new(&slots.waiting);
        let _first = slots.line.acquire().await.expect("the semaphore is never closed");
        while let Err(free) = slots.book(Instant::now(), asked) {
            sleep_until(free).await;
        }
    }

    /// The time between two slots.
    pub fn interval(&self) -> Duration {
        self.0.interval
    }

    /// How many more attempts could have a slot at once or within the timer's grain of 5 ms, or how
    /// long it is until one could. Those who wait already are served first.
    pub fn available(&self) -> Result<usize, Duration> {
        let Slots { interval, tolerance, .. } = *self.0;
        let now = Instant::now();
        let next = self.0.next().max(now);
        let horizon = now + tolerance + GRAIN;
        let waiting = self.0.waiting.load(Ordering::Relaxed);
        let mine = next + interval.saturating_mul(waiting);
        match horizon.checked_duration_since(mine) {
            Some(room) => Ok(slots_in(room, interval)),
            None => Err(mine - horizon),
        }
    }
}

impl Slots {
    /// Takes the slot that is free at `now` for someone who has asked for it since `asked`, or says
    /// when one will be.
    fn book(&self, now: Instant, asked: Instant) -> Result<(), Instant> {
        let mut next = self.next();
        let early = next.saturating_duration_since(now + self.tolerance);
        if !early.is_zero() {
            return Err(now + early);
        }
        let since = now.checked_sub(GRAIN).map_or(asked, |grain| asked.max(grain));
        *next = (*next).max(since) + self.interval;
        Ok(())
    }

    fn next(&self) -> std::sync::MutexGuard<'_, Instant> {
        // A moment is whole whatever happened to the thread that wrote it.
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Slots at both ends of `room` and between.
fn slots_in(room: Duration, interval: Duration) -> usize {
    let between = room.as_nanos() / interval.as_nanos().max(1);
    usize::try_from(between).unwrap_or(usize::MAX).saturating_add(1)
}

struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
