use std::{sync::Arc, time::Duration};

use http::Response;
use tokio::time::Instant;

use super::{Budget, Pauses};
use crate::{
    delivery::{AttemptError, BackoffSettings, Class, Classes, retry_after},
    telemetry::Component,
};

/// What is repeated and when. Shared by all deliveries.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) settings: BackoffSettings,
    pub(super) classes: Classes,
    pub(super) budget: Budget,
    pub(super) pauses: Pauses,
    pub(super) component: Arc<Component>,
}

/// One delivery's use of the policy.
#[derive(Debug)]
pub(super) struct Session<'a> {
    policy: &'a Policy,
    /// No repetition begins after this moment.
    pub(super) end: Instant,
    repetitions: u32,
}

impl Policy {
    /// The session of a delivery that begins now.
    pub(super) fn begin(&self) -> Session<'_> {
        let end = Instant::now() + self.settings.max_duration;
        Session { policy: self, end, repetitions: 0 }
    }
}

impl Session<'_> {
    /// How long to pause before the delivery is repeated, or nothing where the result stands.
    pub(super) fn pause_after<B>(
        &mut self,
        result: &Result<Response<B>, AttemptError>,
    ) -> Option<Duration> {
        let Policy { settings, classes, budget, .. } = self.policy;
        match classes.of(result)? {
            Class::Later => {}
            Class::Delivered => {
                budget.deposit();
                return None;
            }
            Class::Refused | Class::Endpoint => return None,
        }
        if self.repetitions >= settings.attempts {
            return None;
        }
        let left = self.end.checked_duration_since(Instant::now())?;
        let asked = match result {
            Ok(answer) => retry_after(answer.headers()).unwrap_or_default(),
            Err(_) => Duration::ZERO,
        };
        if asked > left || !budget.withdraw() {
            return None;
        }
        let bound = settings.initial.saturating_mul(1 << self.repetitions.min(16));
        self.repetitions += 1;
        Some((asked + full_jitter(bound)).min(left))
    }
}

/// A random time from zero to `bound`.
fn full_jitter(bound: Duration) -> Duration {
    let nanos = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(fastrand::u64(0..=nanos))
}
