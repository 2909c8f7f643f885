//! The rule by which a limit moves, without locks and clocks.

use std::time::Duration;

use tokio::time::Instant;

use super::Ended;

/// Where a limit begins that has yet to learn what the endpoint bears.
const FEW: usize = 4;
/// The shortest round: what differs over less is chance.
const ROUND: Duration = Duration::from_millis(5);
/// What is left of the limit after a sign that it is too much.
const DECREASE: f64 = 0.9;
/// For so many rounds a limit at which the endpoint pushed back is not tried again: trying costs a
/// request or more each time.
const ROUNDS_BELOW: u32 = 50;
/// Failures that went on although the limit was lowered so often have another cause: for so many
/// rounds they are borne, unless they are one in so many.
const IN_VAIN: u32 = 4;
const ROUNDS_BORNE: u32 = 500;
const MANY: u32 = 4;
/// The weight of the latest round in what is known of the former ones.
const ALPHA: f64 = 0.4;
/// By how many standard deviations a round's mean has to exceed the former ones' to be a sign.
const DEVIATIONS: f64 = 2.5;
/// And by which part of it, and how many seconds, at least: the mean of many answers deviates so
/// little that a slightly slower moment would be one.
const NOTABLE: f64 = 0.05;
const NOTABLE_SECS: f64 = 0.001;
const ALONE: usize = 2;
const QUEUE_SECS: f64 = 0.02;
/// While the limit doubles, it is the fastest answer of a round that shows whether it was too much:
/// those that had to make a connection are slow anyway.
const NOTABLE_DOUBLING: f64 = 0.25;
const NOTABLE_DOUBLING_SECS: f64 = 0.002;

/// What a limit is and how it moves.
///
/// An adaptive limit first doubles, then it works as Vector's adaptive request concurrency does: in
/// rounds of about the time to an answer, the limit grows by one when the mean time to an answer
/// has not risen and the limit was reached, and falls by a tenth when it has risen by more than
/// chance or the endpoint pushed back.
#[derive(Debug)]
pub(super) struct Control {
    limit: usize,
    most: usize,
    is_adaptive: bool,
    doubling: Option<Doubling>,
    round: Round,
    past: Option<Past>,
    /// Where the endpoint pushed back last: a limit that is not reached again for so many rounds.
    refused: Option<(usize, u32)>,
    /// How often the limit was lowered for failures that went on.
    in_vain: u32,
    /// Rounds for which a few failures are borne.
    patience: u32,
    /// What began before this says nothing about the limit since.
    shrunk: Instant,
}

/// An attempt that has ended.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) began: Instant,
    pub(super) now: Instant,
    pub(super) ended: Ended,
    /// The most that were on the wire in this round.
    pub(super) peak: usize,
}

/// The time in which the limit grows by one with each delivery.
#[derive(Debug)]
struct Doubling {
    until: usize,
    /// Of all rounds, in seconds.
    fastest: f64,
}

#[derive(Debug)]
struct Round {
    ends: Instant,
    /// The limit at its beginning.
    limit: usize,
    /// The most that were on the wire in the round before.
    peak_before: usize,
    answers: u32,
    /// Seconds that all of them took, the same squared, and the fastest.
    total: f64,
    squares: f64,
    fastest: f64,
    pushed_back: u32,
}

/// The exponentially weighted mean and variance of the rounds' mean times, in seconds.
#[derive(Clone, Copy, Debug)]
struct Past {
    mean: f64,
    variance: f64,
    /// The lowest mean that there was.
    base: f64,
}

