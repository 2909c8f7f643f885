use std::sync::{Arc, OnceLock};

use http::StatusCode;
use prometheus_client::metrics::counter::Counter;

use crate::telemetry::Component;

/// The counters of one component's attempts. That of a status is looked up when it is first seen:
/// the look-up builds label strings.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) component: Arc<Component>,
    /// By status, from 100 to 599.
    answers: Box<[OnceLock<Counter>]>,
}

impl Counters {
    pub(super) fn new(component: Arc<Component>) -> Self {
        Self { component, answers: (100..600).map(|_| OnceLock::new()).collect() }
    }

    pub(super) fn count(&self, status: StatusCode) {
        let code = status.as_u16();
        let find = || self.component.responses(code);
        match self.answers.get(usize::from(code - 100)) {
            Some(counter) => counter.get_or_init(find).inc(),
            None => find().inc(),
        };
    }
}
