//! How many letters of a kind there are, which of them are to be dropped, and what is said of it.

use std::time::Duration;

use crate::{clock::Micros, store::LetterPlace, telemetry::Component};

/// From which share of the bound on it is said that letters are many: 4 of 5.
const MANY: (u64, u64) = (4, 5);

/// How long before letters are dropped for their age it is said.
const AHEAD: Micros = 24 * 3600 * 1_000_000;

/// How often it is said, while it is so, that letters will be dropped.
const WARNING: Micros = 3600 * 1_000_000;

/// How often at most it is said that letters were dropped.
const REPORT: Micros = 60 * 1_000_000;

/// Letters of one kind.
pub(super) struct Kept {
    names: Names,
    count: u64,
    max: u64,
    max_age: Micros,
    /// Dropped since it was last said, for their number and for their age.
    dropped: (u64, u64),
    reported: Option<Micros>,
    warned_of_number: Option<Micros>,
    warned_of_age: Option<Micros>,
}

/// What people and metrics call a kind of letters.
#[derive(Clone, Copy)]
pub(super) struct Names {
    pub(super) plural: &'static str,
    /// Why one is dropped, there being too many or it being too old.
    pub(super) full: &'static str,
    pub(super) expired: &'static str,
}

impl Kept {
    pub(super) fn new(names: Names, count: u64, max: u64, max_age: Duration) -> Self {
        Self {
            names,
            count,
            max,
            max_age: Micros::try_from(max_age.as_micros()).unwrap_or(Micros::MAX),
            dropped: (0, 0),
            reported: None,
            warned_of_number: None,
            warned_of_age: None,
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Notes that a letter took the place of another, or of none.
    pub(super) fn replace(&mut self, was: bool, is: bool) {
        self.count = self.count + u64::from(is) - u64::from(was);
    }

    /// How many of the oldest letters are to be dropped, which are counted as such.
    pub(super) fn over(
        &mut self,
        oldest: &[LetterPlace],
        now: Micros,
        metrics: &Component,
    ) -> usize {
        let too_old = now.saturating_sub(self.max_age);
        let expired = oldest.partition_point(|place| place.at < too_old);
        let over = usize::try_from(self.count.saturating_sub(self.max)).unwrap_or(usize::MAX);
        let full = over.min(oldest.len()).saturating_sub(expired);
        for (reason, dropped, more) in [
            (self.names.full, &mut self.dropped.0, full as u64),
            (self.names.expired, &mut self.dropped.1, expired as u64),
        ] {
            if more > 0 {
                *dropped += more;
                metrics.discarded(false, reason).inc_by(more);
            }
        }
        expired + full
    }

    /// Says what was dropped, and what soon will be; each now and then only.
    pub(super) fn report(&mut self, oldest: Option<&LetterPlace>, now: Micros, sink: &str) {
        let Self { names: Names { plural, .. }, count: kept, max, max_age, .. } = *self;
        let (too_many, too_old) = self.dropped;
        if too_many + too_old > 0 && is_time(&mut self.reported, now, REPORT) {
            self.dropped = (0, 0);
            tracing::warn!(
                sink,
                too_many,
                too_old,
                kept,
                "{plural} were dropped, the oldest first; see state.dead_letters"
            );
        }
        let many = kept < max && kept.saturating_mul(MANY.1) >= max.saturating_mul(MANY.0);
        if many && is_time(&mut self.warned_of_number, now, WARNING) {
            tracing::warn!(
                sink,
                kept,
                max,
                "soon there will be more {plural} than are kept, and the oldest will be dropped; \
                 see `profile-http dead-letters list`, or raise state.dead_letters.max"
            );
        }
        let Some(oldest) = oldest else { return };
        let left = oldest.at.saturating_add(max_age).saturating_sub(now);
        // Of letters that are kept for hours only it would be said all the time.
        let soon = left > 0 && left < AHEAD.min(max_age / 4);
        if soon && is_time(&mut self.warned_of_age, now, WARNING) {
            tracing::warn!(
                sink,
                kept,
                oldest_dropped_in = ?Duration::from_secs(left / 1_000_000),
                "the oldest {plural} will be dropped for their age; see `profile-http dead-letters \
                 list`"
            );
        }
    }
}

/// Whether something was not said for so long that it is time to say it.
fn is_time(said: &mut Option<Micros>, now: Micros, pause: Micros) -> bool {
    // The clock may also have been set back.
    if said.is_some_and(|said| now.abs_diff(said) < pause) {
        return false;
    }
    *said = Some(now);
    true
}
