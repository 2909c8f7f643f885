//! The rule by which a limit moves, without locks and clocks.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Ended,
    round::{Past, Round, as_f64},
};

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
/// While the limit doubles, it is the fastest answer of a round that shows whether it was too much:
/// those that had to make a connection are slow anyway.
const NOTABLE_DOUBLING: f64 = 0.25;
const NOTABLE_DOUBLING_SECS: f64 = 0.002;

/// What a limit is and how it moves.
///
/// An adaptive limit first doubles. Then it works as Vector's adaptive request concurrency does: in
/// rounds of about the time to an answer it grows by one when the mean time to an answer has not
/// risen and the limit was reached, and falls by a tenth when that has risen by more than chance or
/// the endpoint pushed back. Besides,
/// - it does not grow while the time to an answer is half as long again as it was at best, and falls
///   when that is twice as long: else it would rise step by step with a queue at the endpoint;
/// - it does not grow while attempts hang, which shows in no time to an answer;
/// - where the endpoint pushed back it does not return to for a while;
/// - failures that lowering it does not help are borne.
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

impl Control {
    pub(super) fn new(most: usize, is_adaptive: bool, now: Instant) -> Self {
        let limit = if is_adaptive { most.min(FEW) } else { most };
        let doubling = (limit < most).then(|| Doubling::until(most));
        let round = Round::until(now, limit, 0);
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
        self.round = Round::until(now, self.limit, 0);
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
        let takes = self.past.map_or(ROUND, Past::round).max(ROUND);
        self.round = Round::until(now + takes, self.limit, peak);
    }

    /// Grows or shrinks by the mean time to an answer.
    fn compare(&mut self, mean: f64, peak: usize, now: Instant) {
        // The first round has no length yet.
        let Some(past) = self.past else { return };
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
        if mean > past.notable(round.error()) || (reached && mean > past.slow()) {
            self.shrink(now);
        } else if reached && mean <= past.usual() && !hangs(0.75) {
            let more = self.limit + 1;
            if more <= self.most && self.refused.is_none_or(|(refused, _)| more < refused) {
                self.limit = more;
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
        let refused = self.refused.map(|(refused, _)| refused);
        let was_lowered = refused.is_some_and(|refused| self.limit < refused || refused == 1);
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
