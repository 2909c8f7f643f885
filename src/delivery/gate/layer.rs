use std::sync::Arc;

use tower::Layer;

use super::{Gate, Gated, handle::Shared};
use crate::delivery::Classes;

/// Asks a gate about each attempt just before it is sent, and tells it how it ended; see
/// [`Gated`].
#[derive(Clone, Debug)]
pub struct GateLayer {
    gate: Arc<Shared>,
    classes: Arc<Classes>,
}

impl GateLayer {
    /// A layer for `gate`, to which answers are told by these classes.
    pub fn new(gate: &Gate, classes: Classes) -> Self {
        Self { gate: gate.shared(), classes: Arc::new(classes) }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, gate: Arc::clone(&self.gate), classes: Arc::clone(&self.classes) }
    }
}
