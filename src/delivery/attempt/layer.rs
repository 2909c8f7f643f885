use std::sync::Arc;

use tower::Layer;

use super::{Attempt, answers::Counters};
use crate::telemetry::Component;

/// Notes and counts each request that goes to the wire; see [`Attempt`].
#[derive(Clone, Debug)]
pub struct AttemptLayer {
    counters: Arc<Counters>,
}

impl AttemptLayer {
    /// A layer that counts into `component`: requests, answers by status, round-trip times.
    pub fn new(component: Arc<Component>) -> Self {
        Self { counters: Arc::new(Counters::new(component)) }
    }
}

impl<S> Layer<S> for AttemptLayer {
    type Service = Attempt<S>;

    fn layer(&self, inner: S) -> Attempt<S> {
        Attempt { inner, counters: Arc::clone(&self.counters) }
    }
}
