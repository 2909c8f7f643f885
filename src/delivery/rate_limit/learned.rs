//! The pace that refusals teach, without locks and clocks.

use std::time::Duration;

use tokio::time::Instant;

use super::pace::Pace;

/// The pace at which to begin when the first refusal comes before anything was measured, in
/// attempts per second.
const FIRST: f64 = 4.0;
/// No pace is slower, in attempts per second: so often a closed gate probes.
const SLOWEST: f64 = 1.0 / 30.0;
/// A pace that has grown beyond this is none.
const FASTEST: f64 = 1e6;
/// What is left of a pace that was refused.
const DECREASE: f64 = 0.85;
/// Growing back to the pace that was refused takes this many seconds, and as long as so many
/// attempts take at it: the next refusal is then one of several hundred, however slow the pace.
const RECOVERY_SECS: f64 = 5.0;
const RECOVERY_ATTEMPTS: f64 = 150.0;
/// A pace is forgotten when no refusal came for so long.
const FORGET: Duration = Duration::from_mins(10);

/// A pace learned from refusals.
///
/// After the first refusal it doubles each second. From the next one on it moves as CUBIC (RFC
/// 9438) moves a congestion window: it falls by 15 %, returns quickly to near where it was refused,
/// stays there a while, and then feels its way further, faster and faster.
#[derive(Debug)]
pub(super) struct Learned {
    /// Attempts per second.
    rate: f64,
    /// The rate at which the endpoint refused last, once there was one that was chosen here.
    refused_at: Option<f64>,
    /// Seconds for which it has grown since.
    grown: f64,
    /// When it was last slowed: what began before says nothing about it.
    slowed: Instant,
    /// Whether anything was taken since: refusals with nothing taken between are one sign.
    taken_since: bool,
    last_taken: Instant,
    last_refused: Instant,
}

/// What there is to tell about a pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    /// There is one now, of so many attempts per second.
    Begun(f64),
    /// It is slower now.
    Slowed(f64),
    /// There is none any more.
    Forgotten,
}

impl Learned {
    /// The pace after a first refusal, where so many attempts were taken in the last second.
    pub(super) fn new(now: Instant, taken: f64) -> Self {
        Self {
            rate: (taken * DECREASE).max(FIRST),
            refused_at: None,
            grown: 0.0,
            slowed: now,
            taken_since: false,
            last_taken: now,
            last_refused: now,
        }
    }

    pub(super) fn pace(&self) -> Pace {
        Pace::watched(Duration::from_secs_f64(1.0 / self.rate))
    }

    pub(super) fn begun(&self) -> Change {
        Change::Begun(self.rate)
    }

    /// Learns from an attempt that was refused. `taken` is how many were taken in the last second,
    /// which is what a busy endpoint allows.
    pub(super) fn refused(&mut self, began: Instant, now: Instant, taken: f64) -> Option<Change> {
        self.last_refused = now;
        if began < self.slowed || !self.taken_since {
            return None;
        }
        let refused_at = taken.clamp(self.rate / 2.0, self.rate);
        self.rate = (refused_at * DECREASE).max(SLOWEST);
        self.refused_at = Some(refused_at);
        self.grown = 0.0;
        self.slowed = now;
        self.taken_since = false;
        Some(Change::Slowed(self.rate))
    }

    /// Learns from an attempt that was taken, and says whether there is still a pace to keep. It
    /// only grows while it is waited for: else it is not the pace that holds the sink.
    pub(super) fn took(&mut self, began: Instant, now: Instant, waited: bool) -> bool {
        self.taken_since |= began >= self.slowed;
        let passed = (now - self.last_taken).as_secs_f64().min(2.0 / self.rate);
        self.last_taken = now;
        if waited {
            self.grow(passed);
        }
        self.rate < FASTEST && now - self.last_refused < FORGET
    }

    fn grow(&mut self, secs: f64) {
        self.grown += secs;
        self.rate = match self.refused_at {
            None => self.rate * secs.exp2(),
            Some(refused_at) => {
                let recovery = RECOVERY_SECS.max(RECOVERY_ATTEMPTS / refused_at);
                let from_there = self.grown / recovery - 1.0;
                refused_at * (1.0 + (1.0 - DECREASE) * from_there.powi(3))
            }
        }
        .max(SLOWEST);
    }
}

/// How many attempts were taken in the last second.
#[derive(Debug)]
pub(super) struct Meter {
    second: Instant,
    before: f64,
    count: f64,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self { second: now, before: 0.0, count: 0.0 }
    }

    pub(super) fn count(&mut self, now: Instant) {
        self.turn(now);
        self.count += 1.0;
    }

    /// Of the second before the current one, as much as is not longer ago than a second.
    pub(super) fn per_second(&mut self, now: Instant) -> f64 {
        let passed = self.turn(now);
        self.before * (1.0 - passed) + self.count
    }

    /// Begins a new second where one has passed, and says how much of it has.
    fn turn(&mut self, now: Instant) -> f64 {
        let passed = (now - self.second).as_secs_f64();
        if passed < 1.0 {
            return passed;
        }
        self.before = if passed < 2.0 { self.count } else { 0.0 };
        self.count = 0.0;
        self.second = if passed < 2.0 { self.second + Duration::from_secs(1) } else { now };
        (now - self.second).as_secs_f64()
    }
}
