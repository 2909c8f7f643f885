use std::sync::{Arc, OnceLock};

use http::{Response, StatusCode};
use prometheus_client::metrics::counter::Counter;

use crate::{
    delivery::{AttemptError, Class, Classes, ConcurrencyLimit, concurrency::Ended},
    telemetry::Component,
};

/// The counters of one component's attempts, and the limit that learns from them. That of a status is looked up when it is first seen:
/// the look-up builds label strings.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) component: Arc<Component>,
    pub(super) limit: Option<Reported>,
    /// By status, from 100 to 599.
    answers: Box<[OnceLock<Counter>]>,
}

/// A limit to which attempts are reported, and by which classes.
#[derive(Clone, Debug)]
pub(super) struct Reported {
    pub(super) limit: ConcurrencyLimit,
    pub(super) classes: Classes,
}

impl Counters {
    pub(super) fn new(component: Arc<Component>, limit: Option<Reported>) -> Self {
        Self { component, limit, answers: (100..600).map(|_| OnceLock::new()).collect() }
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

impl Reported {
    pub(super) fn ended<B>(&self, result: &Result<Response<B>, AttemptError>) -> Ended {
        match self.classes.of(result) {
            Some(Class::Delivered) => Ended::Delivered,
            Some(Class::Refused) => Ended::Answered,
            Some(Class::Later) => Ended::PushedBack,
            Some(Class::Endpoint) | None => Ended::Unclear,
        }
    }
}
