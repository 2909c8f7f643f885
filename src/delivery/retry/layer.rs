use std::sync::Arc;

use tower::Layer;

use super::{Budget, Pauses, Retry, policy::Policy};
use crate::{
    delivery::{BackoffSettings, Classes},
    telemetry::Component,
};

/// Repeats deliveries that may succeed in a moment; see [`Retry`].
#[derive(Clone, Debug)]
pub struct RetryLayer {
    policy: Arc<Policy>,
}

impl RetryLayer {
    /// A layer whose services share one [`Budget`] and count into `component`.
    pub fn new(settings: BackoffSettings, classes: Classes, component: Arc<Component>) -> Self {
        let (budget, pauses) = (Budget::default(), Pauses::default());
        let policy = Policy { settings, classes, budget, pauses, component };
        Self { policy: Arc::new(policy) }
    }

    /// How many deliveries of its services pause.
    pub fn pauses(&self) -> Pauses {
        self.policy.pauses.clone()
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry { inner, policy: Arc::clone(&self.policy) }
    }
}
