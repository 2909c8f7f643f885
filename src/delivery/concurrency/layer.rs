use std::sync::Arc;

use tokio::sync::Semaphore;
use tower::Layer;

use super::Concurrency;

/// Bounds the number of attempts at once over all services that it makes; see [`Concurrency`].
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer {
    permits: Arc<Semaphore>,
}

impl ConcurrencyLayer {
    /// A layer that allows `limit` attempts at once, and at least one.
    pub fn new(limit: usize) -> Self {
        let permits = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(permits)) }
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;

    fn layer(&self, inner: S) -> Concurrency<S> {
        Concurrency::new(inner, Arc::clone(&self.permits))
    }
}