impl Control {
    pub(super) fn new(most: usize, is_adaptive: bool, now: Instant) -> Self {
        let limit = if is_adaptive { most.min(FEW) } else { most };
        let doubling = (limit < most).then(|| Doubling::until(most));
        let round = Round::new(now, limit);
        Self {
            limit,
            most,
            is_adaptive,
            doubling,
            round,
            past: None,
            refused: None,
            in_vain: 0,
            patience: 0,
            shrunk: now,
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether what is seen can change the limit.
    pub(super) fn moves(&self) -> bool {
        self.is_adaptive || self.doubling.is_some()
    }

    /// Begins with a few again, to double up to where the limit was.
    pub(super) fn restart(&mut self, now: Instant) {
        let until = self.doubling.as_ref().map_or(self.limit, |doubling| doubling.until);
        self.limit = self.limit.min(FEW);
        self.doubling = (self.limit < until).then(|| Doubling::until(until));
        self.round = Round::new(now, self.limit);
        self.past = None;
        self.shrunk = now;
    }

    /// Learns from an attempt, and says whether that ended a round.
    pub(super) fn see(&mut self, seen: &Seen) -> bool {
        match seen.ended {
            Ended::Delivered | Ended::Answered => {
                self.round.count((seen.now - seen.began).as_secs_f64());
            }
            Ended::PushedBack => self.round.pushed_back += u32::from(seen.began >= self.shrunk),
            Ended::Unclear => {}
        }
        // Who does not use half of it needs no more.
        if let Some(doubling) = &self.doubling
            && seen.ended == Ended::Delivered
            && self.limit < 2 * seen.peak.max(self.round.peak_before)
        {
            self.limit += 1;
            if self.limit >= doubling.until {
                self.doubling = None;
            }
        }
        let is_over = seen.now >= self.round.ends || (self.is_pushed_back() && self.patience == 0);
        if self.is_adaptive && is_over {
            self.end_round(seen.now, seen.peak);
        }
        self.is_adaptive && is_over
    }

    fn end_round(&mut self, now: Instant, peak: usize) {
        self.patience = self.patience.saturating_sub(1);
        let mean = self.round.mean();
        if self.is_pushed_back() {
            self.yield_to(now);
        } else if let Some(mean) = mean {
            self.compare(mean, peak, now);
        }
        self.refused = match self.refused {
            Some((limit, rounds)) if rounds > 0 => Some((limit, rounds - 1)),
            _ => {
                self.in_vain = 0;
                None
            }
        };
        if let Some(mean) = mean {
            self.past = Some(self.past.map_or(Past::new(mean), |past| past.with(mean, peak)));
        }
        self.round = Round { peak_before: peak, ..Round::new(now, self.limit) };
        self.round.ends += self.past.map_or(Duration::ZERO, Past::round).max(ROUND);
    }

    /// Grows or shrinks by the mean time to an answer.
    fn compare(&mut self, mean: f64, peak: usize, now: Instant) {
        let round = &self.round;
        let reached = peak >= round.limit;
        // What is not answered at all shows in no time to an answer.
        let hangs = |least: f64| f64::from(round.answers) < least * as_f64(round.limit);
        if let Some(doubling) = &mut self.doubling {
            let notable = (NOTABLE_DOUBLING * doubling.fastest).max(NOTABLE_DOUBLING_SECS);
            if round.fastest > doubling.fastest + notable {
                self.shrink(now);
            } else if reached && hangs(0.5) {
                self.doubling = None;
            } else {
                doubling.fastest = doubling.fastest.min(round.fastest);
            }
            return;
        }
        let Some(past) = self.past else { return };
        if mean > past.notable(round.error()) || (reached && mean > past.slow()) {
            self.shrink(now);
        } else if reached && mean <= past.usual() && !hangs(0.75) {
            let most = self.refused.map_or(self.most, |(refused, _)| refused.saturating_sub(1));
            if self.limit < most.min(self.most) {
                self.limit += 1;
            }
        }
    }

    /// Whether so many failed that it is a sign.
    fn is_pushed_back(&self) -> bool {
        let Round { pushed_back, answers, .. } = self.round;
        let many = pushed_back >= 3 && pushed_back * MANY >= pushed_back + answers;
        many || (pushed_back > 0 && self.patience == 0)
    }

    /// Lowers the limit for failures, unless that has not helped.
    fn yield_to(&mut self, now: Instant) {
        let was_lowered = self.refused.is_some_and(|(refused, _)| self.limit < refused);
        self.in_vain += u32::from(was_lowered && self.patience == 0);
        if self.in_vain < IN_VAIN {
            self.refused = Some((self.limit, ROUNDS_BELOW));
            self.shrink(now);
            return;
        }
        self.in_vain = 0;
        self.patience = ROUNDS_BORNE;
        self.refused = None;
        self.doubling = (self.limit < self.most).then(|| Doubling::until(self.most));
    }

    fn shrink(&mut self, now: Instant) {
        let fewer = if self.doubling.take().is_some() {
            self.limit / 2
        } else {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "less")]
            let fewer = (as_f64(self.limit) * DECREASE) as usize;
            fewer
        };
        self.limit = fewer.max(1);
        self.shrunk = now;
    }
}

impl Doubling {
    fn until(until: usize) -> Self {
        Self { until, fastest: f64::INFINITY }
    }
}

impl Round {
    /// A round of no length.
    fn new(now: Instant, limit: usize) -> Self {
        let (total, fastest) = (0.0, f64::INFINITY);
        Self {
            ends: now,
            limit,
            peak_before: 0,
            answers: 0,
            squares: 0.0,
            total,
            fastest,
            pushed_back: 0,
        }
    }

    fn count(&mut self, secs: f64) {
        self.answers += 1;
        self.total += secs;
        self.squares += secs * secs;
        self.fastest = self.fastest.min(secs);
    }

    fn mean(&self) -> Option<f64> {
        (self.answers > 0).then(|| self.total / f64::from(self.answers))
    }

    /// How much the mean of as many answers deviates by chance.
    fn error(&self) -> f64 {
        let answers = f64::from(self.answers);
        let mean = self.total / answers;
        ((self.squares / answers - mean * mean).max(0.0) / answers).sqrt()
    }
}

impl Past {
    fn new(mean: f64) -> Self {
        Self { mean, variance: 0.0, base: mean }
    }

    /// With a round in which at most `peak` attempts were on the wire at once.
    fn with(self, mean: f64, peak: usize) -> Self {
        let difference = mean - self.mean;
        let mean = self.mean + ALPHA * difference;
        let variance = (1.0 - ALPHA) * (self.variance + ALPHA * difference * difference);
        // So few do not slow an endpoint: this is how fast it is now.
        let base = if peak <= ALONE { mean } else { self.base.min(mean) };
        Self { mean, variance, base }
    }

    /// Up to this a round's mean is as it was: what differs by less is rounding.
    fn usual(self) -> f64 {
        (self.mean * (1.0 + 1e-6)).min(self.base + (0.5 * self.base).max(0.5 * QUEUE_SECS))
    }

    fn slow(self) -> f64 {
        self.base + self.base.max(QUEUE_SECS)
    }

    /// Above this a round's mean, of which `error` may be chance, is a sign that the limit is too
    /// high.
    fn notable(self, error: f64) -> f64 {
        let chance = DEVIATIONS * self.variance.sqrt().max(error);
        self.mean + chance.max(NOTABLE * self.mean).max(NOTABLE_SECS)
    }

    fn round(self) -> Duration {
        Duration::try_from_secs_f64(self.mean).unwrap_or_default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a limit is small")]
fn as_f64(limit: usize) -> f64 {
    limit as f64
}
