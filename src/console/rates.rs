use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::telemetry::Component;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

/// Rates are those of so many looks.
const LOOKS: usize = 10;

/// The names of all verdicts on updates.
pub(super) const VERDICTS: [&str; 5] = ["changed", "unchanged", "not_followed", "stale", "invalid"];

/// How much sinks took and delivered of late.
pub(super) struct Rates {
    sinks: Vec<Counters>,
    looks: Mutex<VecDeque<Look>>,
}

struct Counters {
    updates: [Counter; 5],
    delivered: Counter,
}

/// What was counted at a moment, by sink.
struct Look {
    at: Instant,
    counts: Vec<Flow<u64>>,
}

/// Updates taken and versions delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Flow<T> {
    pub(super) updates: T,
    pub(super) delivered: T,
}

impl Rates {
    pub(super) fn new(sinks: Vec<Arc<Component>>) -> Self {
        let counters = |sink: Arc<Component>| Counters {
            updates: VERDICTS.map(|verdict| sink.updates(verdict)),
            delivered: sink.sent_events.clone(),
        };
        Self { sinks: sinks.into_iter().map(counters).collect(), looks: Mutex::default() }
    }

    /// Looks now and then. Never ends.
    pub(super) async fn keep(&self) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let look = self.look();
            let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
            if looks.len() == LOOKS {
                looks.pop_front();
            }
            looks.push_back(look);
        }
    }

    /// What the sink at this place did in a second, over the last ten.
    pub(super) fn of(&self, sink: usize) -> Flow<f64> {
        let now = self.look();
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = looks.front() else { return Flow::default() };
        let seconds = (now.at - first.at).as_secs_f64();
        if seconds <= 0.0 {
            return Flow::default();
        }
        let (then, now) = (first.counts[sink], now.counts[sink]);
        #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
        let rate = |now: u64, then: u64| (now - then) as f64 / seconds;
        Flow {
            updates: rate(now.updates, then.updates),
            delivered: rate(now.delivered, then.delivered),
        }
    }

    fn look(&self) -> Look {
        let count = |sink: &Counters| Flow {
            updates: sink.updates.iter().map(Counter::get).sum(),
            delivered: sink.delivered.get(),
        };
        Look { at: Instant::now(), counts: self.sinks.iter().map(count).collect() }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_that_of_the_last_ten_seconds() {
        let sink = Component::detached();
        let rates = Arc::new(Rates::new(vec![sink.clone()]));
        let keeping = tokio::spawn({
            let rates = rates.clone();
            async move { rates.keep().await }
        });
        sink.sent_events.inc_by(1000);
        for _ in 0..30 {
            tokio::task::yield_now().await;
            sink.sent_events.inc_by(50);
            sink.updates("unchanged").inc_by(70);
            advance(Duration::from_secs(1)).await;
        }
        let rate = rates.of(0);
        assert!((rate.delivered - 50.0).abs() < 6.0, "{rate:?}");
        assert!((rate.updates - 70.0).abs() < 8.0, "{rate:?}");
        keeping.abort();
    }
}
