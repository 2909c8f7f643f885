use std::sync::Arc;

use tower::Layer;

use super::Observe;
use crate::telemetry::Component;

/// Logs and counts what becomes of each delivery; see [`Observe`].
#[derive(Clone, Debug)]
pub struct ObserveLayer {
    component: Arc<Component>,
}

impl ObserveLayer {
    /// A layer that counts into `component`.
    pub fn new(component: Arc<Component>) -> Self {
        Self { component }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, component: Arc::clone(&self.component) }
    }
}
