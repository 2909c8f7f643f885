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
/// While it doubles, a pace has gone too far by about this part when it is refused.
const OVERSHOT: f64 = 0.9;
/// One refusal in so many attempts is the price of finding out; what comes as seldom as that does
/// not lower the pace that is aimed at.
const RARE: f64 = 150.0;
/// Growing back to the pace that was refused takes so many attempts for each refusal that it cost,
/// but these seconds at least, and no more than those unless the pace is slow.
const RECOVERY_SECS: f64 = 3.0;
const RECOVERY_MOST_SECS: f64 = 60.0;
/// Below this part of the refused pace a limiter should refuse nothing. If it refuses one in `MANY`
/// there, the limit has fallen. If over `ENOUGH` attempts it refuses fewer, but still some that are
/// `APART`, then the pace is not why, and for the time of `PATIENCE` it is not slowed for that.
const QUIET: f64 = 0.93;
pub(super) const ENOUGH: u32 = 200;
const MANY: u32 = 25;
const APART: u32 = 10;
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
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
    /// Attempts taken since. Refusals with nothing taken between are one sign.
    taken: u32,
    /// What going too far has cost: the refusal that slowed it and those that came after.
    cost: f64,
    /// What came while the pace was well below the refused one, since then and in all.
    quiet: Share,
    quiet_ever: Share,
    /// Attempts taken at such a pace since one was refused.
    apart: u32,
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
    /// There is none any more, because a slower pace was refused as often.
    GivenUp,
}

