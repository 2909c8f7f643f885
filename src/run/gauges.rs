//! How a sink stands: its gauges, and a line in the log now and then.

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::counter::Counter;
use tokio::time::{MissedTickBehavior, interval};
use tracing::Level;

use crate::{
    clock::Clock,
    delivery::{Gate, GateState},
    store::{Counts, Store},
    telemetry::Component,
};

/// How often the gauges are brought up to date.
const GAUGES: Duration = Duration::from_secs(2);

/// Every so many of them the log says how the sink stands, if something happened meanwhile.
const LINE: u32 = 30;

/// Keeps the gauges of a sink up to date. Never ends.
pub(super) async fn keep<S: Store>(store: S, gate: Gate, clock: Clock, metrics: Arc<Component>) {
    let mut ticks = interval(GAUGES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let gauges =
        ["known", "followed", "due", "in_flight", "dead"].map(|state| metrics.profiles(state));
    let taken = ["changed", "unchanged", "not_followed", "stale", "invalid"]
        .map(|verdict| metrics.updates(verdict));
    let mut said = (0, 0);
    let mut tick = 0;
    loop {
        ticks.tick().await;
        let counts = store.counts();
        let Counts { known, followed, due, in_flight, dead, oldest_due, .. } = counts;
        for (gauge, count) in gauges.iter().zip([known, followed, due, in_flight, dead]) {
            gauge.set(count.cast_signed());
        }
        let age = if oldest_due == 0 { 0 } else { clock.now().saturating_sub(oldest_due) };
        let age_secs = age / 1_000_000;
        metrics.oldest_due.set(age_secs.cast_signed());

        metrics.reconcile_remaining.set(counts.unreconciled.cast_signed());

        tick += 1;
        let now = (taken.iter().map(Counter::get).sum::<u64>(), metrics.sent_events.get());
        if tick % LINE == 0 && (now != said || due > 0) {
            let (updates, delivered) = (now.0 - said.0, now.1 - said.1);
            let sink = metrics.name();
            let status = gate.status();
            // A macro, since the level of a line is fixed where it is written; an outage that goes on is
            // worth a warning.
            macro_rules! say {
                ($level:expr) => {
                    tracing::event!(
                        $level,
                        sink,
                        updates,
                        delivered,
                        waiting = due,
                        oldest_waiting_secs = age_secs,
                        invalid = taken[4].get(),
                        dead_letters = dead,
                        profiles = known,
                        gate = status.state.name(),
                        why = status.message,
                        "the last minute"
                    )
                };
            }
            if status.state == GateState::Open {
                say!(Level::INFO);
            } else {
                say!(Level::WARN);
            }
            said = now;
        }
    }
}
