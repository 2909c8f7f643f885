//! What the answers of a round show, and those of the rounds before.

use std::time::Duration;

use tokio::time::Instant;

/// The weight of the latest round in what is known of the former ones.
const ALPHA: f64 = 0.4;
/// By how many standard deviations a round's mean has to exceed the former ones' to be a sign.
const DEVIATIONS: f64 = 2.5;
/// And by which part of it, and how many seconds, at least: the mean of many answers deviates so
/// little that a slightly slower moment would be one.
const NOTABLE: f64 = 0.05;
const NOTABLE_SECS: f64 = 0.001;
/// So few attempts at once do not slow an endpoint.
const ALONE: usize = 2;
/// The time that attempts may wait for each other at the endpoint, in seconds, where it is so fast
/// that half of its own time is less than half of this.
const QUEUE_SECS: f64 = 0.02;

/// What is seen from one decision to the next.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) ends: Instant,
    /// The limit at its beginning.
    pub(super) limit: usize,
    /// The most that were on the wire in the round before.
    pub(super) peak_before: usize,
    /// Answers that are no push-back.
    pub(super) answers: u32,
    /// Seconds that all of them took, the same squared, and the fastest.
    total: f64,
    squares: f64,
    pub(super) fastest: f64,
    /// Attempts of since the limit was last lowered that the endpoint pushed back.
    pub(super) pushed_back: u32,
}

/// The exponentially weighted mean and variance of the rounds' mean times, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    mean: f64,
    variance: f64,
    /// The lowest mean that there was.
    base: f64,
}

impl Round {
    pub(super) fn until(ends: Instant, limit: usize, peak_before: usize) -> Self {
        let (total, squares, fastest) = (0.0, 0.0, f64::INFINITY);
        Self { ends, limit, peak_before, answers: 0, total, squares, fastest, pushed_back: 0 }
    }

    /// Counts an answer that took this long.
    pub(super) fn count(&mut self, secs: f64) {
        self.answers += 1;
        self.total += secs;
        self.squares += secs * secs;
        self.fastest = self.fastest.min(secs);
    }

    /// The mean time to an answer, in seconds.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.answers > 0).then(|| self.total / f64::from(self.answers))
    }

    /// How much the mean of as many answers deviates by chance.
    pub(super) fn error(&self) -> f64 {
        let answers = f64::from(self.answers);
        let mean = self.total / answers;
        ((self.squares / answers - mean * mean).max(0.0) / answers).sqrt()
    }
}

impl Past {
    pub(super) fn new(mean: f64) -> Self {
        Self { mean, variance: 0.0, base: mean }
    }

    /// With a round in which at most `peak` attempts were on the wire at once.
    pub(super) fn with(self, mean: f64, peak: usize) -> Self {
        let difference = mean - self.mean;
        let mean = self.mean + ALPHA * difference;
        let variance = (1.0 - ALPHA) * (self.variance + ALPHA * difference * difference);
        // So few do not slow an endpoint: this is how fast it is now.
        let base = if peak <= ALONE { mean } else { self.base.min(mean) };
        Self { mean, variance, base }
    }

    /// Up to this a round's mean has not risen: what differs by less is rounding.
    pub(super) fn usual(self) -> f64 {
        (self.mean * (1.0 + 1e-6)).min(self.base + (0.5 * self.base).max(0.5 * QUEUE_SECS))
    }

    /// Above this an endpoint is so slow that attempts must be waiting for each other.
    pub(super) fn slow(self) -> f64 {
        self.base + self.base.max(QUEUE_SECS)
    }

    /// Above this a round's mean, of which `error` may be chance, is a sign that the limit is too
    /// high.
    pub(super) fn notable(self, error: f64) -> f64 {
        let chance = DEVIATIONS * self.variance.sqrt().max(error);
        self.mean + chance.max(NOTABLE * self.mean).max(NOTABLE_SECS)
    }

    /// How long a round takes.
    pub(super) fn round(self) -> Duration {
        Duration::try_from_secs_f64(self.mean).unwrap_or_default()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a limit is small")]
pub(super) fn as_f64(limit: usize) -> f64 {
    limit as f64
}
