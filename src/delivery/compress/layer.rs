use tower::Layer;

use super::Compress;
use crate::delivery::Coding;

/// Compresses the bodies of requests; see [`Compress`].
#[derive(Clone, Copy, Debug)]
pub struct CompressLayer {
    coding: Coding,
}

impl CompressLayer {
    /// A layer that compresses in this way.
    pub fn new(coding: Coding) -> Self {
        Self { coding }
    }
}

impl<S> Layer<S> for CompressLayer {
    type Service = Compress<S>;

    fn layer(&self, inner: S) -> Compress<S> {
        Compress { inner, coding: self.coding }
    }
}
