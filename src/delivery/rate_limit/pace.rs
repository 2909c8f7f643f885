use std::time::Duration;

use super::limiter::GRAIN;
use crate::delivery::RateLimitSettings;

/// The grain of the timer itself.
const TICK: Duration = Duration::from_millis(1);

/// How slots are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// The time between two slots.
    pub(super) interval: Duration,
    /// How much earlier than evenly spaced a slot may be used: the burst.
    pub(super) tolerance: Duration,
    /// A waiter that is woken late keeps the slot that it would have had on time, as far back as
    /// this, and the next one comes the earlier.
    pub(super) grain: Duration,
}

impl Pace {
    /// The pace that the operator has promised. A timer that is late does not slow it.
    pub(super) fn promised(settings: RateLimitSettings) -> Self {
        let num = u128::from(settings.num.get());
        // Rounded up, so that the pace is never exceeded.
        let interval = settings.per.as_nanos().div_ceil(num);
        let interval = Duration::from_nanos(u64::try_from(interval).unwrap_or(u64::MAX));
        let tolerance = interval.saturating_mul(settings.burst.get() - 1);
        Self { interval, tolerance, grain: GRAIN }
    }

    /// A pace that the endpoint is known to watch: no two attempts come closer than `interval`,
    /// unless it is finer than the timer.
    pub(super) fn watched(interval: Duration) -> Self {
        Self {
            interval,
            tolerance: Duration::ZERO,
            grain: GRAIN.saturating_sub(interval).max(TICK),
        }
    }

    /// Slots at both ends of `room` and between.
    pub(super) fn slots_in(&self, room: Duration) -> usize {
        let between = room.as_nanos() / self.interval.as_nanos().max(1);
        usize::try_from(between).unwrap_or(usize::MAX).saturating_add(1)
    }
}
