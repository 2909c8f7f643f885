use std::sync::Arc;

use tower::Layer;

use super::ItemResults;
use crate::delivery::Classes;

/// Adds the results of the single profiles to answers; see [`ItemResults`].
#[derive(Clone, Debug)]
pub struct ResultsLayer {
    classes: Arc<Classes>,
}

impl ResultsLayer {
    /// A layer that tells the classes of single results by `classes`.
    pub fn new(classes: Classes) -> Self {
        Self { classes: Arc::new(classes) }
    }
}

impl<S> Layer<S> for ResultsLayer {
    type Service = ItemResults<S>;

    fn layer(&self, inner: S) -> ItemResults<S> {
        ItemResults { inner, classes: Arc::clone(&self.classes) }
    }
}
