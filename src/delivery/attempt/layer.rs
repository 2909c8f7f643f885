use std::sync::Arc;

use tower::Layer;

use super::{
    Attempt,
    answers::{Counters, Reported},
};
use crate::{
    delivery::{Classes, ConcurrencyLimit},
    telemetry::Component,
};

/// Notes and counts each request that goes to the wire; see [`Attempt`].
#[derive(Clone, Debug)]
pub struct AttemptLayer {
    counters: Arc<Counters>,
}

impl AttemptLayer {
    /// A layer that counts into `component`: requests, answers by status, round-trip times.
    pub fn new(component: Arc<Component>) -> Self {
        Self { counters: Arc::new(Counters::new(component, None)) }
    }

    /// Reports to `limit` how each attempt ends, by these classes.
    pub fn reporting_to(self, limit: ConcurrencyLimit, classes: Classes) -> Self {
        let component = Arc::clone(&self.counters.component);
        let reported = Reported { limit, classes };
        Self { counters: Arc::new(Counters::new(component, Some(reported))) }
    }
}

impl<S> Layer<S> for AttemptLayer {
    type Service = Attempt<S>;

    fn layer(&self, inner: S) -> Attempt<S> {
        Attempt { inner, counters: Arc::clone(&self.counters) }
    }
}
