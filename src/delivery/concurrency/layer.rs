use tower::Layer;

use super::{Concurrency, ConcurrencyLimit};

/// Bounds the number of attempts at once over all services that it makes; see [`Concurrency`].
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer {
    limit: ConcurrencyLimit,
}

impl ConcurrencyLayer {
    /// A layer that allows as many attempts at once as `limit` says.
    pub fn new(limit: ConcurrencyLimit) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;

    fn layer(&self, inner: S) -> Concurrency<S> {
        Concurrency::new(inner, self.limit.clone())
    }
}