impl Learned {
    /// The pace after a first refusal at about this rate.
    pub(super) fn new(now: Instant, rate: f64) -> Self {
        Self {
            rate: (rate * DECREASE).max(FIRST),
            refused_at: None,
            grown: 0.0,
            slowed: now,
            taken: 0,
            cost: 1.0,
            quiet: Share::default(),
            quiet_ever: Share::default(),
            apart: 0,
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

    /// Learns from an attempt that was refused. `taken` is how many per second were taken of
    /// late, which is what a busy endpoint allows.
    pub(super) fn refused(&mut self, began: Instant, now: Instant, taken: f64) -> Option<Change> {
        self.last_refused = now;
        self.cost += 1.0;
        if began < self.slowed || self.taken == 0 {
            return None;
        }
        if self.is_quiet() {
            self.quiet.refused();
            // Refusals close to each other are one sign.
            if std::mem::take(&mut self.apart) >= APART {
                self.quiet_ever.refused();
            }
            if !self.quiet.is_large() {
                return self.quiet_ever.is_steady().then_some(Change::GivenUp);
            }
        }
        let is_still_too_fast = self.quiet.is_large();
        let refused_at = match self.refused_at {
            _ if is_still_too_fast => taken.clamp(self.rate * self.quiet.part_taken(), self.rate),
            None => self.rate * OVERSHOT,
            // Now and then a request is delayed on its way and comes too close to the next one.
            Some(before) if f64::from(self.taken) >= RARE * (self.cost - 1.0) => {
                before.max(taken.min(self.rate))
            }
            Some(_) => self.rate,
        };
        self.rate = (refused_at * DECREASE).max(SLOWEST);
        self.refused_at = Some(refused_at);
        self.grown = 0.0;
        self.slowed = now;
        self.taken = 0;
        if !is_still_too_fast {
            self.cost = 1.0;
        }
        self.quiet = Share::default();
        Some(Change::Slowed(self.rate))
    }

    /// Learns from an attempt that was taken, and says whether there is still a pace to keep. It
    /// only grows while it is waited for: else it is not the pace that holds the sink.
    pub(super) fn took(&mut self, began: Instant, now: Instant, waited: bool) -> bool {
        self.taken = self.taken.saturating_add(u32::from(began >= self.slowed));
        if self.is_quiet() {
            self.quiet.took(ENOUGH / 4);
            self.quiet_ever.took(ENOUGH);
            self.apart += 1;
        }
        let passed = (now - self.last_taken).as_secs_f64().min(2.0 / self.rate);
        self.last_taken = now;
        if waited {
            self.grow(passed);
        }
        self.rate < FASTEST && now - self.last_refused < FORGET
    }

    /// Whether the pace is so far below the one that was refused that no refusal should come.
    fn is_quiet(&self) -> bool {
        self.refused_at.is_some_and(|refused_at| self.rate < QUIET * refused_at)
    }

    fn grow(&mut self, secs: f64) {
        self.grown += secs;
        self.rate = match self.refused_at {
            None => self.rate * secs.exp2(),
            Some(refused_at) => {
                let rare = RARE / refused_at;
                let recovery =
                    (rare * self.cost).min(RECOVERY_MOST_SECS).max(rare).max(RECOVERY_SECS);
                let from_there = self.grown / recovery - 1.0;
                refused_at * (1.0 + (1.0 - DECREASE) * from_there.powi(3))
            }
        }
        .max(SLOWEST);
    }
}

/// How many of some attempts were refused.
#[derive(Debug, Default)]
pub(super) struct Share {
    taken: u32,
    refused: u32,
}

impl Share {
    /// Counts one that was taken; what was longer ago than `memory` attempts
    /// counts less and less.
    pub(super) fn took(&mut self, memory: u32) {
        self.taken += 1;
        if self.taken >= 2 * memory {
            *self = Self { taken: memory, refused: self.refused / 2 };
        }
    }

    pub(super) fn refused(&mut self) {
        self.refused += 1;
    }

    /// Whether so few were refused that whatever refuses lets almost all through.
    pub(super) fn is_small(&self) -> bool {
        f64::from(self.refused) * 50.0 <= f64::from(self.taken)
    }

    fn part_taken(&self) -> f64 {
        f64::from(self.taken) / f64::from((self.taken + self.refused).max(1))
    }

    /// Whether so many were refused that it is certainly for their pace.
    pub(super) fn is_large(&self) -> bool {
        self.refused >= 4 && self.refused * MANY >= self.taken
    }

    /// Whether there were enough attempts to say that refusals go on, few as they are.
    fn is_steady(&self) -> bool {
        self.refused >= 3 && self.taken >= ENOUGH
    }
}

/// How many attempts were taken of late.
#[derive(Debug)]
pub(super) struct Meter {
    born: Instant,
    last_tenth: Window,
    last_second: Window,
    last_ten: Window,
}

/// What was counted in the current span of time and the one before.
#[derive(Debug)]
struct Window {
    secs: f64,
    began: Instant,
    before: f64,
    count: f64,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        let [last_tenth, last_second, last_ten] =
            [0.1, 1.0, 10.0].map(|secs| Window::new(now, secs));
        Self { born: now, last_tenth, last_second, last_ten }
    }

    pub(super) fn count(&mut self, now: Instant) {
        for window in [&mut self.last_tenth, &mut self.last_second, &mut self.last_ten] {
            window.turn(now);
            window.count += 1.0;
        }
    }

    /// Attempts per second at this moment.
    pub(super) fn at_once(&mut self, now: Instant) -> f64 {
        let last_tenth = self.last_tenth.total(now);
        if last_tenth >= 10.0 { last_tenth * 10.0 } else { self.per_second(now) }
    }

    /// Attempts per second: in the last one, or where that is too few to say in the last ten.
    pub(super) fn per_second(&mut self, now: Instant) -> f64 {
        let last_second = self.last_second.total(now);
        if last_second >= 10.0 {
            return last_second;
        }
        let lived = (now - self.born).as_secs_f64();
        self.last_ten.total(now) / lived.clamp(1.0, self.last_ten.secs)
    }
}

impl Window {
    fn new(now: Instant, secs: f64) -> Self {
        Self { secs, began: now, before: 0.0, count: 0.0 }
    }

    /// Of the span before the current one, as much as is not longer ago than its length.
    fn total(&mut self, now: Instant) -> f64 {
        let passed = self.turn(now);
        self.before * (1.0 - passed) + self.count
    }

    /// Begins a new span where one has passed, and says which part of it has.
    fn turn(&mut self, now: Instant) -> f64 {
        let passed = (now - self.began).as_secs_f64() / self.secs;
        if passed < 1.0 {
            return passed;
        }
        let next = self.began + Duration::from_secs_f64(self.secs);
        (self.before, self.began) = if passed < 2.0 { (self.count, next) } else { (0.0, now) };
        self.count = 0.0;
        (now - self.began).as_secs_f64() / self.secs
    }
}
